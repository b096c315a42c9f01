//! Load in an open loop: requests are sent when their time has come, however many are still without an answer, and
//! every one is timed from when it should have been sent. On plain TCP streams, with no code of actord's.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use crate::client::{Connection, Request};

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a connection is kept that is not used: well below `keep-alive-timeout`, or a request would meet the connection's end.
const KEPT: Duration = Duration::from_secs(30);

/// What is asked for, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A short request on a connection that is kept.
    Kept,
    /// A short request on a connection of its own.
    New,
    /// One that takes three seconds.
    Long,
    /// An answer that comes bit by bit, for a second.
    Streamed,
}

impl Kind {
    /// 65 % kept, 30 % new, 2 % long, 3 % streamed.
    fn of(number: usize) -> Self {
        match number % 100 {
            7 | 57 => Self::Long,
            13 | 43 | 83 => Self::Streamed,
            n if n % 10 < 3 => Self::New,
            _ => Self::Kept,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    functions: Vec<String>,
    /// What each call says of who calls, if anything.
    authorization: Option<String>,
    /// Those that are kept, the one that was used last at the end, with when that was.
    idle: Mutex<Vec<(Connection, Instant)>>,
    /// Whether something happens now that the answers are to be looked at apart for.
    event: AtomicBool,
    over: AtomicBool,
    sent: AtomicUsize,
    failures: Mutex<Vec<String>>,
    /// Short requests' latencies: apart from the event, during it.
    calm: Mutex<Vec<Duration>>,
    stormy: Mutex<Vec<Duration>>,
}

impl Shared {
    /// A connection that was used not long ago, if there is one.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap();
        match idle.pop() {
            Some((connection, used)) if used.elapsed() < KEPT => Some(connection),
            _ => {
                // The others were used even longer ago.
                idle.clear();
                None
            }
        }
    }
}

/// Load that runs until it is ended.
pub struct Load {
    shared: Arc<Shared>,
    pacer: JoinHandle<()>,
}

/// What became of a load.
#[derive(Debug)]
pub struct Report {
    pub sent: usize,
    /// Every reset, error, short body and answer that is not the function's own.
    pub failures: Vec<String>,
    pub calm: Latencies,
    pub stormy: Latencies,
}

/// Sorted latencies.
#[derive(Debug)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// In milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Load {
    /// Calls the functions in turn, so many times a second.
    pub fn start(to: SocketAddr, functions: &[&str], per_second: u32) -> Self {
        Self::start_as(None, to, functions, per_second)
    }

    /// The same with this `Authorization`.
    pub fn start_as(authorization: Option<String>, to: SocketAddr, functions: &[&str], per_second: u32) -> Self {
        let functions = functions.iter().map(|name| (*name).to_owned()).collect();
        let shared = Arc::new(Shared { functions, authorization, ..Shared::default() });
        let pacer = tokio::spawn(pace(shared.clone(), to, per_second));
        Self { shared, pacer }
    }

    /// Latencies from now on count as those of the event, or no longer.
    pub fn event(&self, on: bool) {
        self.shared.event.store(on, Ordering::Relaxed);
    }

    pub fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Ends it when every request that was sent has come to something.
    pub async fn end(self) -> Report {
        self.shared.over.store(true, Ordering::Relaxed);
        self.pacer.await.unwrap();
        let taken = |latencies: &Mutex<Vec<Duration>>| {
            let mut latencies = std::mem::take(&mut *latencies.lock().unwrap());
            latencies.sort_unstable();
            Latencies(latencies)
        };
        Report {
            sent: self.shared.sent.load(Ordering::Relaxed),
            failures: std::mem::take(&mut *self.shared.failures.lock().unwrap()),
            calm: taken(&self.shared.calm),
            stormy: taken(&self.shared.stormy),
        }
    }
}

async fn pace(shared: Arc<Shared>, to: SocketAddr, per_second: u32) {
    let begun = Instant::now();
    let mut requests = tokio::task::JoinSet::new();
    for number in 0_u32.. {
        // Behind its time it sends at once.
        let due = begun + Duration::from_secs(1) * number / per_second;
        sleep_until(due).await;
        if shared.over.load(Ordering::Relaxed) {
            break;
        }
        shared.sent.fetch_add(1, Ordering::Relaxed);
        requests.spawn(one(shared.clone(), to, number as usize, due));
        while requests.try_join_next().is_some() {}
    }
    while requests.join_next().await.is_some() {}
}

async fn one(shared: Arc<Shared>, to: SocketAddr, number: usize, due: Instant) {
    let event = shared.event.load(Ordering::Relaxed);
    let kind = Kind::of(number);
    let function = &shared.functions[number % shared.functions.len()];
    let failure = match timeout(PATIENCE, ask(&shared, to, function, kind)).await {
        Ok(Ok(())) => {
            if matches!(kind, Kind::Kept | Kind::New) {
                let latencies = if event { &shared.stormy } else { &shared.calm };
                latencies.lock().unwrap().push(due.elapsed());
            }
            return;
        }
        Ok(Err(reason)) => reason,
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    let line = format!("request {number} ({kind:?}, {function}), after {:?}: {failure}", due.elapsed());
    shared.failures.lock().unwrap().push(line);
}

async fn ask(shared: &Shared, to: SocketAddr, function: &str, kind: Kind) -> Result<(), String> {
    let (path, expected) = match kind {
        Kind::Kept | Kind::New => ("version", None),
        Kind::Long => ("sleep?ms=3000", Some("slept 3000 ms\n".to_owned())),
        Kind::Streamed => ("stream?n=20&ms=50", Some((1..=20).map(|n| format!("tick {n}\n")).collect())),
    };
    let mut request = Request::get(&format!("/function/{function}/{path}"));
    if let Some(authorization) = &shared.authorization {
        request = request.header("Authorization", authorization);
    }
    let kept = if kind == Kind::New { None } else { shared.kept() };
    if kind == Kind::New {
        request = request.close();
    }
    let mut connection = match kept {
        Some(connection) => connection,
        None => Connection::open(to).await.map_err(|error| format!("connect: {error}"))?,
    };
    let answer = connection.ask(&request).await.map_err(|error| error.to_string())?;
    if kind != Kind::New && answer.keeps_connection() {
        shared.idle.lock().unwrap().push((connection, Instant::now()));
    }
    let text = answer.text();
    let whole = expected.map_or_else(|| matches!(text.as_str(), "1\n" | "2\n"), |expected| text == expected);
    if answer.status == 200 && whole { Ok(()) } else { Err(format!("{}: {text:?}", answer.status)) }
}
