//! Many functions that are called now and then, and sleep in between; and what their callers see.
//!
//! ```no_run
//! let sleepers = Sleepers::deploy(&actord, 20, Duration::from_secs(1)).await;
//! sleepers.asleep().await;
//! let times = sleepers.one_by_one().await;
//! ```
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

use std::fs;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::actord::Actord;
use crate::client::{Connection, Request};
use crate::freezer::Freezer;

/// How long all of them may take to fall asleep, and a call to be answered.
const PATIENCE: Duration = Duration::from_secs(120);
/// The proxy keeps no connection to an instance for longer: a call after it makes a new one, as to a frozen instance.
pub const KEPT: Duration = Duration::from_millis(1_800);
/// Before each call and each bare thaw: one that comes by itself finds a machine that has nothing to do.
const PAUSE: Duration = Duration::from_millis(10);

pub struct Sleepers<'a> {
    actord: &'a Actord,
    pub names: Vec<String>,
}

impl<'a> Sleepers<'a> {
    /// So many functions, which freeze when they were not called for this long, and are not stopped for an hour.
    pub async fn deploy(actord: &'a Actord, count: usize, freeze_after: Duration) -> Self {
        let names: Vec<String> = (0..count).map(|number| format!("sleeper-{number}")).collect();
        let keys = json!({
            "com.openfaas.scale.zero": "true",
            "com.openfaas.scale.zero-duration": "1h",
            "actord.freeze-after": format!("{}ms", freeze_after.as_millis()),
        });
        let deploys = stream::iter(&names).map(|name| actord.deploy(name, json!({ "annotations": keys })));
        deploys.buffer_unordered(8).collect::<Vec<()>>().await;
        Self { actord, names }
    }

    /// The freezers of their instances, as the machine has them.
    pub fn freezers(&self) -> Vec<Freezer> {
        let instances = self.actord.processes().into_keys();
        let own =
            instances.filter(|id| id.rsplit_once('-').is_some_and(|(of, _)| self.names.iter().any(|name| name == of)));
        own.filter_map(|id| Freezer::of(&self.actord.namespace(), &id)).collect()
    }

    /// How many stand still, by the kernel's own word.
    pub fn frozen(&self) -> usize {
        self.freezers().iter().filter(|freezer| freezer.is_frozen()).count()
    }

    /// Waits until all of them are.
    pub async fn asleep(&self) {
        let begun = Instant::now();
        while self.frozen() < self.names.len() {
            let (frozen, all) = (self.frozen(), self.names.len());
            assert!(begun.elapsed() < PATIENCE, "{frozen} of {all} are frozen: {}", self.actord.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Thaws each behind actord's back, and freezes it again: what waking one can't be faster than.
    pub async fn bare_thaws(&self) -> Vec<Duration> {
        let mut times = Vec::with_capacity(self.names.len());
        for freezer in self.freezers() {
            sleep(PAUSE).await;
            let begun = Instant::now();
            freezer.thaw();
            times.push(begun.elapsed());
            freezer.freeze();
        }
        times
    }

    /// Calls each, one after the other, on a connection that is kept.
    pub async fn one_by_one(&self) -> Vec<Duration> {
        let mut connection = Connection::open(self.actord.public).await.unwrap();
        let mut times = Vec::with_capacity(self.names.len());
        for name in &self.names {
            sleep(PAUSE).await;
            let begun = Instant::now();
            let answer = connection.ask(&request(name)).await.unwrap();
            times.push(begun.elapsed());
            assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{name}: {}", self.actord.log());
        }
        times
    }

    /// Calls all of them at the same time, and says when the last answer was there and what was wrong.
    pub async fn all_at_once(&self) -> (Duration, Vec<String>) {
        let begun = Instant::now();
        let calls: Vec<_> =
            self.names.iter().cloned().map(|name| tokio::spawn(call(self.actord.public, name))).collect();
        let mut wrong = Vec::new();
        for call in calls {
            wrong.extend(call.await.unwrap().err());
        }
        (begun.elapsed(), wrong)
    }
}

fn request(name: &str) -> Request {
    Request::get(&format!("/function/{name}/version"))
}

async fn call(to: std::net::SocketAddr, name: String) -> Result<(), String> {
    let asked = async { Connection::open(to).await?.ask(&request(&name).close()).await };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) if answer.status == 200 && answer.text() == "1\n" => Ok(()),
        Ok(Ok(answer)) => Err(format!("{name}: {} {:?}", answer.status, answer.text())),
        Ok(Err(error)) => Err(format!("{name}: {error}")),
        Err(_) => Err(format!("{name}: no answer within {PATIENCE:?}")),
    }
}

/// The processor time that a process has had.
pub fn cpu(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // In hundredths of a second.
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

/// The middle one.
pub fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}
