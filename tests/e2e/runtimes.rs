//! Functions that choose another OCI runtime, through the whole program: a sandbox, and a second path to runc.

use rustix::process::Signal;
use serde_json::json;

use crate::actord::{Actord, HELLO_2, kill, until};
use crate::oci_runtimes::runsc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_in_a_sandbox_answers_is_updated_dies_and_is_deleted_without_a_trace() {
    let scripts = tempfile::tempdir().unwrap();
    let gvisor = format!("gvisor={}", runsc(scripts.path()).display());
    let second =
        format!("second={}", actord::host::containerd::daemon::find_program("runc".as_ref()).unwrap().display());
    let actord = Actord::start_with(&["--runtimes", &gvisor, "--runtimes", &second]).await;
    for runtime in ["second", "gvisor"] {
        let annotations = json!({ "actord.runtime": runtime });
        actord.deploy("boxed", json!({ "annotations": annotations })).await;
        assert_eq!(actord.get("/function/boxed/version").await.text(), "1\n", "{runtime}");
        assert_eq!(actord.describe("boxed").await["annotations"], annotations);
        let logs = || actord.request("GET", "/system/logs?name=boxed&tail=5", &serde_json::Value::Null);
        until("its first line is told", async || actord.ask(logs()).await.text().contains("listens")).await;

        let answer = actord.update("boxed", json!({ "image": HELLO_2, "annotations": annotations })).await;
        assert_eq!(answer.status, 202, "{runtime}: {answer:?}");
        until("it is updated", async || actord.get("/function/boxed/version").await.text() == "2\n").await;

        until("the old one is gone", async || actord.processes_of("boxed").len() == 1).await;
        // Of a sandbox that is what serves its files: it goes with that.
        let pid = actord.process("boxed");
        kill(pid, Signal::KILL);
        until("it is back", async || actord.processes_of("boxed").first().is_some_and(|now| *now != pid)).await;
        until("it answers", async || actord.get("/function/boxed/version").await.text() == "2\n").await;
        assert_eq!(actord.delete("boxed").await.status, 202);
        until("it is gone", async || actord.processes_of("boxed").is_empty()).await;
    }
    let refused = actord.apply("POST", "boxed", json!({ "annotations": { "actord.runtime": "kata" } })).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.text().contains("it has builtin, gvisor, second"), "{}", refused.text());
    actord.finish().await;
}
