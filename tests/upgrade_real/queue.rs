//! Calls that nobody waits for, over restarts and from an earlier program to today's: two hundred a second are accepted all the
//! while. None is refused or lost, and none begins again that was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::manager::{Manager, until};
use crate::raw_client::{Answer, Connection, Fault};
use crate::receiver::Receiver;

const TODAY: &str = env!("CARGO_BIN_EXE_actord");
/// From one call to the next.
const PACE: Duration = Duration::from_millis(5);
/// A connection that was not used for this long may be about to end, and what can't be sent twice is not sent on it.
const IDLE: Duration = Duration::from_millis(250);

/// Calls between two restarts, and restarts: a short form, and a long one for `make soak`.
fn extent() -> (usize, usize) {
    if std::env::var_os("ACTORD_SOAK").is_some() { (1_000, 5) } else { (300, 2) }
}

/// What came of the calls.
#[derive(Debug, Default)]
struct Book {
    /// Ids by the 202.
    accepted: BTreeSet<String>,
    /// Answers that said there is no queue.
    without: usize,
    /// Everything else that came, and when.
    refused: Vec<String>,
}

struct Shared {
    public: SocketAddr,
    callback: String,
    over: AtomicBool,
    answered: AtomicUsize,
    kept: Mutex<Vec<(Connection, Instant)>>,
    book: Mutex<Book>,
}

/// Callers in an open loop: each call is made when its time has come, however many are not answered yet.
struct Calls {
    shared: Arc<Shared>,
    pacer: JoinHandle<()>,
}

impl Calls {
    fn start(public: SocketAddr, receiver: &Receiver) -> Self {
        let shared = Arc::new(Shared {
            public,
            callback: receiver.url("/answers"),
            over: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            kept: Mutex::default(),
            book: Mutex::default(),
        });
        Self { pacer: tokio::spawn(pace(shared.clone())), shared }
    }

    /// Waits until so many were answered, in all.
    async fn reach(&self, count: usize) {
        until("so many calls are answered", async || self.shared.answered.load(Ordering::Relaxed) >= count).await;
    }

    async fn end(self) -> Book {
        self.shared.over.store(true, Ordering::Relaxed);
        self.pacer.await.unwrap();
        std::mem::take(&mut *self.shared.book.lock().unwrap())
    }
}

async fn pace(shared: Arc<Shared>) {
    let (begun, mut calls) = (Instant::now(), JoinSet::new());
    for number in 0_u32.. {
        sleep_until(begun + PACE * number).await;
        if shared.over.load(Ordering::Relaxed) {
            break;
        }
        calls.spawn(one(shared.clone(), number));
    }
    calls.join_all().await;
}

async fn one(shared: Arc<Shared>, number: u32) {
    let answer = ask(&shared, number).await;
    let mut book = shared.book.lock().unwrap();
    match answer {
        Ok(answer) if answer.status == 202 => {
            let id = answer.header("x-call-id").unwrap_or_default().to_owned();
            assert!(book.accepted.insert(id), "two calls have an id");
        }
        // As a program says it that has no queue.
        Ok(answer) if answer.status == 501 && book.accepted.is_empty() => book.without += 1,
        Ok(answer) => book.refused.push(format!("call {number}: {}{}", answer.head, answer.text())),
        Err(fault) => book.refused.push(format!("call {number}: {fault}")),
    }
    shared.answered.fetch_add(1, Ordering::Relaxed);
}

async fn ask(shared: &Shared, number: u32) -> Result<Answer, Fault> {
    let keeps = number.is_multiple_of(4);
    let kept = || {
        let (connection, used) = shared.kept.lock().unwrap().pop()?;
        (used.elapsed() < IDLE && !connection.is_closed()).then_some(connection)
    };
    let mut connection = match kept().filter(|_| keeps) {
        Some(connection) => connection,
        None => Connection::open(shared.public).await?,
    };
    // Some are under way whenever a restart comes.
    let path = format!("/async-function/hello/{}", if number.is_multiple_of(10) { "sleep?ms=300" } else { "echo" });
    let ends = if keeps { "" } else { "Connection: close\r\n" };
    let headers = format!("X-Callback-Url: {}\r\n{ends}", shared.callback);
    let answer = connection.send("POST", &path, &headers, number.to_string().as_bytes()).await?;
    if keeps && !answer.closes() {
        shared.kept.lock().unwrap().push((connection, Instant::now()));
    }
    Ok(answer)
}

/// The sample function under this program.
async fn deployed(program: &Path, settings: &[String]) -> Manager {
    let mut manager = Manager::new();
    (manager.program, manager.actord.settings) = (program.to_owned(), settings.to_vec());
    manager.start().await;
    let hello = r#"{"service":"hello","image":"docker.io/test/hello:1","envVars":{"LOG_CALLS":"1"},
        "annotations":{"com.openfaas.queue.max-inflight":"40"}}"#;
    manager.ask("POST", "/system/functions", hello).await;
    manager
}

