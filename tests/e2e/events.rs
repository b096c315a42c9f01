//! What becomes of functions as it is told, what they were like, and what there is of them: on the real program.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::actord::{Actord, kill, until};

/// `actord events -A` at work, and what it has printed.
struct Follow {
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Follow {
    fn start(actord: &Actord) -> Self {
        let (data, gateway) = (actord.data().display().to_string(), format!("http://{}", actord.public));
        let mut child = Command::new(env!("CARGO_BIN_EXE_actord"))
            .args(["events", "-A", "--output", "json", "--gateway", &gateway, "--data-dir", &data])
            .args(["--config", "/dev/null"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (events, lines) = (Arc::new(Mutex::new(Vec::new())), BufReader::new(child.stdout.take().unwrap()));
        let kept = events.clone();
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, events }
    }

    /// Waits until it was told of an event of this name which is so, and returns that.
    async fn hears(&self, event: &str, is: impl Fn(&Value) -> bool) -> Value {
        let found = || {
            let events = self.events.lock().unwrap();
            events.iter().find(|data| data["event"] == event && is(data)).cloned()
        };
        until(&format!("it hears of {event}"), async || found().is_some()).await;
        found().unwrap()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn get(actord: &Actord, path: &str) -> Value {
    let answer = actord.system("GET", path, Value::Null).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

async fn metric(actord: &Actord, line: &str) -> bool {
    let page = crate::client::ask(actord.metrics, crate::client::Request::get("/metrics")).await.unwrap().text();
    page.lines().any(|found| found == line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_functions_life_is_told_over_a_restart_and_its_last_minutes_are_remembered() {
    let mut actord = Actord::start().await;
    let follow = Follow::start(&actord);
    until("somebody listens", async || metric(&actord, "actord_events_readers 1").await).await;

    actord.deploy("f", json!({})).await;
    let deployed = follow.hears("deployed", |_| true).await;
    assert_eq!((&deployed["function"], &deployed["created"]), (&json!("f"), &json!(true)));
    follow.hears("phase", |data| data["phase"] == "ready" && data["availableReplicas"] == 1).await;

    let instances = get(&actord, "/system/function/f/instances").await;
    let [instance] = &instances.as_array().unwrap()[..] else { panic!("{instances}") };
    assert_eq!((&instance["phase"], &instance["generation"]), (&json!("ready"), &json!(1)));
    assert!(instance["address"].as_str().unwrap().starts_with(&actord.subnet()), "{instance}");

    for _ in 0..5 {
        assert_eq!(actord.get("/function/f/version").await.status, 200);
    }
    assert_eq!(actord.get("/function/f/status?code=500").await.status, 500);
    let sum = |past: &Value, of: &str| past[of].as_array().unwrap().iter().filter_map(Value::as_u64).sum::<u64>();
    until("the calls are remembered", async || {
        let past = get(&actord, "/system/function/f/history").await;
        (sum(&past, "calls"), sum(&past, "errors")) == (6, 1)
    })
    .await;
    let past = get(&actord, "/system/function/f/history").await;
    assert!(past["memory"].as_array().unwrap().last().unwrap().as_u64() > Some(0), "{past}");
    assert!(past["p99"].as_array().unwrap().iter().any(|millis| millis.as_f64() > Some(0.0)), "{past}");
    follow.hears("load", |data| data["functions"]["f"]["calls"].as_u64() > Some(0)).await;

    kill(actord.process("f"), Signal::KILL);
    let restart = follow.hears("restart", |_| true).await;
    assert!(restart["reason"].as_str().unwrap().contains("signal 9"), "{restart}");
    until("it serves again", async || actord.get("/function/f/version").await.status == 200).await;

    assert!(actord.stop().await.success());
    actord.launch(&[]).await;
    let missed = follow.hears("reset", |_| true).await;
    assert_eq!(missed["reason"], "earlier");
    assert_eq!(actord.scale("f", 2).await.status, 202);
    follow.hears("scale", |data| data["to"] == 2 && data["because"] == "asked").await;
    follow.hears("phase", |data| data["availableReplicas"] == 2).await;
    assert_eq!(actord.delete("f").await.status, 202);
    follow.hears("deleted", |data| data["function"] == "f").await;
    drop(follow);
    actord.finish().await;
}
