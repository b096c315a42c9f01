//! Functions of which nothing runs: until a call comes, or until an operator says so.

use serde_json::{Value, json};

use crate::actord::{Actord, until};
use crate::client::{self, Request};

async fn is_down(actord: &Actord, name: &str) {
    until("nothing of it runs", async || actord.processes_of(name).is_empty()).await;
    let shown = actord.describe(name).await;
    assert_eq!((&shown["replicas"], &shown["availableReplicas"]), (&Value::Null, &Value::Null), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wake_a_function_at_zero_and_not_one_that_is_stopped_by_hand() {
    let mut actord = Actord::start().await;
    actord.deploy("f", json!({})).await;
    assert_eq!(actord.scale("f", 0).await.status, 202);
    is_down(&actord, "f").await;
    let calls = (0..20).map(|_| tokio::spawn(client::ask(actord.public, Request::get("/function/f/version"))));
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap().unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"));
    }
    assert_eq!(actord.processes_of("f").len(), 1);
    let shown = actord.describe("f").await;
    assert_eq!((&shown["replicas"], &shown["availableReplicas"]), (&json!(1), &json!(1)));

    assert_eq!(actord.system("POST", "/system/function/f/stop", Value::Null).await.status, 202);
    is_down(&actord, "f").await;
    for restart in [false, true] {
        if restart {
            actord.kill().await;
            actord.launch(&[]).await;
        }
        let answer = actord.get("/function/f/version").await;
        assert_eq!(answer.status, 503);
        assert!(answer.text().contains("`actord start f.openfaas-fn`"), "{}", answer.text());
        assert_eq!(actord.processes_of("f"), [0; 0]);
        assert_eq!(actord.describe("f").await["lifecycle"]["keptDown"], true);
    }
    assert_eq!(actord.system("POST", "/system/function/f/start", Value::Null).await.status, 202);
    assert_eq!(actord.get("/function/f/version").await.status, 200);
    actord.finish().await;
}