/// So that callbacks may go to this receiver.
fn settings(receiver: &Receiver) -> Vec<String> {
    vec!["--callback-allow".to_owned(), receiver.address.to_string()]
}

/// Whether a program has a queue.
fn has_queue(program: &Path) -> bool {
    let help = Command::new(program).args(["up", "--help"]).output().unwrap();
    String::from_utf8_lossy(&help.stdout).contains("--callback-allow")
}

/// Waits until nothing is left to do, and compares what was accepted with what the function and the receiver saw.
async fn is_whole(manager: &Manager, receiver: &Receiver, book: &Book) {
    assert_eq!(book.refused, [""; 0], "{}", manager.actord.end_of_log());
    until("every accepted call is answered and sent on", async || {
        let came: BTreeSet<String> = receiver.seen().iter().map(|callback| callback.call().to_owned()).collect();
        book.accepted.is_subset(&came)
    })
    .await;
    until("nothing is left in the queue", async || {
        let queues = manager.ask("GET", "/system/queues", "").await;
        let queues: serde_json::Value = serde_json::from_str(&queues).unwrap();
        let idle = |queue: &serde_json::Value| queue["waiting"] == 0 && queue["callbacks"] == 0;
        queues.as_array().unwrap().iter().all(idle)
    })
    .await;
    // The status of each answer that was sent on.
    let mut came: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for callback in receiver.seen() {
        let status = callback.header("x-function-status").unwrap_or_default().to_owned();
        came.entry(callback.call().to_owned()).or_default().push(status);
    }
    let logs = manager.actord.directory().join("data/logs");
    let logs =
        fs::read_dir(logs).unwrap().flatten().filter(|file| file.path().extension().is_some_and(|it| it == "log"));
    let log: String = logs.map(|file| fs::read_to_string(file.path()).unwrap()).collect();
    let mut begun: BTreeMap<&str, usize> = BTreeMap::new();
    for id in log.lines().filter_map(|line| line.strip_prefix("call ")?.strip_suffix(" begins")) {
        *begun.entry(id).or_default() += 1;
    }
    let again: Vec<_> = begun.iter().filter(|(_, times)| **times > 1).collect();
    let twice: Vec<_> = came.iter().filter(|(_, callbacks)| callbacks.len() > 1).collect();
    println!(
        "calls over restarts: {} accepted, {} refused, {} answered by a program without a queue; {} begun, {} of them again; {} \
         sent on, {} of them again",
        book.accepted.len(),
        book.refused.len(),
        book.without,
        begun.len(),
        again.len(),
        came.len(),
        twice.len(),
    );
    assert!(again.is_empty(), "these began again: {again:?}\n{}", manager.actord.end_of_log());
    assert!(twice.is_empty(), "these were sent on again: {twice:?}");
    let failed: Vec<_> = came.iter().filter(|(_, all)| all[0] != "200").collect();
    assert!(failed.is_empty(), "{failed:?}");
    let ids = |ids: &BTreeMap<String, _>| ids.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(ids(&came), book.accepted);
    assert_eq!(begun.keys().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(), book.accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_under_calls_that_nobody_waits_for_refuse_and_lose_none_and_begin_none_again() {
    let (each, restarts) = extent();
    let receiver = Receiver::start().await;
    let mut manager = deployed(Path::new(TODAY), &settings(&receiver)).await;
    let calls = Calls::start(manager.actord.public, &receiver);
    for round in 1..=restarts {
        calls.reach(round * each).await;
        assert!(manager.actord.stop().await.success(), "{}", manager.actord.end_of_log());
        manager.start().await;
    }
    calls.reach((restarts + 1) * each).await;
    let book = calls.end().await;
    assert_eq!(book.without, 0);
    is_whole(&manager, &receiver, &book).await;
    manager.actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_accepted_while_todays_program_follows_an_earlier_one() {
    let Some(before) = std::env::var_os("ACTORD_BEFORE").filter(|path| !path.is_empty()) else {
        println!("ACTORD_BEFORE names no earlier program: nothing is taken over");
        return;
    };
    let (each, _) = extent();
    let receiver = Receiver::start().await;
    let before = PathBuf::from(before);
    let (had_queue, settings) = (has_queue(&before), settings(&receiver));
    let mut manager = deployed(&before, if had_queue { &settings } else { &[] }).await;
    let calls = Calls::start(manager.actord.public, &receiver);
    calls.reach(each).await;
    assert!(manager.actord.stop().await.success(), "{}", manager.actord.end_of_log());
    (manager.program, manager.actord.settings) = (TODAY.into(), settings);
    manager.start().await;
    calls.reach(2 * each).await;
    let book = calls.end().await;
    assert_eq!(book.without == 0, had_queue, "{book:?}");
    assert!(!book.accepted.is_empty());
    is_whole(&manager, &receiver, &book).await;
    manager.actord.finish().await;
}
