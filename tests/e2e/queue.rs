//! Calls that nobody waits for, on the real program: taken over its lives, and sent to functions that sleep.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::actord::{Actord, HELLO_2, until};
use crate::client::Request;

/// Puts a call into the queue; its id.
async fn queue(actord: &Actord, target: &str, body: &str) -> String {
    let answer = actord.ask(Request::new("POST", &format!("/async-function/{target}")).body(body)).await;
    assert_eq!(answer.status, 202, "{}: {}", answer.text(), actord.log());
    answer.header("x-call-id").unwrap().to_owned()
}

pub(crate) async fn show(actord: &Actord, id: &str) -> Value {
    let answer = actord.system("GET", &format!("/system/call/{id}"), Value::Null).await;
    assert_eq!(answer.status, 200, "{}: {}", answer.text(), actord.log());
    serde_json::from_str(&answer.text()).unwrap()
}

async fn are_done(actord: &Actord, ids: &[String]) {
    for id in ids {
        until("the call is done", async || show(actord, id).await["state"] == "done").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_waits_for_wakes_its_function_and_what_it_answered_is_kept() {
    let actord = Actord::start().await;
    actord.deploy("f", json!({})).await;
    assert_eq!(actord.scale("f", 0).await.status, 202);
    until("nothing of it runs", async || actord.processes_of("f").is_empty()).await;
    let request = Request::new("POST", "/async-function/f/echo?a=1").header("X-Call-Id", "mine").body("hello");
    let answer = actord.ask(request).await;
    let id = answer.header("x-call-id").unwrap().to_owned();
    assert!(answer.status == 202 && id != "mine", "{answer:?}");
    are_done(&actord, std::slice::from_ref(&id)).await;
    let call = show(&actord, "mine").await;
    assert_eq!(
        (&call["id"], &call["path"], &call["answer"]["body"]),
        (&json!(id), &json!("/echo?a=1"), &json!("hello"))
    );
    assert_eq!(actord.processes_of("f").len(), 1);

    // What is said once by the function is final, and can be sent again.
    let id = queue(&actord, "f/status?code=418", "").await;
    until("it is a dead letter", async || show(&actord, &id).await["state"] == "dead").await;
    let call = show(&actord, &id).await;
    assert!(call["lastStatus"] == 418 && call["reason"].as_str().unwrap().contains("418"), "{call}");
    let again = actord.system("POST", &format!("/system/call/{id}/retry"), Value::Null).await;
    assert_eq!(again.status, 202, "{}", again.text());
    until("it was called again", async || show(&actord, &id).await["attempts"].as_array().unwrap().len() == 2).await;
    assert_eq!(actord.ask(Request::new("POST", "/async-function/nobody")).await.status, 404);
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_were_accepted_are_made_however_actord_ends_meanwhile() {
    let mut actord = Actord::start().await;
    let one_at_a_time = json!({ "annotations": { "com.openfaas.queue.max-inflight": "1" } });
    actord.deploy("f", one_at_a_time).await;
    for is_killed in [true, false] {
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(queue(&actord, "f/sleep?ms=400", &number.to_string()).await);
        }
        until("the first is under way", async || show(&actord, &ids[0]).await["state"] == "running").await;
        sleep(Duration::from_millis(100)).await;
        if is_killed {
            actord.kill().await;
        } else {
            assert!(actord.stop().await.success());
        }
        actord.launch(&[]).await;
        are_done(&actord, &ids).await;
        for id in &ids {
            let call = show(&actord, id).await;
            assert_eq!(call["tries"], 1, "a try that was cut short does not count: {call}");
        }
    }
    actord.finish().await;
}

/// How often each call began, as the function's instances wrote it, those among them that are gone.
pub(crate) fn begun(actord: &Actord) -> BTreeMap<String, usize> {
    let logs = actord.data().join("logs");
    let files = [logs.join("ended"), logs].into_iter().flat_map(|directory| fs::read_dir(directory).unwrap().flatten());
    let texts: Vec<_> = files
        .filter(|file| file.path().extension().is_some_and(|kind| kind == "log"))
        .map(|file| fs::read_to_string(file.path()).unwrap())
        .collect();
    let mut begun = BTreeMap::new();
    let lines = texts.iter().flat_map(|text| text.lines());
    for id in lines.filter_map(|line| line.strip_prefix("call ")?.strip_suffix(" begins")) {
        *begun.entry(id.to_owned()).or_default() += 1;
    }
    begun
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_and_a_stop_under_calls_cost_none_a_try() {
    let actord = Actord::start().await;
    let function = json!({
        "envVars": { "LOG_CALLS": "1" },
        "annotations": { "com.openfaas.queue.max-inflight": "4" },
    });
    actord.deploy("f", function.clone()).await;
    let mut ids = Vec::new();
    for number in 0..30 {
        ids.push(queue(&actord, "f/sleep?ms=150", &number.to_string()).await);
    }
    until("some are under way", async || show(&actord, &ids[0]).await["state"] == "running").await;
    let mut second = function;
    second["image"] = json!(HELLO_2);
    assert_eq!(actord.update("f", second).await.status, 202);
    are_done(&actord, &ids).await;
    until("the second version serves", async || actord.get("/function/f/version").await.text() == "2\n").await;

    let mut late = Vec::new();
    for number in 0..12 {
        late.push(queue(&actord, "f/sleep?ms=300", &number.to_string()).await);
    }
    until("some are under way", async || show(&actord, &late[0]).await["state"] == "running").await;
    assert_eq!(actord.system("POST", "/system/function/f/stop", Value::Null).await.status, 202);
    until("nothing of it runs", async || actord.processes_of("f").is_empty()).await;
    late.push(queue(&actord, "f/echo", "it waits").await);
    assert_eq!(show(&actord, &late[12]).await["state"], "waiting");
    assert_eq!(actord.system("POST", "/system/function/f/start", Value::Null).await.status, 202);
    are_done(&actord, &late).await;

    let begun = begun(&actord);
    for id in ids.iter().chain(&late) {
        let call = show(&actord, id).await;
        assert_eq!((&call["tries"], begun.get(id)), (&json!(1), Some(&1)), "{call:#}");
    }
    actord.finish().await;
}
