//! Calls that nobody waits for, in a storm: they are accepted while actord, containerd, shims, instances and plugins are killed
//! at random moments. Each that was answered with 202 is answered by its function, and the answer reaches who it is sent on to.
//!
//! ```text
//! callers --202, id--> actord --> functions, which tell each call that comes and each that they answered
//!                        '-- callback --> receiver of the test
//! ```
//! A call that was under way at a kill comes again. How often that was so is counted and told: "at least once" has a price.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, Api};
use crate::client::{self, Answer, Request};
use crate::receiver::{Callback, Receiver};
use crate::storm::rounds;
use crate::victims::{Killer, victim_of};
use crate::{chosen, settled, sized};

/// Who calls, side by side.
const CALLERS: usize = 8;
/// Rounds from one look at the machine to the next: between them, what was left of a round is still under way at the next kill.
const LOOK: u64 = 5;
/// How long the machine may take until it is as it should be, and the queue from one answer to the next.
const SETTLED: Duration = Duration::from_secs(120);

/// A call that was answered with 202.
#[derive(Debug, Clone)]
struct Accepted {
    callers: String,
    function: &'static str,
    /// What the function answers.
    answer: String,
}

#[derive(Debug, Default)]
struct Book {
    /// By actord's own id.
    accepted: BTreeMap<String, Accepted>,
    /// Calls whose answer was lost with a connection: they may have been accepted.
    unanswered: usize,
    /// Answers that no caller should get.
    wrong: Vec<String>,
}

impl Book {
    /// Writes down what a call was answered; whether that was the end of it.
    fn heard(&mut self, said: std::io::Result<Answer>, call: Accepted) -> bool {
        match said {
            Ok(said) if said.status == 202 => {
                let id = said.header("x-call-id").unwrap_or_default().to_owned();
                self.accepted.insert(id, call);
                true
            }
            // Told to come again: its calls are not open yet.
            Ok(said) if said.status == 503 => false,
            Ok(said) => {
                self.wrong.push(format!("{}: {}: {}", call.function, said.status, said.text()));
                true
            }
            Err(error) => {
                // A connection that was refused was no call.
                self.unanswered += usize::from(error.kind() != std::io::ErrorKind::ConnectionRefused);
                false
            }
        }
    }
}

