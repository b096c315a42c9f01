//! Load that rises to so many calls a second and falls again, in an open loop: a call is sent when its time has come,
//! however many are still without an answer. Meanwhile the function's replicas are counted, by their processes.
//!
//! ```no_run
//! let seen = Ramp { peak: 400.0, rise: SIDE, hold: SIDE, fall: SIDE, path }.run(&actord, "worker").await;
//! ```
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use crate::actord::Actord;
use crate::client::{Connection, Request};

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(60);
/// A connection that was not used for longer is not used again: the server may be about to close it.
const KEPT: Duration = Duration::from_secs(10);

type Idle = Arc<Mutex<Vec<(Connection, Instant)>>>;

/// Calls a second over time: a straight line up, a while at the peak, a straight line down.
pub struct Ramp {
    pub peak: f64,
    pub rise: Duration,
    pub hold: Duration,
    pub fall: Duration,
    /// What is asked for, below `/function/`.
    pub path: String,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Seen {
    pub sent: usize,
    pub failures: Vec<String>,
    /// Of the calls that were answered.
    pub times: Vec<Duration>,
    /// Once a second: calls that were sent since, and replicas that run.
    pub seconds: Vec<(usize, usize)>,
}

impl Seen {
    /// The most replicas that ran at the same time.
    pub fn most(&self) -> usize {
        self.seconds.iter().map(|(_, replicas)| *replicas).max().unwrap_or(0)
    }

    /// Every so many seconds, `calls/replicas`.
    pub fn series(&self, every: usize) -> String {
        let shown = self.seconds.iter().step_by(every).map(|(calls, replicas)| format!("{calls}/{replicas}"));
        shown.collect::<Vec<_>>().join(" ")
    }
}

impl Ramp {
    /// How many calls are due up to a time.
    fn due(&self, at: Duration) -> f64 {
        let (rise, hold, fall) = (self.rise.as_secs_f64(), self.hold.as_secs_f64(), self.fall.as_secs_f64());
        let at = at.as_secs_f64();
        let up = at.min(rise);
        let down = (at - rise - hold).clamp(0.0, fall);
        let rising = up * up / rise / 2.0;
        let falling = down - down * down / fall / 2.0;
        self.peak * (rising + (at - rise).clamp(0.0, hold) + falling)
    }

    /// Sends all calls, then goes on to count replicas until one is left, or for so long.
    pub async fn run(&self, actord: &Actord, function: &str, then: Duration) -> Seen {
        let outcome = Arc::new(Mutex::new(Seen::default()));
        let idle = Idle::default();
        let mut calls = JoinSet::new();
        let (begun, end) = (Instant::now(), self.rise + self.hold + self.fall);
        let (mut sent, mut counted, mut second) = (0, 0, 0);
        while begun.elapsed() < end || (begun.elapsed() < end + then && replicas(actord, function) > 1) {
            let due = self.due(begun.elapsed());
            while (sent as f64) < due.floor() {
                calls.spawn(one(outcome.clone(), idle.clone(), actord.public, format!("/function/{}", self.path)));
                sent += 1;
            }
            while calls.try_join_next().is_some() {}
            if begun.elapsed() >= Duration::from_secs(second) {
                second += 1;
                outcome.lock().unwrap().seconds.push((sent - counted, replicas(actord, function)));
                counted = sent;
            }
            sleep_until(Instant::now() + Duration::from_millis(2)).await;
        }
        while calls.join_next().await.is_some() {}
        let mut seen = std::mem::take(&mut *outcome.lock().unwrap());
        seen.seconds.push((sent - counted, replicas(actord, function)));
        seen.sent = sent;
        seen
    }
}

fn replicas(actord: &Actord, function: &str) -> usize {
    actord.processes_of(function).len()
}

async fn one(outcome: Arc<Mutex<Seen>>, idle: Idle, to: SocketAddr, path: String) {
    let begun = Instant::now();
    let asked = timeout(PATIENCE, ask(&idle, to, &path)).await;
    let failure = match asked {
        Ok(Ok(())) => {
            outcome.lock().unwrap().times.push(begun.elapsed());
            return;
        }
        Ok(Err(reason)) => reason,
        Err(_) => "no answer in time".to_owned(),
    };
    outcome.lock().unwrap().failures.push(format!("after {:?}: {failure}", begun.elapsed()));
}

async fn ask(idle: &Idle, to: SocketAddr, path: &str) -> Result<(), String> {
    let kept = idle.lock().unwrap().pop().filter(|(_, since)| since.elapsed() < KEPT);
    let mut connection = match kept {
        Some((connection, _)) => connection,
        None => Connection::open(to).await.map_err(|error| format!("connect: {error}"))?,
    };
    let answer = connection.ask(&Request::get(path)).await.map_err(|error| error.to_string())?;
    if answer.keeps_connection() {
        idle.lock().unwrap().push((connection, Instant::now()));
    }
    if answer.status == 200 { Ok(()) } else { Err(format!("{}: {:?}", answer.status, answer.text())) }
}
