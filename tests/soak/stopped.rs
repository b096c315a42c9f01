//! Processes that stop as a whole for a while, as on a machine that sleeps or is held up: afterwards all is as before, with no
//! storm of what was missed.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::sleep;

use crate::actord::{Actord, HELLO_2, kill, until};
use crate::load::{Load, Report};
use crate::sized;

/// What may be said of it in the log, in lines.
const MOST_LINES: usize = 20;

/// Functions that are asked for their health every second, and may not answer badly once; one sleeps.
async fn with_functions() -> (Actord, BTreeMap<String, i32>) {
    let actord = Actord::start_with(&["--log-level", "info"]).await;
    let impatient = json!({ "annotations": {
        "com.openfaas.health.http.path": "/version",
        "com.openfaas.health.http.periodSeconds": "1",
        "com.openfaas.health.http.timeoutSeconds": "1",
        "com.openfaas.health.http.failureThreshold": "1",
    }});
    for name in ["one", "two"] {
        actord.deploy(name, impatient.clone()).await;
    }
    actord.deploy("asleep", json!({ "annotations": { "actord.freeze-after": "1s" } })).await;
    until("it sleeps", async || actord.describe("asleep").await["lifecycle"]["phase"] == "frozen").await;
    let processes = actord.processes();
    (actord, processes)
}

/// Stops a process in the middle of a light load, and goes on with that for a while.
async fn stopped_under_load(actord: &Actord, pid: i32) -> (Report, usize) {
    let load = Load::start(actord.public, &["one", "two"], 20);
    until("it is called", async || load.sent() > 20).await;
    let before = actord.log().lines().count();
    kill(pid, Signal::STOP);
    sleep(Duration::from_secs(sized(6, 30) as u64)).await;
    kill(pid, Signal::CONT);
    let sent = load.sent();
    until("it is called again", async || load.sent() > sent + 60).await;
    let report = load.end().await;
    (report, actord.log().lines().count() - before)
}

async fn is_as_before(actord: &Actord, processes: &BTreeMap<String, i32>, lines: usize) {
    assert!(lines <= MOST_LINES, "{lines} lines: {}", actord.log());
    assert_eq!(actord.processes(), *processes, "nothing was restarted");
    assert_eq!(actord.describe("asleep").await["lifecycle"]["phase"], "frozen");
    assert_eq!(actord.get("/function/asleep").await.status, 200);
    until("it is ready", async || actord.get("/readyz").await.status == 200).await;
    let updated = actord.update("one", json!({ "image": HELLO_2 })).await;
    assert_eq!(updated.status, 202, "{updated:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actord_that_was_stopped_goes_on_fails_no_request_and_restarts_no_function() {
    let (actord, processes) = with_functions().await;
    let (report, lines) = stopped_under_load(&actord, actord.pid()).await;
    assert_eq!(report.failures, Vec::<String>::new(), "of {}", report.sent);
    is_as_before(&actord, &processes, lines).await;
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containerd_that_was_stopped_is_not_restarted_and_nobody_who_calls_notices() {
    let (actord, processes) = with_functions().await;
    let containerd = actord.containerd();
    let (report, lines) = stopped_under_load(&actord, containerd).await;
    assert_eq!(report.failures, Vec::<String>::new(), "of {}", report.sent);
    assert_eq!(actord.containerd(), containerd);
    is_as_before(&actord, &processes, lines).await;
    actord.finish().await;
}
