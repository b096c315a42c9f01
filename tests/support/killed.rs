//! What a kill costs the callers of a function: it is called a hundred times a second, whatever becomes of the calls.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::actord::{Actord, kill};
use crate::client::{Connection, Request};

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
pub struct Cost {
    /// The longest time without an answer.
    pub gap: Duration,
    pub failures: Vec<String>,
    /// Requests that were under way at the kill.
    pub in_flight: usize,
}

/// Kills the process of a function that is called a hundred times a second, whatever becomes of the calls.
pub async fn killed(actord: &Actord, function: &str, pid: i32) -> Cost {
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
