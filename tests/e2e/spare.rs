//! A spare on a real machine: how long callers wait when the process is killed that serves alone, with a spare and without.

use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::actord::{Actord, kill, until};
use crate::client::{Connection, Request};
use crate::freezer::Freezer;

const PERIOD: Duration = Duration::from_millis(10);
/// The load before the kill, and in all.
const BEFORE: Duration = Duration::from_millis(500);
const LOAD: Duration = Duration::from_secs(2);

/// One request: when it was sent, and when it was answered, if it was answered as it should be.
struct Call {
    sent: Instant,
    done: Instant,
    failure: Option<String>,
}

/// What a kill costs.
#[derive(Debug)]
struct Cost {
    /// The longest time without an answer.
    gap: Duration,
    failures: Vec<String>,
    /// Requests that were under way at the kill.
    in_flight: usize,
}

fn is_frozen(actord: &Actord, instance: &str) -> bool {
    Freezer::of(&actord.namespace(), instance).is_some_and(|freezer| freezer.is_frozen())
}

/// Waits until one instance of the function serves and one stands by, frozen, and returns them.
async fn stands_by(actord: &Actord) -> (String, String) {
    let mut found = None;
    until("a spare stands by, frozen", async || {
        let function = actord.describe("guarded").await;
        let told = (&function["availableReplicas"], &function["lifecycle"]["spares"]) == (&json!(1), &json!(1));
        let ids = actord.processes().into_keys().filter(|id| id.starts_with("guarded-"));
        let (frozen, awake): (Vec<_>, Vec<_>) = ids.partition(|id| is_frozen(actord, id));
        if let (true, [spare], [serving]) = (told, &*frozen, &*awake) {
            found = Some((serving.clone(), spare.clone()));
        }
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Kills the process of a function that is called a hundred times a second, whatever becomes of the calls.
async fn killed(actord: &Actord, function: &str, pid: i32) -> Cost {
    let (calls, idle) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (begun, public, path) = (Instant::now(), actord.public, format!("/function/{function}/version"));
    let killer = tokio::spawn(async move {
        sleep(BEFORE).await;
        kill(pid, Signal::KILL);
        Instant::now()
    });
    let mut callers = tokio::task::JoinSet::new();
    for number in 0.. {
        let sent = begun + PERIOD * number;
        if sent > begun + LOAD {
            break;
        }
        sleep_until(sent).await;
        let (calls, idle, request) = (calls.clone(), idle.clone(), Request::get(&path));
        callers.spawn(async move {
            let kept = idle.lock().unwrap().pop();
            let asked = async {
                let mut connection: Connection = match kept {
                    Some(kept) => kept,
                    None => Connection::open(public).await?,
                };
                let answer = connection.ask(&request).await?;
                if answer.keeps_connection() {
                    idle.lock().unwrap().push(connection);
                }
                Ok::<_, std::io::Error>(answer)
            };
            let failure = match asked.await {
                Ok(answer) if answer.status == 200 => None,
                Ok(answer) => Some(format!("{}: {}", answer.status, answer.text())),
                Err(error) => Some(error.to_string()),
            };
            calls.lock().unwrap().push(Call { sent, done: Instant::now(), failure });
        });
    }
    while callers.join_next().await.is_some() {}
    let at = killer.await.unwrap();
    let calls = std::mem::take(&mut *calls.lock().unwrap());
    let mut answers: Vec<_> = calls.iter().filter(|call| call.failure.is_none()).map(|call| call.done).collect();
    answers.sort_unstable();
    let around = answers.windows(2).filter(|pair| pair[1] >= at);
    Cost {
        gap: around.map(|pair| pair[1] - pair[0]).max().unwrap(),
        in_flight: calls.iter().filter(|call| call.sent <= at && call.done >= at).count(),
        failures: calls.into_iter().filter_map(|call| call.failure).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_the_only_replica_is_hardly_noticed_where_there_is_a_spare() {
    let mut actord = Actord::start().await;
    // It takes as long to listen as a program does that an interpreter has to read first.
    let start = json!({ "START_DELAY_MS": "200" });
    actord.deploy("alone", json!({ "envVars": start })).await;
    actord.deploy("guarded", json!({ "envVars": start, "annotations": { "actord.spare": "1" } })).await;
    stands_by(&actord).await;
    // What crashes sooner is taken for a loop, and its next start waits.
    sleep(Duration::from_secs(30)).await;
    let alone = killed(&actord, "alone", actord.process("alone")).await;

    // What else the machine does adds to a gap: the shortest of three tells most of what is actord's.
    let mut guarded = Vec::new();
    for _ in 0..3 {
        let (serving, spare) = stands_by(&actord).await;
        let pids = actord.processes();
        guarded.push(killed(&actord, "guarded", pids[&serving]).await);
        assert_eq!(actord.processes().get(&spare), pids.get(&spare), "the one that stood by serves");
        assert!(!is_frozen(&actord, &spare));
    }
    println!("killed under 100 requests a second: without a spare {alone:?}, with one {guarded:?}");
    for cost in guarded.iter().chain([&alone]) {
        assert!(cost.failures.len() <= cost.in_flight, "{cost:?}");
    }
    // The aim is a tenth, of which two processors that build something else meanwhile may leave less. (Between two requests
    // are 10 ms, which every gap has at least.)
    let gap = guarded.iter().map(|cost| cost.gap).min().unwrap();
    assert!(gap * 5 <= alone.gap, "with a spare {gap:?}, without {:?}", alone.gap);

    // A restart starts nothing: one of those that run serves, the other stands by.
    let before = stands_by(&actord).await;
    actord.stop().await;
    actord.launch(&[]).await;
    let after = stands_by(&actord).await;
    assert!(after == before || (&after.1, &after.0) == (&before.0, &before.1), "{before:?}, then {after:?}");
    assert_eq!(actord.get("/function/guarded/version").await.status, 200);
    actord.finish().await;
}
