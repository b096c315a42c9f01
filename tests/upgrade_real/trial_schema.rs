//! An upgrade to a program whose tables the one before can't read: until it has passed nothing is accepted that going back would
//! lose, and going back has the databases as they were.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use actord::store::{Store, StoreError};
use serde_json::Value;
use tokio::time::sleep;

use crate::machine::{Machine, Said};
use crate::manager::until;

const DEPLOY: &str = r#"{"service":"new","image":"docker.io/test/hello:1"}"#;
/// Calls that are accepted before an upgrade and have to be there after it.
const CALLS: usize = 20;

/// The ids of calls of `later`, which is kept down, so that they wait.
async fn accepted(machine: &Machine) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for number in 0..CALLS {
        let answer = machine.manager.actord.call("POST", "/async-function/later", &number.to_string()).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        ids.insert(answer.header("x-call-id").unwrap().to_owned());
    }
    assert_eq!(ids.len(), CALLS);
    ids
}

/// The ids of all calls of a function, as far as they are kept.
async fn calls(machine: &Machine, of: &str) -> BTreeSet<String> {
    let page = machine.manager.ask("GET", &format!("/system/calls?function={of}&limit=1000"), "").await;
    let page: Value = serde_json::from_str(&page).unwrap();
    page["calls"].as_array().unwrap().iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect()
}

/// The names of all functions.
async fn functions(machine: &Machine) -> BTreeSet<String> {
    let list: Vec<Value> = serde_json::from_str(&machine.manager.ask("GET", "/system/functions", "").await).unwrap();
    list.iter().map(|function| function["name"].as_str().unwrap().to_owned()).collect()
}

/// Tries to have a change and a call accepted. What was not told to wait for a trial's end, as it was answered.
async fn not_held(machine: &Machine) -> Vec<String> {
    let mut found = Vec::new();
    for (method, path, body) in [
        ("POST", "/system/functions", DEPLOY),
        ("POST", "/async-function/hello", "x"),
        ("DELETE", "/system/secrets", "{}"),
    ] {
        let answer = machine.manager.actord.call(method, path, body).await.unwrap();
        let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
        let is_told = answer.text().contains("on trial") && seconds.is_some_and(|seconds| (1..=20).contains(&seconds));
        if answer.status != 503 || !is_told {
            found.push(format!("{method} {path}: {}{}", answer.head, answer.text()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_before_a_trial_of_another_schema_is_there_after_going_back() {
    let machine = Machine::start().await;
    machine.manager.deploy("later").await;
    machine.manager.ask("POST", "/system/function/later/stop", "").await;
    let ids = accepted(&machine).await;
    let deployed = functions(&machine).await;
    let store = machine.manager.actord.directory().join("data/actord.db");

    for words in ["next-schema refuses-store", "next-schema dies-late"] {
        let (load, clients) = machine.load().await;
        let bad = machine.other(words);
        let caller = machine.begin(&bad, &[]);
        if words.ends_with("dies-late") {
            machine.reaches("trial").await;
            // The first answer comes from the new program: the old one has ended, and no third one is started.
            assert_eq!(not_held(&machine).await, [""; 0], "{}", machine.story());
        }
        let said = Said::by(caller).await;
        std::fs::remove_file(&bad).unwrap();
        let (outcome, reason) = machine.outcome().await;
        assert_eq!(outcome, "went-back", "{words}: {reason}\n{said:?}\n{}", machine.story());
        assert!(machine.runs_today(), "{words}: {}", machine.story());
        let answered = load.answered();
        load.reaches(answered + 200).await;
        let seen = load.finish().await;
        println!("{words} ({reason}): {seen}");
        let bound = if words.ends_with("dies-late") { clients } else { 0 };
        assert!(seen.failed.len() <= bound, "{words}: {:?}\n{}", seen.failed, machine.story());

        assert!(Store::read(&store).is_ok(), "{words}: the store is one of today's again");
        assert_eq!(functions(&machine).await, deployed, "{words}");
        assert_eq!(calls(&machine, "later").await, ids, "{words}");
    }

    // They were not begun, and each is made once now.
    machine.manager.ask("POST", "/system/function/later/start", "").await;
    for id in &ids {
        let mut call = Value::Null;
        until("the call has ended", async || {
            call = serde_json::from_str(&machine.manager.ask("GET", &format!("/system/call/{id}"), "").await).unwrap();
            !call["ended"].is_null()
        })
        .await;
        assert_eq!((&call["state"], &call["tries"]), (&"done".into(), &1.into()), "{call}");
    }
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_program_of_another_schema_takes_changes_and_calls_when_its_trial_is_passed_and_not_before() {
    let machine = Machine::start().await;
    let ticking = r#"{"service":"ticking","image":"docker.io/test/hello:1",
        "annotations":{"topic":"cron-function","schedule":"@every 1s"}}"#;
    machine.manager.ask("POST", "/system/functions", ticking).await;
    until("a schedule fires", async || !calls(&machine, "ticking").await.is_empty()).await;
    let before = machine.manager.functions();
    let (load, _) = machine.load().await;
    let good = machine.other("next-schema");
    let caller = machine.begin(&good, &[]);
    machine.reaches("trial").await;
    let fired = calls(&machine, "ticking").await;
    let (mut held, mut still) = (0, 0);
    while machine.step().as_deref() == Some("trial") {
        let now = calls(&machine, "ticking").await;
        let passed = not_held(&machine).await;
        // Whatever was asked before it had passed.
        if machine.step().as_deref() == Some("trial") {
            assert_eq!(now, fired, "a schedule fired");
            assert_eq!(passed, [""; 0], "{}", machine.story());
            (held, still) = (held + 1, now.len());
        }
        sleep(Duration::from_millis(100)).await;
    }
    let said = Said::by(caller).await;
    assert_eq!(machine.outcome().await, ("passed".to_owned(), String::new()), "{said:?}\n{}", machine.story());
    assert!(said.is_good && held > 10, "{held} looks: {said:?}");
    assert!(machine.runs(&good));

    until("a schedule fires again", async || calls(&machine, "ticking").await.len() > still).await;
    until("a call is taken", async || machine.status("POST", "/async-function/hello", "x").await == 202).await;
    let other = DEPLOY.replace("new", "newer");
    assert_eq!(machine.status("POST", "/system/functions", &other).await, 202);
    let seen = load.finish().await;
    println!("a good upgrade to another schema: {seen}");
    assert_eq!(seen.failed, [""; 0], "{}", machine.story());
    assert!(before.iter().all(|pid| machine.manager.functions().contains(pid)), "functions were left alone");
    let store = Path::new("data/actord.db");
    let read = Store::read(&machine.manager.actord.directory().join(store));
    assert!(matches!(read, Err(StoreError::Newer { .. })), "it was another schema: {read:?}");
    machine.finish().await;
}
