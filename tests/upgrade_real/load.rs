//! Clients that go on whatever happens, and count what they see.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::raw_client::{Answer, Connection, Fault};

/// A connection that was not used for this long is idle: a draining actord waits not much longer.
const IDLE: Duration = Duration::from_millis(250);

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    /// Every request that was refused, reset, cut short or answered with something else than expected.
    pub(crate) failed: Vec<String>,
    /// Kept-alive connections that had ended when the next request was due: no failure, HTTP allows it.
    pub(crate) reopened: usize,
    /// Requests that crossed with the end of an idle connection: RFC 9112 has an idempotent one sent again. Each was, once.
    /// On a connection that was not idle for long, the same is a failure: its client should have been told to close it.
    pub(crate) crossed: usize,
    times: Vec<Duration>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failed.extend(other.failed);
        self.reopened += other.reopened;
        self.crossed += other.crossed;
        self.times.extend(other.times);
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 1000).or(times.last()).copied().unwrap_or_default();
        write!(
            out,
            "{} requests, {} failed, {} reopened, {} crossed, median {:?}, p99 {:?}, longest {:?}",
            self.requests,
            self.failed.len(),
            self.reopened,
            self.crossed,
            at(500),
            at(990),
            times.last().copied().unwrap_or_default(),
        )
    }
}

/// What a client asks for, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Habit {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    /// How long the answer's body must be.
    pub(crate) expected: usize,
    /// Whether it keeps its connection.
    pub(crate) keeps: bool,
    /// The pause between an answer and the next request.
    pub(crate) pause: Duration,
}

/// Many clients at once.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: JoinSet<Seen>,
}

impl Load {
    /// Starts a client for each habit.
    pub(crate) fn start(address: SocketAddr, habits: Vec<Habit>) -> Self {
        let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for habit in habits {
            clients.spawn(client(address, habit, over.clone(), sent.clone()));
        }
        Self { over, sent, clients }
    }

    /// Waits until so many requests were answered, in all.
    pub(crate) async fn reaches(&self, count: usize) {
        let begun = Instant::now();
        while self.sent.load(Ordering::Relaxed) < count {
            assert!(begun.elapsed() < Duration::from_secs(300), "the load stands still");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many requests were answered, in all.
    pub(crate) fn answered(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Lets every client finish its request.
    pub(crate) async fn finish(self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for seen in self.clients.join_all().await {
            all.add(seen);
        }
        all
    }
}

async fn client(address: SocketAddr, habit: Habit, over: Arc<AtomicBool>, sent: Arc<AtomicUsize>) -> Seen {
    let mut seen = Seen::default();
    let mut kept: Option<Connection> = None;
    let mut last_used = Instant::now();
    while !over.load(Ordering::Relaxed) {
        if kept.as_ref().is_some_and(Connection::is_closed) {
            seen.reopened += 1;
            kept = None;
        }
        let begun = Instant::now();
        let idle = kept.is_some() && last_used.elapsed() >= IDLE;
        if idle && habit.method != "GET" {
            // What can't be sent twice is not sent on a connection that may be about to end.
            kept = None;
        }
        let mut done = ask(address, &habit, &mut kept).await;
        if idle && habit.method == "GET" && matches!(done, Err(Fault::Unanswered(_))) {
            seen.crossed += 1;
            done = ask(address, &habit, &mut kept).await;
        }
        last_used = Instant::now();
        seen.requests += 1;
        seen.times.push(begun.elapsed());
        match done {
            Ok(answer) if answer.status == 200 && answer.body.len() == habit.expected => {}
            Ok(answer) => {
                seen.failed.push(format!("{} {}: {}{}", habit.method, habit.path, answer.head, answer.text()));
            }
            Err(fault) => seen.failed.push(format!("{} {}: {fault}", habit.method, habit.path)),
        }
        sent.fetch_add(1, Ordering::Relaxed);
        sleep(habit.pause).await;
    }
    seen
}

/// One request, on the kept connection if there is one; keeps the connection if that is the habit.
async fn ask(address: SocketAddr, habit: &Habit, kept: &mut Option<Connection>) -> Result<Answer, Fault> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(address).await?,
    };
    let headers = if habit.keeps { "" } else { "Connection: close\r\n" };
    let answer = connection.send(habit.method, &habit.path, headers, &habit.body).await?;
    if habit.keeps && !answer.closes() {
        *kept = Some(connection);
    }
    Ok(answer)
}
