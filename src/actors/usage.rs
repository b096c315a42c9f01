//! What a function uses of the machine: its instances' counters, read when somebody asks, and what they were before.
//!
//! ```text
//! Measure -> instances that were begun -> host, side by side -> UsageTracker: cpu time -> milli-cores since the last sample
//! ```
//! A usage belongs to the way to its function's actor and goes with it; it remembers no instance that is gone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix::{Handler, ResponseFuture};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{Instant, timeout};

use super::host_call::host_call;
use super::messages::{Measure, Used};
use super::{Context, Registry};
use crate::function::{FunctionId, InstanceId};
use crate::host::{HostError, Usage};

/// A status must not wait for a host that is stuck.
const WITHIN: Duration = Duration::from_secs(2);
/// Reads that run side by side for one function.
const AT_ONCE: usize = 16;
/// A shorter time than this says little of how busy a process is, and the kernel does not count finely enough for it.
const SHORTEST: Duration = Duration::from_secs(1);

/// What one function's instances used when they were last looked at.
#[derive(Debug, Default)]
pub(super) struct UsageTracker(Mutex<Samples>);

#[derive(Debug, Default)]
struct Samples {
    instances: BTreeMap<InstanceId, Sample>,
    /// Cpu time of instances that are gone.
    gone: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// When the present average began, and the cpu time that was used up by then.
    since: Instant,
    then: Duration,
    /// The cpu time that was used up when it was last read.
    newest: Duration,
    /// The last average, in milli-cores.
    average: f64,
}

impl Sample {
    /// The average since the last sample; of an instance that was never looked at, since its start.
    fn next(last: Option<Self>, usage: &Usage, now: Instant) -> Self {
        let (since, then) = match last {
            Some(last) if now - last.since < SHORTEST => return Self { newest: usage.cpu, ..last },
            Some(last) => (now - last.since, last.then),
            None => (usage.age, Duration::ZERO),
        };
        let cores = usage.cpu.saturating_sub(then).as_secs_f64() / since.as_secs_f64();
        let average = if since.is_zero() { 0.0 } else { cores * 1_000.0 };
        Self { since: now, then: usage.cpu, newest: usage.cpu, average }
    }
}

impl UsageTracker {
    /// Adds up what was read of all instances that run now; none when none does.
    fn note(&self, read: &[(InstanceId, Usage)], now: Instant) -> Option<Used> {
        let mut past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut past.instances);
        for (id, usage) in read {
            let sample = Sample::next(before.remove(id), usage, now);
            past.instances.insert(id.clone(), sample);
        }
        past.gone += before.values().map(|sample| sample.newest).sum::<Duration>();
        let total = past.gone + past.instances.values().map(|sample| sample.newest).sum::<Duration>();
        (!read.is_empty()).then(|| Used {
            cpu_millis: past.instances.values().map(|sample| sample.average).sum(),
            memory_bytes: read.iter().map(|(_, usage)| usage.memory_bytes).sum(),
            cpu_total: total,
        })
    }

    /// Reads these instances and adds them up. None when none of them runs, and when one can't be read: a sum that
    /// leaves one out would mislead.
    async fn measure(&self, context: &Context, instances: Vec<InstanceId>) -> Option<Used> {
        let reads = stream::iter(instances).map(|id| read(context, id)).buffer_unordered(AT_ONCE);
        let all = timeout(WITHIN, reads.try_filter_map(async |read| Ok(read)).try_collect::<Vec<_>>()).await;
        match all.unwrap_or_else(|_| Err(HostError::Deadline("read what instances use".to_owned()))) {
            Ok(read) => self.note(&read, Instant::now()),
            Err(error) => {
                tracing::debug!(%error, "what a function uses is left out");
                None
            }
        }
    }
}

/// What one instance uses; none when it does not run.
async fn read(context: &Context, id: InstanceId) -> Result<Option<(InstanceId, Usage)>, HostError> {
    let (runtime, whose) = (context.host.runtime.clone(), id.clone());
    let usage = async move { runtime.usage(&id).await };
    match host_call(&context.runtime, || format!("read the usage of {whose}"), WITHIN, usage).await {
        Ok(usage) => Ok(Some((whose, usage))),
        Err(HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Handler<Measure> for Registry {
    type Result = ResponseFuture<Vec<(FunctionId, Used)>>;

    fn handle(&mut self, Measure { only }: Measure, _: &mut actix::Context<Self>) -> Self::Result {
        let wanted = self.slots.iter().filter(|(id, _)| only.as_ref().is_none_or(|only| only == *id));
        // While an actor is being replaced nobody knows which instances are its function's.
        let wanted = wanted.filter(|(_, slot)| slot.handle.borrow().is_some()).map(|(id, slot)| {
            let (id, usage, context) = (id.clone(), slot.usage.clone(), self.context.clone());
            let instances = slot.me.begun().iter().cloned().collect();
            async move { usage.measure(&context, instances).await.map(|used| (id, used)) }
        });
        let wanted: Vec<_> = wanted.collect();
        Box::pin(async move { join_all(wanted).await.into_iter().flatten().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn usage(cpu_seconds: f64, age: Duration) -> Usage {
        Usage { cpu: Duration::from_secs_f64(cpu_seconds), memory_bytes: 100, age }
    }

    fn reads(of: &[(&str, Usage)]) -> Vec<(InstanceId, Usage)> {
        of.iter().map(|(id, usage)| (id.parse().unwrap(), *usage)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_average_is_since_the_start_and_the_next_since_the_last_sample() {
        let (tracker, now) = (UsageTracker::default(), Instant::now());
        let used = |cpu, age: u32, at: Instant| tracker.note(&reads(&[("f-1", usage(cpu, age * SECOND))]), at).unwrap();
        let first = used(5.0, 100, now);
        assert_eq!((first.cpu_millis.round(), first.memory_bytes), (50.0, 100));
        assert_eq!(used(5.1, 100, now + SECOND / 2).cpu_millis.round(), 50.0, "too soon to say anything new");
        assert_eq!(used(6.0, 104, now + 4 * SECOND).cpu_millis.round(), 250.0, "since the first sample");
        let last = used(6.0, 105, now + 5 * SECOND);
        assert_eq!((last.cpu_millis, last.cpu_total), (0.0, 6 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn instances_are_added_up_and_the_cpu_time_of_those_that_left_is_not_forgotten() {
        let (tracker, now) = (UsageTracker::default(), Instant::now());
        let two = reads(&[("f-1", usage(1.0, 10 * SECOND)), ("f-2", usage(2.0, 10 * SECOND))]);
        let used = tracker.note(&two, now).unwrap();
        assert_eq!((used.cpu_millis.round(), used.memory_bytes, used.cpu_total), (300.0, 200, 3 * SECOND));
        assert_eq!(tracker.note(&[], now + SECOND), None);
        let one = reads(&[("f-3", usage(0.5, Duration::ZERO))]);
        let used = tracker.note(&one, now + 2 * SECOND).unwrap();
        assert_eq!((used.cpu_millis, used.cpu_total), (0.0, SECOND * 7 / 2), "too young for an average");
        assert_eq!(tracker.0.lock().unwrap().instances.len(), 1);
    }
}
