//! `actord invoke --async --wait`: a call that outlives its caller, waited for all the same.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::actord::{Actord, until};
use crate::queue::show;

/// What follows the verb: these arguments, and which actord is meant.
fn arguments(actord: &Actord, arguments: &[&str]) -> Vec<String> {
    let (data, gateway) = (actord.data().display().to_string(), format!("http://{}", actord.public));
    let own = ["--gateway", &gateway, "--data-dir", &data, "--config", "/dev/null"];
    [&["invoke"], arguments, &own].concat().into_iter().map(str::to_owned).collect()
}

/// `actord invoke` with these arguments.
fn invoke(actord: &Actord, of: &[&str]) -> Output {
    let arguments = arguments(actord, of);
    actord.plain(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The call's id, as the verb told it.
fn id(told: &str) -> String {
    told.split("call id ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_waited_for_ends_as_if_it_had_been_made_directly() {
    let actord = Actord::start().await;
    actord.deploy("f", json!({ "annotations": { "com.openfaas.retry.attempts": "1" } })).await;

    let (code, answer, told) = said(&invoke(&actord, &["f/echo", "--async", "--wait", "--data", "hello"]));
    assert_eq!((code, answer.as_str()), (Some(0), "hello"), "{told}");
    assert_eq!(show(&actord, &id(&told)).await["state"], "done");

    // What the function says is shown, whatever it is.
    let (code, answer, told) =
        said(&invoke(&actord, &["f/status", "--query", "code=418", "--async", "--wait=1m", "-d", ""]));
    assert_eq!((code, answer.as_str()), (Some(5), "418\n"), "{told}");
    assert!(told.contains("failed for good") && told.contains("418"), "{told}");

    let (code, answer, told) =
        said(&invoke(&actord, &["f/sleep", "-q", "ms=2000", "--async", "--wait=300ms", "-d", ""]));
    assert_eq!((code, answer.as_str()), (Some(1), ""), "{told}");
    assert!(told.contains("it goes on"), "{told}");
    let late = id(&told);
    until("it has ended all the same", async || show(&actord, &late).await["state"] == "done").await;
    assert_eq!(show(&actord, &late).await["answer"]["body"], "slept 2000 ms\n");

    // As one object, and without waiting.
    let (code, answer, told) = said(&invoke(&actord, &["f/echo", "--async", "--wait", "-d", "x", "--output", "json"]));
    let call: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, &call["state"], &call["answer"]["body"]), (Some(0), &json!("done"), &json!("x")), "{told}");
    let (code, answer, told) = said(&invoke(&actord, &["f/echo", "--async", "-d", "x"]));
    assert_eq!((code, answer.as_str()), (Some(0), ""), "{told}");
    let id = id(&told);
    until("it is done", async || show(&actord, &id).await["state"] == "done").await;
    let (code, _, told) = said(&invoke(&actord, &["nobody", "--async", "--wait", "-d", "x"]));
    assert_eq!(code, Some(4), "{told}");
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_call_has_its_answer_although_actord_is_killed_meanwhile() {
    let mut actord = Actord::start().await;
    actord.deploy("f", json!({})).await;
    let waits = Command::new(env!("CARGO_BIN_EXE_actord"))
        .args(arguments(&actord, &["f/sleep", "-q", "ms=1000", "--async", "--wait=1m", "-d", ""]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the call is under way", async || {
        let answer = actord.system("GET", "/system/calls", Value::Null).await;
        let page: Value = serde_json::from_str(&answer.text()).unwrap();
        page["calls"][0]["state"] == "running"
    })
    .await;
    actord.kill().await;
    actord.launch(&[]).await;
    let ended = tokio::task::spawn_blocking(|| waits.wait_with_output().unwrap()).await.unwrap();
    let (code, answer, told) = said(&ended);
    assert_eq!((code, answer.as_str()), (Some(0), "slept 1000 ms\n"), "{told}");
    assert_eq!(show(&actord, &id(&told)).await["tries"], 1, "the try that was cut short does not count");
    actord.finish().await;
}