/// Functions of every kind that a kill could hurt, with what they are deployed with.
fn functions() -> [(&'static str, Value); 5] {
    [
        ("called-plain", json!({})),
        ("called-ordered", json!({ "annotations": { "com.openfaas.queue.max-inflight": "1" } })),
        ("called-frozen", json!({ "annotations": { "actord.freeze-after": "1s" } })),
        (
            "called-asleep",
            json!({ "labels": { "com.openfaas.scale.zero": "true", "com.openfaas.scale.zero-duration": "2s" } }),
        ),
        ("called-twofold", json!({ "labels": { "com.openfaas.scale.min": "2" } })),
    ]
}

struct Storm {
    actord: Actord,
    receiver: Receiver,
    killer: Killer,
    book: Arc<Mutex<Book>>,
    /// What instances wrote, by file. Only some of those that are gone are kept.
    logs: BTreeMap<String, String>,
    longest: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_were_accepted_are_answered_whatever_is_killed_at_random_moments() {
    let (rounds, calls) = (rounds(), sized(300, 10_000));
    let seed = chosen("SEED").unwrap_or_else(|| rand::random_range(0..1_000_000));
    println!("storm of calls: SEED={seed}");
    let mut storm = Storm::brew(seed).await;
    let each = calls.div_ceil(usize::try_from(rounds).unwrap());
    for round in 1..=rounds {
        storm.round(round, each).await;
        if round.is_multiple_of(10) {
            let accepted = storm.book.lock().unwrap().accepted.len();
            println!("storm of calls: {round} rounds, {accepted} calls accepted, kills {:?}", storm.killer.kills);
        }
    }
    storm.ends(rounds).await;
}

impl Storm {
    async fn brew(seed: u64) -> Self {
        let receiver = Receiver::start().await;
        let to = receiver.address.to_string();
        let settings = ["--grace-period", "5s", "--host-timeout", "15s", "--callback-allow", &to];
        let actord = Actord::start_with(&settings).await;
        let rule = json!({
            "com.openfaas.retry.attempts": "50",
            "com.openfaas.retry.min_wait": "100ms",
            "com.openfaas.retry.max_wait": "2s",
        });
        for (name, mut function) in functions() {
            let mut annotations = rule.clone();
            if let Some(own) = function["annotations"].as_object() {
                annotations.as_object_mut().unwrap().extend(own.clone());
            }
            function["annotations"] = annotations;
            function["envVars"] = json!({ "LOG_CALLS": "1" });
            actord.deploy(name, function).await;
        }
        let killer = Killer::new(seed, "called-");
        let (book, logs) = (Arc::default(), BTreeMap::new());
        Self { actord, receiver, killer, book, logs, longest: Duration::ZERO }
    }

    async fn round(&mut self, round: u64, calls: usize) {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let numbers: Vec<usize> = (0..calls).filter(|number| number % CALLERS == caller).collect();
                let caller = Caller {
                    api: self.actord.api(),
                    callback: self.receiver.url("/answers"),
                    book: self.book.clone(),
                    rng: StdRng::seed_from_u64(self.killer.rng.random()),
                };
                tokio::spawn(caller.call(round, numbers))
            })
            .collect();
        let victim = victim_of(round);
        self.killer.strike(&mut self.actord, victim).await;
        for caller in callers {
            caller.await.unwrap();
        }
        let wrong = std::mem::take(&mut self.book.lock().unwrap().wrong);
        assert!(wrong.is_empty(), "round {round}, {victim} killed: {wrong:#?}\n{}", self.actord.log());
        if round.is_multiple_of(LOOK) {
            self.settles(round, victim).await;
        }
        self.keep_logs();
    }

    /// Waits until the machine holds what the API says.
    async fn settles(&mut self, round: u64, victim: &str) {
        let begun = Instant::now();
        loop {
            let faults = settled::faults(&self.actord, &settled::shown(&self.actord).await);
            if faults.is_empty() {
                break;
            }
            let log = || self.actord.log();
            assert!(begun.elapsed() < SETTLED, "round {round}, {victim} killed, not settled: {faults:#?}\n{}", log());
            sleep(Duration::from_millis(100)).await;
        }
        self.longest = self.longest.max(begun.elapsed());
    }

    fn keep_logs(&mut self) {
        let logs = self.actord.data().join("logs");
        for directory in [logs.join("ended"), logs] {
            for file in fs::read_dir(directory).into_iter().flatten().flatten() {
                let name = file.file_name().into_string().unwrap();
                if name.ends_with(".log")
                    && let Ok(text) = fs::read_to_string(file.path())
                {
                    self.logs.insert(name, text);
                }
            }
        }
    }

    /// Waits until nothing is left to do, counts, and looks for what is left.
    async fn ends(mut self, rounds: u64) {
        let begun = Instant::now();
        let (mut came, mut last) = (0, begun);
        while let Some(left) = self.left().await {
            if self.receiver.count() > came {
                (came, last) = (self.receiver.count(), Instant::now());
            }
            assert!(last.elapsed() < SETTLED, "calls wait for ever: {left}\n{}", self.actord.log());
            sleep(Duration::from_millis(100)).await;
        }
        let drained = begun.elapsed();
        self.settles(rounds, "nobody").await;
        self.keep_logs();
        let book = std::mem::take(&mut *self.book.lock().unwrap());
        let mut came: BTreeMap<String, Vec<Callback>> = BTreeMap::new();
        for callback in self.receiver.seen() {
            came.entry(callback.call().to_owned()).or_default().push(callback);
        }
        let (mut lost, mut told, mut wrong) = (Vec::new(), 0, Vec::new());
        for (id, call) in &book.accepted {
            match came.get(id) {
                Some(callbacks) => wrong.extend(callbacks.iter().filter_map(|it| call.differs(it))),
                None if self.has_answer(id).await => told += 1,
                None => lost.push((id, call)),
            }
        }
        let killed: usize = self.killer.kills.values().sum();
        let starts = starts(&self.logs, &book);
        let (twice, most) =
            (starts.values().filter(|count| **count > 1).count(), starts.values().max().copied().unwrap_or(0));
        let again: usize = starts.values().map(|count| count - 1).sum();
        println!(
            "storm of calls: {rounds} rounds, {} calls accepted, {} more unanswered, {killed} kills {:?}, {} lost, {told} told by \
             the API alone; started more than once: {twice} calls, {again} starts too many, {most} starts at most; callbacks that \
             came again: {}; starts that no log told: {}; settled within {:.1} s, drained within {:.1} s",
            book.accepted.len(),
            book.unanswered,
            self.killer.kills,
            lost.len(),
            came.values().map(|callbacks| callbacks.len() - 1).sum::<usize>(),
            book.accepted.len() - starts.len(),
            self.longest.as_secs_f64(),
            drained.as_secs_f64(),
        );
        assert!(lost.is_empty(), "{lost:#?}\n{}", self.actord.log());
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(killed > 0 && book.accepted.len() >= usize::try_from(rounds).unwrap());
        self.actord.finish().await;
    }

    /// What of the queue is not done yet.
    async fn left(&self) -> Option<Value> {
        let answer = self.actord.system("GET", "/system/queues", Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let queues: Value = serde_json::from_slice(&answer.body).unwrap();
        let busy = |queue: &Value| ["waiting", "retrying", "inFlight", "callbacks"].iter().any(|key| queue[key] != 0);
        let left: Vec<Value> = queues.as_array().unwrap().iter().filter(|queue| busy(queue)).cloned().collect();
        (!left.is_empty()).then_some(Value::Array(left))
    }

    /// Whether the API tells the end of a call, with an answer.
    async fn has_answer(&self, id: &str) -> bool {
        let answer = self.actord.system("GET", &format!("/system/call/{id}"), Value::Null).await;
        let call: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        call["ended"].is_string() && call["answer"].is_object()
    }
}

impl Accepted {
    /// What is wrong with an answer that was sent on.
    fn differs(&self, callback: &Callback) -> Option<String> {
        let function = format!("{}.openfaas-fn", self.function);
        let told = |name: &str| callback.header(name).unwrap_or_default().to_owned();
        let found = (told("x-call-id"), told("x-function-name"), told("x-function-status"), callback.text());
        let due = (self.callers.clone(), function, "200".to_owned(), self.answer.clone());
        (found != due).then(|| format!("{found:?} came, and not {due:?}"))
    }
}

/// How often each of the calls began, of those that began at all where a log tells it.
fn starts(logs: &BTreeMap<String, String>, book: &Book) -> BTreeMap<String, usize> {
    let mut starts = BTreeMap::new();
    let lines = logs.values().flat_map(|log| log.lines());
    let begun = lines.filter_map(|line| line.strip_prefix("call ")?.strip_suffix(" begins"));
    for id in begun.filter(|id| book.accepted.contains_key(*id)) {
        *starts.entry(id.to_owned()).or_default() += 1;
    }
    starts
}

struct Caller {
    api: Api,
    callback: String,
    book: Arc<Mutex<Book>>,
    rng: StdRng,
}

impl Caller {
    /// Makes these calls, one after the other, each as often as it takes to be accepted.
    async fn call(mut self, round: u64, numbers: Vec<usize>) {
        for number in numbers {
            sleep(Duration::from_millis(self.rng.random_range(0..200))).await;
            let (function, _) = functions()[self.rng.random_range(0..5)].clone();
            // Some are under way for as long as it takes a kill to find them.
            let is_long = self.rng.random_bool(0.3);
            for attempt in 0.. {
                let callers = format!("{round}-{number}-{attempt}");
                let (path, answer) = if is_long {
                    ("sleep?ms=300", "slept 300 ms\n".to_owned())
                } else {
                    ("echo", format!("call {callers}"))
                };
                let request = Request::new("POST", &format!("/async-function/{function}/{path}"))
                    .header("X-Call-Id", &callers)
                    .header("X-Callback-Url", &self.callback)
                    .body(format!("call {callers}"));
                let said = client::ask(self.api.public, request).await;
                if self.book.lock().unwrap().heard(said, Accepted { callers, function, answer }) {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
