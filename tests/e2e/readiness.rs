//! When an instance gets its first request, on a real machine.

use std::path::Path;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::actord::{Actord, until};
use crate::client::{self, Request};
use crate::sample::Sample;

/// Between two requests of 50 a second.
const TICK: Duration = Duration::from_millis(20);

fn watchdog(images: &Path, version: &str) {
    let sample = Sample::new(&format!("docker.io/actord/watchdog:{version}")).version(version).env("QUIET", "1");
    let sample = sample.env("mode", "http").env("upstream_url", "http://127.0.0.1:5000");
    sample.env("HANDLER", "127.0.0.1:5000").env("HANDLER_DELAY_MS", "2000").write(images);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_a_watchdog_whose_handler_listens_later_fails_no_request() {
    let actord = Actord::with(&[], |images| ["1", "2"].into_iter().for_each(|version| watchdog(images, version))).await;
    let deploy = |version: &str| json!({ "image": format!("docker.io/actord/watchdog:{version}") });
    actord.deploy("shop", deploy("1")).await;
    let public = actord.public;
    let requests = async {
        let mut sent = Vec::new();
        for _ in 0..250 {
            sent.push(tokio::spawn(client::ask(public, Request::get("/function/shop/version"))));
            sleep(TICK).await;
        }
        join_all(sent).await
    };
    let update = async {
        sleep(25 * TICK).await;
        actord.update("shop", deploy("2")).await
    };
    let (answers, updated) = tokio::join!(requests, update);
    assert_eq!(updated.status, 202, "{}", updated.text());
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().unwrap()).collect();
    let failed: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(failed.is_empty(), "{} of {} failed: {:?}", failed.len(), answers.len(), failed[0]);
    let of = |version: &str| answers.iter().filter(|answer| answer.text() == version).count();
    println!("{} requests during an update, of which {} met the new version: 0 failed", answers.len(), of("2\n"));
    assert!(of("1\n") > 25 && of("1\n") + of("2\n") == answers.len(), "{} and {}", of("1\n"), of("2\n"));
    assert_eq!(actord.get("/function/shop/version").await.text(), "2\n");
    actord.finish().await;
}

/// What `lifecycle` of a function's status says under this key, once it says it.
async fn said(actord: &Actord, name: &str, key: &str) -> String {
    let mut said = Value::Null;
    until(&format!("the status of {name} says {key}"), async || {
        said = actord.describe(name).await["lifecycle"][key].take();
        said.is_string()
    })
    .await;
    said.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_is_not_as_others_are_is_told_about_in_its_status() {
    let actord = Actord::start_with(&["--deploy-wait", "1s"]).await;
    let env = |name: &str, value: &str| json!({ "envVars": { name: value } });
    for (function, listen, says) in [
        ("elsewhere", "0.0.0.0:3000", "nothing listens on port 8080; the process listens on 0.0.0.0:3000"),
        ("inside", "127.0.0.1:8080", "the process listens on 127.0.0.1:8080 only: make it listen on 0.0.0.0:8080"),
    ] {
        actord.deploy(function, env("LISTEN", listen)).await;
        assert_eq!(actord.describe(function).await["lifecycle"]["step"], "waiting until ready");
        let waits_for = said(&actord, function, "waitingFor").await;
        assert!(waits_for.contains(says), "{waits_for}");
    }
    actord.deploy("closed", env("HEALTH_STATUS", "401")).await;
    let judged = said(&actord, "closed", "judged").await;
    assert_eq!(judged, "answered 401 to /_/health, ready after 10 s because it accepts connections");
    assert_eq!(actord.get("/function/closed/version").await.status, 200);
    actord.finish().await;
}
