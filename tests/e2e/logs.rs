//! What functions write, as those see it who ask for it.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::actord::{Actord, kill, until};
use crate::client::Connection;

const LONG: Duration = Duration::from_secs(30);

/// The lines of an answer.
fn lines(body: &[u8]) -> Vec<Value> {
    std::str::from_utf8(body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn logs(actord: &Actord, query: &str) -> Vec<u8> {
    let answer = actord.system("GET", &format!("/system/logs?{query}"), Value::Null).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")), "{answer:?}");
    answer.body
}

/// Whether some words are told.
async fn tells(actord: &Actord, query: &str, words: &str) -> bool {
    lines(&logs(actord, query).await).iter().any(|line| line["text"].as_str().unwrap().contains(words))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_reaches_those_who_follow_while_the_function_goes_on() {
    let actord = Actord::start().await;
    actord.deploy("talker", json!({})).await;
    until("its first line is told", async || tells(&actord, "name=talker", "listens").await).await;
    let mut followers = Vec::new();
    for query in ["tail=1", "tail=1&instance=nobody"] {
        let path = format!("/system/logs?name=talker&follow=true&{query}");
        let mut follower = Connection::open(actord.public).await.unwrap();
        follower.send(&actord.request("GET", &path, &Value::Null)).await.unwrap();
        assert_eq!(follower.read_head().await.unwrap().0, 200);
        followers.push(follower);
    }
    let follower = &mut followers[0];
    assert_eq!(lines(&follower.chunk().await.unwrap().unwrap()).len(), 1);
    let mut took = Vec::new();
    for n in 0..20 {
        let begun = Instant::now();
        let wrote = actord.get(&format!("/function/talker/log?lines=1&bytes={}", 10 + n)).await;
        assert_eq!(wrote.status, 200);
        let told = lines(&timeout(LONG, follower.chunk()).await.expect("it is told").unwrap().unwrap());
        assert_eq!(told[0]["text"], format!("1 {}", "x".repeat(10 + n)), "{told:?}");
        took.push(begun.elapsed());
    }
    took.sort();
    println!(
        "a line from the request that makes a function write it to those who follow: median {:?}, longest {:?}",
        took[10], took[19]
    );
    // An actord that ends lets go of those who follow.
    drop(followers.pop());
    let mut actord = actord;
    let ended = timeout(LONG, actord.stop()).await.expect("it does not wait for those who follow");
    assert!(ended.success());
    assert_eq!(followers[0].chunk().await.unwrap(), None, "a polite end");
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_outlive_a_crash_and_actord_and_go_with_the_function() {
    let mut actord = Actord::start().await;
    actord.deploy("brittle", json!({})).await;
    let pid = actord.process("brittle");
    assert_eq!(actord.get("/function/brittle/log?lines=3&bytes=7&to=stderr").await.status, 200);
    kill(pid, Signal::KILL);
    until("it is back", async || actord.processes_of("brittle").first().is_some_and(|now| *now != pid)).await;
    until("it serves", async || actord.describe("brittle").await["availableReplicas"] == 1).await;
    let beginnings =
        |lines: Vec<Value>| lines.iter().filter(|line| line["text"].as_str().unwrap().contains("listens")).count();
    until("its successor's first line is told", async || {
        beginnings(lines(&logs(&actord, "name=brittle&tail=100").await)) == 2
    })
    .await;
    let before = logs(&actord, "name=brittle&tail=100").await;
    let told = lines(&before);
    let texts: Vec<&str> = told.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts[1..4], ["1 xxxxxxx", "2 xxxxxxx", "3 xxxxxxx"], "{texts:?}");
    assert_ne!(told[1]["instance"], told[told.len() - 1]["instance"]);

    actord.kill().await;
    actord.launch(&[]).await;
    for _ in 0..100 {
        assert_eq!(logs(&actord, "name=brittle&tail=100").await, before, "every reader is told the same");
    }
    assert_eq!(actord.delete("brittle").await.status, 202);
    for follow in ["", "&follow=true"] {
        let path = format!("/system/logs?name=brittle&tail=100{follow}");
        let answer = actord.system("GET", &path, Value::Null).await;
        let line = "function brittle.openfaas-fn not found: it has no logs\n";
        assert_eq!((answer.status, answer.text().as_str()), (404, line), "at once");
    }
    let left = || walk(&actord.data().join("logs"));
    until("no file is left of it", async || left().iter().all(|name| !name.contains("brittle"))).await;
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namesake_has_only_its_own_lines_at_once_while_the_one_before_still_ends() {
    let actord = Actord::start().await;
    let mut before: Vec<String> = Vec::new();
    for round in 0..4 {
        actord.deploy("again", json!({ "envVars": { "IGNORE_SIGTERM_MS": "2000" } })).await;
        until("its first line is told", async || tells(&actord, "name=again&tail=9", "listens").await).await;
        let told = lines(&logs(&actord, "name=again&tail=100").await);
        let instance = told[0]["instance"].as_str().unwrap().to_owned();
        assert!(told.iter().all(|line| line["instance"] == instance.as_str()), "{round}: {told:?}");
        assert!(!before.contains(&instance), "{round}: {instance}");
        let mut follower = Connection::open(actord.public).await.unwrap();
        let path = "/system/logs?name=again&follow=true&tail=100";
        follower.send(&actord.request("GET", path, &Value::Null)).await.unwrap();
        assert_eq!(follower.read_head().await.unwrap().0, 200);

        assert_eq!(actord.delete("again").await.status, 202);
        actord.deploy("again", json!({})).await;
        for _ in 0..20 {
            let told = lines(&logs(&actord, "name=again&tail=100").await);
            assert!(told.iter().all(|line| line["instance"] != instance.as_str()), "{round}: {told:?}");
        }
        let mut followed = Vec::new();
        while let Some(chunk) = timeout(LONG, follower.chunk()).await.expect("it ends").unwrap() {
            followed.extend(lines(&chunk));
        }
        assert!(followed.iter().all(|line| line["instance"] == instance.as_str()), "{round}: {followed:?}");
        before.push(instance);
        assert_eq!(actord.delete("again").await.status, 202);
    }
    actord.finish().await;
}

/// The names of all files below a directory.
fn walk(directory: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let names = |path: std::path::PathBuf| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] };
    entries.flat_map(names).collect()
}
