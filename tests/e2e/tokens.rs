//! Tokens and the password, changed by the command line beside a running actord.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::actord::Actord;
use crate::client::{self, Request};

/// What the verb prints on standard output; it finds the password in the data directory.
fn verb(actord: &Actord, words: &[&str]) -> String {
    let (gateway, data) = (format!("http://{}", actord.public), actord.data().display().to_string());
    let output = actord.plain(&[words, &["--gateway", &gateway, "--data-dir", &data]].concat());
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn status(address: SocketAddr, authorization: &str) -> u16 {
    let request = Request::get("/system/functions").header("Authorization", authorization);
    client::ask(address, request).await.unwrap().status
}

async fn is_let_in(actord: &Actord, authorization: &str, expected: bool) {
    for address in [actord.public, actord.provider] {
        let status = status(address, authorization).await;
        assert_eq!(status, if expected { 200 } else { 401 }, "{authorization} on {address}: {}", actord.log());
    }
}

fn bearer(text: &str) -> String {
    format!("Bearer {text}")
}

fn basic(password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("admin:{password}")))
}

/// What the last token that was made is called.
fn newest(actord: &Actord) -> String {
    let listed: serde_json::Value = serde_json::from_str(&verb(actord, &["token", "ls", "-o", "json"])).unwrap();
    listed.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_tokens_and_password_holds_at_the_next_request_and_after_a_crash() {
    let mut actord = Actord::start().await;
    let (pid, file) = (actord.pid(), actord.data().join("auth/basic-auth-password"));
    let create = ["token", "create", "-n", "openfaas-fn", "--read"];
    let kept = verb(&actord, &create);
    let first = verb(&actord, &create);
    let id = newest(&actord);
    is_let_in(&actord, &bearer(&first), true).await;
    let second = verb(&actord, &["token", "rotate", &id]);
    is_let_in(&actord, &bearer(&first), false).await;
    is_let_in(&actord, &bearer(&second), true).await;
    verb(&actord, &["token", "revoke", &id]);
    is_let_in(&actord, &bearer(&second), false).await;

    let old = std::fs::read_to_string(&file).unwrap();
    is_let_in(&actord, &basic(&old), true).await;
    let new = verb(&actord, &["password", "rotate"]);
    is_let_in(&actord, &basic(&old), false).await;
    is_let_in(&actord, &basic(&new), true).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), new, "and other verbs find it where the old one was");
    is_let_in(&actord, &bearer(&kept), true).await;
    assert_eq!(actord.pid(), pid, "one and the same process");

    actord.kill().await;
    actord.launch(&[]).await;
    for (authorization, expected) in [
        (bearer(&kept), true),
        (basic(&new), true),
        (bearer(&first), false),
        (bearer(&second), false),
        (basic(&old), false),
    ] {
        is_let_in(&actord, &authorization, expected).await;
    }
    let read = |file: &str| std::fs::read_to_string(actord.data().join(file)).unwrap();
    let (tokens, log, audit) = (read("auth/tokens.json"), actord.log(), read("audit/audit.log"));
    for text in [&kept, &first, &second, &old, &new] {
        for place in [&tokens, &log, &audit] {
            assert!(!place.contains(text.as_str()), "{text} lies where it should not: {place}");
        }
    }
    // Who did what is told instead, from before the crash on.
    let done = |method: &str, route: &str| {
        let entry = format!("\"who\":\"admin\",\"from\":\"127.0.0.1\",\"method\":\"{method}\",\"route\":\"{route}\"");
        audit.lines().filter(|line| line.contains(&entry) && line.contains("\"outcome\":\"done\"")).count()
    };
    assert_eq!(done("POST", "/system/tokens"), 2, "{audit}");
    for (method, route) in
        [("POST", "/system/tokens/{id}/rotate"), ("DELETE", "/system/tokens/{id}"), ("POST", "/system/password/rotate")]
    {
        assert_eq!(done(method, route), 1, "{method} {route}: {audit}");
    }
    actord.finish().await;
}

/// The status of a call of the function; none if there is no answer.
async fn call(actord: &Actord, authorization: &str) -> Option<u16> {
    let request = Request::get("/function/guarded").header("Authorization", authorization);
    client::ask(actord.public, request).await.ok().map(|answer| answer.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_asks_for_a_token_is_guarded_from_its_first_answer_on_also_after_a_crash() {
    let mut actord = Actord::start().await;
    actord.deploy("guarded", json!({ "annotations": { "actord.auth": "token" } })).await;
    let text = verb(&actord, &["token", "create", "-n", "openfaas-fn", "--invoke"]);
    let (id, right) = (newest(&actord), bearer(&text));
    assert_eq!((call(&actord, "").await, call(&actord, &right).await), (Some(401), Some(200)));
    actord.kill().await;
    actord.spawn(&[]);
    let first = async {
        loop {
            match call(&actord, "").await {
                // Not there yet, or not known yet.
                None | Some(404 | 503) => sleep(Duration::from_millis(2)).await,
                Some(status) => return status,
            }
        }
    };
    assert_eq!(timeout(Duration::from_secs(60), first).await.unwrap(), 401);
    actord.answers().await;
    assert_eq!(call(&actord, &right).await, Some(200));
    verb(&actord, &["token", "revoke", &id]);
    assert_eq!(call(&actord, &right).await, Some(401));
    actord.finish().await;
}
