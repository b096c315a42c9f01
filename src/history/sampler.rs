//! The rounds: each ten seconds a point for every function that there is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::point::{Point, Usage};
use super::ring::{self, Ring};
use super::{Kept, Loaded, Loads, Past, STEP};
use crate::engine::{Engine, Used};
use crate::function::FunctionId;
use crate::routes::{FunctionEntry, Routes};

/// See the module.
pub(super) struct Sampler {
    engine: Arc<dyn Engine>,
    routes: Arc<Routes>,
    kept: Arc<Kept>,
    /// When the last round was.
    last: Instant,
    /// The cpu time that each function had used, and what that came to.
    used: BTreeMap<FunctionId, LastUsed>,
}

#[derive(Debug)]
struct LastUsed {
    entry: FunctionEntry,
    /// When it was read, and what it was; none where it was not read yet.
    cpu: Option<(Instant, Duration)>,
    usage: Usage,
}

impl LastUsed {
    /// What it used since it was last looked at.
    fn read(&mut self, used: &Used, now: Instant) {
        let cpu_millis = self.cpu.map_or(0, |(at, before)| millis(used.cpu_total.saturating_sub(before), now - at));
        let memory_kib = u32::try_from(used.memory_bytes >> 10).unwrap_or(u32::MAX);
        self.cpu = Some((now, used.cpu_total));
        self.usage = Usage { cpu_millis, memory_kib };
    }

    /// Nothing of it is awake, so its cpu time stands still.
    fn rests(&mut self, is_frozen: bool, now: Instant) {
        self.cpu = self.cpu.map(|(_, before)| (now, before));
        self.usage.cpu_millis = 0;
        if !is_frozen {
            self.usage.memory_kib = 0;
        }
    }
}

/// Thousandths of a processor.
fn millis(cpu: Duration, of: Duration) -> u32 {
    let of = of.as_micros().max(1);
    let part = (cpu.as_micros().saturating_mul(1_000) + of / 2) / of;
    u32::try_from(part).unwrap_or(u32::MAX)
}

impl Sampler {
    pub(super) fn new(engine: Arc<dyn Engine>, routes: Arc<Routes>, kept: Arc<Kept>) -> Self {
        Self { engine, routes, kept, last: Instant::now(), used: BTreeMap::new() }
    }

    /// Does not return.
    pub(super) async fn run(&mut self) -> Infallible {
        let mut rounds = interval_at(Instant::now() + STEP, STEP);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            rounds.tick().await;
            self.round().await;
        }
    }

    async fn round(&mut self) {
        let entries = self.routes.all();
        self.look(&entries).await;
        let now = Instant::now();
        let missed = missed(now - std::mem::replace(&mut self.last, now));
        let kept = ring::kept(entries.len());
        let mut functions = self.kept.functions();
        functions.end = Some(now);
        functions.each.retain(|_, past| !past.entry.is_deleted());
        let mut points = BTreeMap::new();
        for entry in entries {
            let id = entry.function().clone();
            let usage = self.used.get(&id).filter(|last| last.entry.is(&entry)).map(|last| last.usage);
            let point = Point::of(&entry.take_counts(), entry.load(), entry.ready(), usage.unwrap_or_default());
            let past = functions.each.entry(id.clone());
            let past = past.or_insert_with(|| Past { entry: entry.clone(), ring: Ring::default() });
            if !past.entry.is(&entry) {
                *past = Past { entry, ring: Ring::default() };
            }
            // What was missed was in the step that ends now: only the time is not to shrink.
            let gaps = if past.ring.len() > 0 { missed.min(kept) } else { 0 };
            (0..gaps).for_each(|_| past.ring.push(Point::NOTHING, kept));
            past.ring.push(point, kept);
            points.insert(id, point);
        }
        let all: usize = functions.each.values().map(|past| past.ring.len()).sum();
        drop(functions);
        if let Some(points) = self.kept.points.get() {
            points.set(i64::try_from(all).unwrap_or(i64::MAX));
        }
        self.kept.tell(points);
    }

    /// Asks what is used by functions of which something is awake.
    async fn look(&mut self, entries: &[FunctionEntry]) {
        self.used.retain(|_, last| !last.entry.is_deleted());
        let mut awake = Vec::new();
        for entry in entries {
            let id = entry.function();
            let new = || LastUsed { entry: entry.clone(), cpu: None, usage: Usage::default() };
            let last = self.used.entry(id.clone()).or_insert_with(new);
            if !last.entry.is(entry) {
                *last = new();
            }
            let (ready, frozen) = (entry.ready(), entry.frozen());
            if ready > frozen {
                awake.push(id.clone());
            } else {
                last.rests(frozen > 0, Instant::now());
            }
        }
        if awake.is_empty() {
            return;
        }
        // One that does not answer holds up the others' answers, and not their reading: that is now.
        let now = Instant::now();
        // What can't be read stays what it was.
        let read = self.engine.sample(&awake).await;
        for (id, used) in read {
            if let Some(last) = self.used.get_mut(&id) {
                last.read(&used, now);
            }
        }
    }
}

impl Kept {
    /// Tells how busy functions were in the step that has just ended.
    pub(super) fn tell(&self, points: BTreeMap<FunctionId, Point>) {
        self.loads.send_modify(|loads| {
            let round = loads.round + 1;
            let loaded = |(id, point): (FunctionId, Point)| {
                let before = loads.functions.get(&id).filter(|before| is_idle(&before.point) && is_idle(&point));
                let since = before.map_or(round, |before| before.since);
                (id, Loaded { point, since })
            };
            let functions = points.into_iter().map(loaded).collect();
            *loads = Loads { round, functions: Arc::new(functions) };
        });
    }
}

/// How many steps have passed beside the one that ends now.
fn missed(since_last: Duration) -> usize {
    let steps = (since_last + STEP / 2).as_secs() / STEP.as_secs();
    usize::try_from(steps).unwrap_or(usize::MAX).saturating_sub(1)
}

/// Whether nothing called a function, and nothing does.
fn is_idle(point: &Point) -> bool {
    point.calls == 0 && point.in_flight == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_round_that_is_late_has_missed_others() {
        assert_eq!([0, 9, 10, 14, 15, 20, 34, 61].map(|seconds| missed(seconds * SECOND)), [0, 0, 0, 0, 1, 1, 2, 5]);
    }

    #[test]
    fn cpu_time_becomes_thousandths_of_a_processor() {
        assert_eq!(millis(SECOND / 2, 10 * SECOND), 50);
        assert_eq!(millis(20 * SECOND, 10 * SECOND), 2_000);
        assert_eq!(millis(SECOND, Duration::ZERO), 1_000_000_000);
    }
}
