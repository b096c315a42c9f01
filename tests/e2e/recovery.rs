//! actord and its containerd come and go; functions stay.

use rustix::process::Signal;
use serde_json::json;

use crate::actord::{Actord, HELLO_2, kill, until};
use crate::client::{self, Request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_outlive_actord_and_containerd_untouched() {
    let mut actord = Actord::start().await;
    actord.deploy("stays", json!({})).await;
    let answer = actord.get("/function/stays/version").await;
    let instance = format!("{}:8080", answer.header("x-instance").unwrap()).parse().unwrap();
    let pid = actord.process("stays");
    let serves = async || client::ask(instance, Request::get("/version")).await.unwrap().text() == "1\n";

    // A polite end, with nobody there for a while.
    assert!(actord.stop().await.success(), "{}", actord.log());
    assert!(serves().await, "without actord");
    actord.launch(&[]).await;
    assert_eq!(actord.get("/function/stays/version").await.text(), "1\n", "at once");
    assert_eq!(actord.process("stays"), pid);

    // An end without a word, three times.
    for _ in 0..3 {
        actord.kill().await;
        assert!(serves().await, "without actord");
        actord.launch(&[]).await;
        assert_eq!(actord.get("/function/stays/version").await.text(), "1\n", "at once");
        assert_eq!(actord.describe("stays").await["availableReplicas"], 1);
    }

    // Without containerd requests are served, and a deploy waits for it or says no; afterwards all is as before.
    let containerd = actord.containerd();
    kill(containerd, Signal::KILL);
    assert_eq!(actord.get("/function/stays/version").await.text(), "1\n");
    until("containerd is restarted", async || actord.containerd() != containerd).await;
    until("a deploy works", async || actord.apply("POST", "after", json!({})).await.status == 202).await;
    assert_eq!(actord.get("/function/after/version").await.text(), "1\n");
    assert_eq!(actord.process("stays"), pid);
    // Its end is still seen.
    kill(pid, Signal::KILL);
    until("it is back", async || actord.processes_of("stays").first().is_some_and(|now| *now != pid)).await;
    assert_eq!(actord.get("/function/stays/version").await.text(), "1\n");

    // Both gone at once, and what was asked for while nobody was there to see it end.
    let pid = actord.process("stays");
    let doomed = actord.process("after");
    actord.kill().await;
    kill(actord.containerd(), Signal::KILL);
    kill(doomed, Signal::KILL);
    assert!(serves_at(&actord, pid));
    actord.launch(&[]).await;
    assert_eq!(actord.get("/function/after/version").await.text(), "1\n");
    assert_eq!(actord.process("stays"), pid);
    assert_eq!(actord.update("stays", json!({ "image": HELLO_2 })).await.status, 202);
    assert_eq!(actord.get("/function/stays/version").await.text(), "2\n");
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_a_start_refuses_are_not_those_that_down_asks_for() {
    let mut actord = Actord::start().await;
    actord.deploy("stays", json!({})).await;
    assert!(actord.stop().await.success(), "{}", actord.log());
    let traces = actord.traces();
    let directories = [actord.data(), actord.state()].map(|directory| directory.display().to_string());
    let mistaken = [
        ["up", "--config=/dev/null", "--listen=127.0.0.1:0", "--provider-listen=127.0.0.1:0"].as_slice(),
        &["--metrics-listen=127.0.0.1:0", "--data-dir", &directories[0], "--state-dir", &directories[1]],
        // No subnet of a test's own is in there.
        &["--cni-bridge", &traces.bridge, "--cni-name", &traces.bridge, "--cni-subnet", "10.240.7.0/24"],
    ];
    let refused = actord.plain(&mistaken.concat());
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("from an earlier start"), "{words}");
    // Which `down` does with the settings that it did run with.
    actord.finish().await;
}

/// Whether that is still the process of the function.
fn serves_at(actord: &Actord, pid: i32) -> bool {
    actord.process("stays") == pid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_that_was_cut_off_leaves_a_name_that_works() {
    let mut actord = Actord::start().await;
    for (n, wait) in [5, 20, 40, 60, 90, 130].into_iter().enumerate() {
        let name = format!("cut-{n}");
        let request = actord.request("POST", "/system/functions", &json!({ "service": name, "image": HELLO_2 }));
        let deploy = tokio::spawn(client::ask(actord.public, request));
        tokio::time::sleep(tokio::time::Duration::from_millis(wait)).await;
        actord.kill().await;
        let answer = deploy.await.unwrap().map(|answer| answer.status);
        actord.launch(&[]).await;
        if actord.describe(&name).await.is_null() {
            assert!(!matches!(answer, Ok(202)), "an accepted deploy is lost");
            actord.deploy(&name, json!({ "image": HELLO_2 })).await;
        }
        let first = actord.get(&format!("/function/{name}/version")).await;
        assert_eq!(first.text(), "2\n", "{name}: {}", actord.log());
        assert_eq!(actord.processes_of(&name).len(), 1, "{name}");
    }
    for n in 0..6 {
        assert_eq!(actord.delete(&format!("cut-{n}")).await.status, 202);
    }
    until("nothing is left in containerd", async || actord.traces().in_containerd().is_empty()).await;
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actord_that_was_told_to_take_its_functions_along_leaves_nothing() {
    let mut actord = Actord::start().await;
    actord.deploy("one", json!({})).await;
    assert!(actord.stop().await.success());
    actord.launch(&["--stop-functions"]).await;
    actord.deploy("two", json!({})).await;
    for name in ["one", "two"] {
        assert_eq!(actord.get(&format!("/function/{name}")).await.status, 200);
    }
    assert!(actord.stop().await.success(), "{}", actord.log());
    actord.is_gone();
    // The desired state stays: started again, both are there again.
    actord.launch(&[]).await;
    for name in ["one", "two"] {
        assert_eq!(actord.get(&format!("/function/{name}")).await.status, 200);
    }
    actord.finish().await;
}
