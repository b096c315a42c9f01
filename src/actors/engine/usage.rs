//! What a function uses of the machine: its instances' counters, read when a caller asks, and what they were before.
//!
//! ```text
//! Engine::measure  -> instances that were begun -> host, side by side -> UsageTracker: cpu time -> milli-cores since the last sample
//! Engine::cpu_time, Engine::sample -> the same                        -> UsageTracker: cpu time; every average goes on
//! ```
//! A tracker outlives the actors of its function that panic, and goes with the function; it remembers no instance that is
//! gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::actors::begun::BegunInstances;
use crate::actors::host_call::host_call;
use crate::engine::Used;
use crate::function::{FunctionId, InstanceId};
use crate::host::{HostError, Runtime, Usage};

/// A status must not wait for a host that is stuck.
const WITHIN: Duration = Duration::from_secs(2);
/// Reads that run side by side for one function, and functions that are looked at side by side.
const AT_ONCE: usize = 16;
/// A shorter time than this says little of how busy a process is, and the kernel does not count finely enough for it.
const SHORTEST: Duration = Duration::from_secs(1);

/// What one function's instances used when they were last looked at.
#[derive(Debug, Default)]
pub(in crate::actors) struct UsageTracker(Mutex<Samples>);

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
    /// The last average, in milli-cores, if there was one.
    average: Option<f64>,
}

/// How a reading follows on the one before it.
type Next = fn(Option<Sample>, &Usage, Instant) -> Sample;

impl Sample {
    /// The average since the last sample; of an instance that was never looked at, since its start.
    fn next(last: Option<Self>, usage: &Usage, now: Instant) -> Self {
        let (since, then) = match last {
            Some(last) if now - last.since < SHORTEST && last.average.is_some() => {
                return Self { newest: usage.cpu, ..last };
            }
            Some(last) => (now - last.since, last.then),
            None => (usage.age, Duration::ZERO),
        };
        let cores = usage.cpu.saturating_sub(then).as_secs_f64() / since.as_secs_f64();
        let average = if since.is_zero() { 0.0 } else { cores * 1_000.0 };
        Self { since: now, then: usage.cpu, newest: usage.cpu, average: Some(average) }
    }

    /// The same average, which goes on.
    fn counted(last: Option<Self>, usage: &Usage, now: Instant) -> Self {
        let started = || now.checked_sub(usage.age).unwrap_or(now);
        let last =
            last.unwrap_or_else(|| Self { since: started(), then: Duration::ZERO, newest: usage.cpu, average: None });
        Self { newest: usage.cpu, ..last }
    }
}

impl UsageTracker {
    /// Adds up what was read of all instances that run now; none when none does.
    fn note(&self, read: &[(InstanceId, Usage)], next: Next, now: Instant) -> Option<Used> {
        let mut past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut past.instances);
        for (id, usage) in read {
            let sample = next(before.remove(id), usage, now);
            past.instances.insert(id.clone(), sample);
        }
        past.gone += before.values().map(|sample| sample.newest).sum::<Duration>();
        let total = past.gone + past.instances.values().map(|sample| sample.newest).sum::<Duration>();
        (!read.is_empty()).then(|| Used {
            cpu_millis: past.instances.values().filter_map(|sample| sample.average).sum(),
            memory_bytes: read.iter().map(|(_, usage)| usage.memory_bytes).sum(),
            cpu_total: total,
        })
    }

    /// Reads these instances and adds them up. None when none of them runs, and when one can't be read: a sum that
    /// leaves one out would mislead.
    async fn measure(&self, host: &Reader, instances: Vec<InstanceId>, next: Next) -> Option<Used> {
        let reads = stream::iter(instances).map(|id| host.read(id)).buffer_unordered(AT_ONCE);
        let all = timeout(WITHIN, reads.try_filter_map(async |read| Ok(read)).try_collect::<Vec<_>>()).await;
        match all.unwrap_or_else(|_| Err(HostError::Deadline("read what instances use".to_owned()))) {
            Ok(read) => self.note(&read, next, Instant::now()),
            Err(error) => {
                tracing::debug!(%error, "what a function uses is left out");
                None
            }
        }
    }
}

/// Reads what instances use.
struct Reader {
    runtime: Arc<dyn Runtime>,
    tasks: Handle,
}

impl Reader {
    /// What one instance uses; none when it does not run.
    async fn read(&self, id: InstanceId) -> Result<Option<(InstanceId, Usage)>, HostError> {
        let (runtime, whose) = (self.runtime.clone(), id.clone());
        let usage = async move { runtime.usage(&id).await };
        match host_call(&self.tasks, || format!("read the usage of {whose}"), WITHIN, usage).await {
            Ok(usage) => Ok(Some((whose, usage))),
            Err(HostError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The trackers of all functions that have an actor.
pub(in crate::actors) struct UsageTrackers {
    host: Reader,
    functions: DashMap<FunctionId, Tracked>,
}

#[derive(Debug, Clone, Default)]
struct Tracked {
    tracker: Arc<UsageTracker>,
    /// The instances of the living actor; none while it is being replaced: they are not known to be the function's then.
    begun: Option<BegunInstances>,
}

impl UsageTrackers {
    /// No tracker yet. Instances are read of `runtime`, each in one of `tasks`.
    pub(in crate::actors) fn new(runtime: Arc<dyn Runtime>, tasks: Handle) -> Self {
        Self { host: Reader { runtime, tasks }, functions: DashMap::new() }
    }

    /// A function's actor lives, and these are its instances.
    pub(in crate::actors) fn track(&self, id: &FunctionId, begun: BegunInstances) {
        self.functions.entry(id.clone()).or_default().begun = Some(begun);
    }

    /// A function's actor died. What its instances used is remembered for its successor.
    pub(in crate::actors) fn pause(&self, id: &FunctionId) {
        if let Some(mut tracked) = self.functions.get_mut(id) {
            tracked.begun = None;
        }
    }

    /// Nothing of a function is left.
    pub(in crate::actors) fn forget(&self, id: &FunctionId) {
        self.functions.remove(id);
    }

    /// What functions use: one, or all of which something runs.
    pub(in crate::actors) async fn measure(&self, only: Option<&FunctionId>) -> Vec<(FunctionId, Used)> {
        let wanted: Vec<_> = match only {
            Some(id) => self.functions.get(id).map(|found| (id.clone(), found.value().clone())).into_iter().collect(),
            None => self.functions.iter().map(|found| (found.key().clone(), found.value().clone())).collect(),
        };
        let measured = wanted.into_iter().filter_map(|(id, Tracked { tracker, begun })| {
            let instances = begun?.list();
            Some(async move { tracker.measure(&self.host, instances, Sample::next).await.map(|used| (id, used)) })
        });
        join_all(measured).await.into_iter().flatten().collect()
    }

    /// What these functions use, of which nothing begins a new average; those that can't be read within two seconds are left out.
    pub(in crate::actors) async fn sample(&self, ids: &[FunctionId]) -> Vec<(FunctionId, Used)> {
        let tracked = |id: &FunctionId| {
            let Tracked { tracker, begun } = self.functions.get(id)?.value().clone();
            Some((id.clone(), tracker, begun?.list()))
        };
        let tracked: Vec<_> = ids.iter().filter_map(tracked).collect();
        let reads = stream::iter(tracked).map(|(id, tracker, instances)| async move {
            tracker.measure(&self.host, instances, Sample::counted).await.map(|used| (id, used))
        });
        reads.buffer_unordered(AT_ONCE).take_until(sleep(WITHIN)).filter_map(async |read| read).collect().await
    }

    /// The cpu time that a function used up; none when nothing of it runs, or it can't be read.
    pub(in crate::actors) async fn cpu_time(&self, id: &FunctionId) -> Option<Duration> {
        let Tracked { tracker, begun } = self.functions.get(id).map(|found| found.value().clone())?;
        tracker.measure(&self.host, begun?.list(), Sample::counted).await.map(|used| used.cpu_total)
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
        let used = |cpu, age: u32, at: Instant| {
            tracker.note(&reads(&[("f-1", usage(cpu, age * SECOND))]), Sample::next, at).unwrap()
        };
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
        let used = tracker.note(&two, Sample::next, now).unwrap();
        assert_eq!((used.cpu_millis.round(), used.memory_bytes, used.cpu_total), (300.0, 200, 3 * SECOND));
        assert_eq!(tracker.note(&[], Sample::next, now + SECOND), None);
        let one = reads(&[("f-3", usage(0.5, Duration::ZERO))]);
        let used = tracker.note(&one, Sample::next, now + 2 * SECOND).unwrap();
        assert_eq!((used.cpu_millis, used.cpu_total), (0.0, SECOND * 7 / 2), "too young for an average");
        assert_eq!(tracker.0.lock().unwrap().instances.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_of_the_cpu_time_begins_no_average() {
        tokio::time::advance(100 * SECOND).await;
        let (tracker, now) = (UsageTracker::default(), Instant::now());
        let note = |cpu, age: u32, next: Next| {
            let at = now + age * SECOND;
            tracker.note(&reads(&[("f-1", usage(cpu, age * SECOND))]), next, at).unwrap()
        };
        assert_eq!(note(1.0, 1, Sample::counted).cpu_total, SECOND);
        assert_eq!(note(3.0, 10, Sample::next).cpu_millis.round(), 300.0, "since its start");
        let counted = note(4.0, 12, Sample::counted);
        assert_eq!((counted.cpu_millis.round(), counted.cpu_total), (300.0, 4 * SECOND));
        assert_eq!(note(5.0, 20, Sample::next).cpu_millis.round(), 200.0, "since the last average");
    }
}
