//! The loop: functions come and go, the clock is looked at, and what is due becomes calls.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};

use super::clock::{Clock, Seen};
use super::followed::{Followed, Listed};
use super::metrics::Metrics;
use super::missed::{Due, MOST_COUNTED};
use super::seam::{Calls, Fired, Firing, Key, Known, Mark, Wall};
use crate::engine::{Change, Changed, Engine, Missed};
use crate::function::{FunctionId, Overlap, Status, Uptime};
use crate::routes::Routes;

/// Between two looks at the clock while nothing is due: a jump is found out after so long at most.
const TICK: Duration = Duration::from_secs(10);
/// How long after the start schedules are forgotten whose function went while nobody looked: by then all are back that come back.
const STALE: Duration = Duration::from_secs(3600);
/// Until what could not be kept is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Schedules whose calls are kept at the same time: they share a commit.
const SIDE_BY_SIDE: usize = 64;

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineClock;

impl Wall for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// What the driver works with.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) routes: Arc<Routes>,
    pub(super) calls: Arc<dyn Calls>,
    pub(super) wall: Arc<dyn Wall>,
    pub(super) metrics: Metrics,
    pub(super) shown: Arc<Mutex<Vec<Listed>>>,
}

/// See the module.
pub(super) struct Driver {
    with: Surroundings,
    clock: Clock,
    started: Instant,
    clock_is_set: bool,
    /// What is remembered of schedules that are not followed; none until it could be read.
    remembered: Option<BTreeMap<Key, Known>>,
    /// When what is left of that is forgotten; none once it is.
    stale_at: Option<Instant>,
    functions: BTreeMap<FunctionId, Vec<Followed>>,
    /// Schedules that are to be forgotten.
    gone: Vec<Key>,
    /// What can't be read or written just now was told.
    fault: Option<String>,
}

impl Driver {
    pub(super) fn new(with: Surroundings) -> Self {
        Self {
            with,
            clock: Clock::default(),
            started: Instant::now(),
            stale_at: Some(Instant::now() + STALE),
            clock_is_set: true,
            remembered: None,
            functions: BTreeMap::new(),
            gone: Vec::new(),
            fault: None,
        }
    }

    /// Does not return.
    pub(super) async fn run(mut self) -> Infallible {
        let mut changes = self.with.engine.watch(None);
        self.list().await;
        loop {
            let next = self.look().await;
            self.show();
            tokio::select! {
                change = changes.next() => {
                    let mut change = Some(change);
                    while let Some(next) = change {
                        self.note(next).await;
                        change = changes.try_next();
                    }
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Looks at every function that the routes know. One that they don't know yet is told by a change.
    async fn list(&mut self) {
        let entries = self.with.routes.all();
        let gone: Vec<_> =
            self.functions.keys().filter(|id| !entries.iter().any(|entry| entry.function() == *id)).cloned().collect();
        gone.iter().for_each(|id| self.forget(id));
        for entry in entries {
            // Where the engine can't be asked, the function's next change tells.
            if let Ok(Some(view)) = self.with.engine.get(entry.function()).await {
                self.follow(entry.function(), &view.status);
            }
        }
    }

    async fn note(&mut self, change: Result<Change, Missed>) {
        match change {
            Ok(Change { id, what: Changed::Status(status), .. }) => self.follow(&id, &status),
            Ok(Change { id, what: Changed::Deleted, .. }) => self.forget(&id),
            Err(Missed { .. }) => self.list().await,
        }
    }

    fn follow(&mut self, id: &FunctionId, status: &Status) {
        let Some(desired) = &status.desired else { return };
        let asked = desired.serving_spec().schedules();
        let mut before = self.functions.remove(id).unwrap_or_default();
        let Some(asked) = asked else {
            self.forget_all(id, before);
            return;
        };
        let mut followed = Vec::new();
        for schedule in asked.each {
            let key = Key { function: id.clone(), schedule: schedule.key() };
            let same = before.iter().position(|old| old.schedule == schedule);
            let mut one = match same.map(|place| before.swap_remove(place)) {
                Some(old) if old.is_known() => old,
                Some(old) => Followed::new(schedule, old.known),
                None => Followed::new(schedule, self.remembered.as_mut().and_then(|all| all.remove(&key))),
            };
            (one.missed, one.overlap, one.kept_down) = (asked.missed, asked.overlap, desired.kept_down);
            followed.push(one);
        }
        self.with.metrics.follow(id);
        self.functions.insert(id.clone(), followed);
        self.forget_schedules(id, before);
    }

    fn forget(&mut self, id: &FunctionId) {
        if let Some(before) = self.functions.remove(id) {
            self.forget_all(id, before);
        }
    }

    fn forget_all(&mut self, id: &FunctionId, before: Vec<Followed>) {
        if !before.is_empty() {
            self.with.metrics.forget(id);
        }
        self.forget_schedules(id, before);
    }

    fn forget_schedules(&mut self, id: &FunctionId, before: Vec<Followed>) {
        self.gone.extend(before.into_iter().map(|old| Key { function: id.clone(), schedule: old.schedule.key() }));
    }

    /// Does what is due, and tells when to look again; never, where there is nothing to look at.
    async fn look(&mut self) -> Option<Instant> {
        let looked = Instant::now();
        let seen = self.clock.look(self.with.wall.now(), Uptime(looked - self.started));
        self.tell(&seen);
        if self.functions.is_empty() && self.gone.is_empty() && self.stale_at.is_none_or(|at| at > looked) {
            return self.stale_at;
        }
        let Some(now) = seen.now() else { return Some(looked + TICK) };
        if let Err(why) = self.remember().await {
            if self.fault.as_ref() != Some(&why) {
                tracing::warn!(error = %why, "no schedule fires: what has fired before can't be read");
            }
            self.fault = Some(why);
            return Some(looked + AGAIN);
        }
        self.fault = None;
        if self.stale_at.is_some_and(|at| at <= looked) {
            self.forget_stale(looked).await;
        }
        let kept = self.tend(&seen, now, looked).await;
        if !kept {
            return Some(looked + AGAIN);
        }
        let soonest = self.functions.values().flatten().filter_map(Followed::due_at).min();
        let wait = soonest.map_or(TICK, |due| due.duration_since(now).unsigned_abs() + Duration::from_millis(1));
        Some(looked + if soonest.is_some_and(|due| due <= now) { Duration::ZERO } else { wait.min(TICK) })
    }

    fn tell(&mut self, seen: &Seen) {
        match seen {
            Seen::Forward { by, .. } => {
                self.with.metrics.jumped("forward");
                tracing::info!(?by, "the clock of this machine was set forward");
            }
            Seen::Back { by, .. } => {
                self.with.metrics.jumped("back");
                tracing::warn!(?by, "the clock of this machine was set back");
            }
            Seen::Unset if self.clock_is_set => {
                tracing::warn!("the clock of this machine is not set: no schedule fires until it is");
            }
            Seen::Unset | Seen::Steady(_) => {}
        }
        self.clock_is_set = *seen != Seen::Unset;
    }

    /// Reads what is remembered, once.
    async fn remember(&mut self) -> Result<(), String> {
        if self.remembered.is_some() {
            return Ok(());
        }
        let mut all: BTreeMap<_, _> =
            self.with.calls.fired().await?.into_iter().map(|known| (known.key.clone(), known)).collect();
        for (id, followed) in &mut self.functions {
            for one in followed.iter_mut().filter(|one| one.known.is_none()) {
                one.known = all.remove(&Key { function: id.clone(), schedule: one.schedule.key() });
                one.look_ahead();
            }
        }
        self.remembered = Some(all);
        Ok(())
    }

    /// Forgets what is remembered of functions that are not there, and of schedules that they have no more.
    async fn forget_stale(&mut self, looked: Instant) {
        let left = self.remembered.iter().flatten().map(|(key, _)| key.function.clone());
        let mut unsure = BTreeSet::new();
        for id in left.collect::<BTreeSet<_>>() {
            match self.with.engine.get(&id).await {
                // What it has is followed, and is not left then.
                Ok(Some(view)) => self.follow(&id, &view.status),
                Ok(None) => {}
                Err(_) => drop(unsure.insert(id)),
            }
        }
        let all = self.remembered.take().unwrap_or_default();
        let (left, stale): (BTreeMap<_, _>, _) = all.into_iter().partition(|(key, _)| unsure.contains(&key.function));
        if !stale.is_empty() {
            tracing::info!(schedules = stale.len(), "forgotten: their functions went while actord was down");
        }
        self.stale_at = (!left.is_empty()).then(|| looked + STALE);
        self.gone.extend(stale.into_keys());
        self.remembered = Some(left);
    }

    /// Whether everything that was to be kept is.
    async fn tend(&mut self, seen: &Seen, now: Timestamp, looked: Instant) -> bool {
        let mut left = Vec::new();
        for key in std::mem::take(&mut self.gone) {
            let is_back = self
                .functions
                .get(&key.function)
                .is_some_and(|all| all.iter().any(|one| one.schedule.key() == key.schedule));
            if self.with.calls.mark(key.clone(), Mark::Gone).await.is_err() {
                left.push(key);
            } else if is_back && let Some(all) = self.functions.get_mut(&key.function) {
                all.iter_mut().filter(|one| one.schedule.key() == key.schedule).for_each(|one| one.known = None);
            }
        }
        self.gone = left;
        let mut works = Vec::new();
        for (id, all) in &mut self.functions {
            for one in all {
                let due = one.look(seen);
                if one.known.is_none() || due != Due::default() {
                    let key = Key { function: id.clone(), schedule: one.schedule.key() };
                    works.push(Work { with: &self.with, key, now, looked }.run(one, due));
                }
            }
        }
        let mut kept = self.gone.is_empty();
        let mut works = stream::iter(works).buffer_unordered(SIDE_BY_SIDE);
        while let Some(done) = works.next().await {
            kept &= done;
        }
        kept
    }

    fn show(&self) {
        let each = self.functions.iter().flat_map(|(id, all)| all.iter().map(move |one| (id, one)));
        let listed = each.map(|(id, one)| {
            let listed = one.listed(id, self.clock_is_set);
            Listed { note: listed.note.or_else(|| self.fault.clone()), ..listed }
        });
        *self.with.shown.lock().unwrap_or_else(PoisonError::into_inner) = listed.collect();
    }
}

/// What is done for one schedule at a look.
struct Work<'a> {
    with: &'a Surroundings,
    key: Key,
    now: Timestamp,
    looked: Instant,
}

impl Work<'_> {
    /// Whether all of it was kept.
    async fn run(self, one: &mut Followed, due: Due) -> bool {
        let is_new = one.known.is_none();
        let done = if is_new { self.begin(one, Mark::Seen).await } else { self.perform(one, due).await };
        match done {
            Ok(()) => one.failing = None,
            Err(why) => self.failed(one, why),
        }
        one.failing.is_none()
    }

    async fn begin(&self, one: &mut Followed, mark: fn(Timestamp) -> Mark) -> Result<(), String> {
        // In whole seconds, as what is due every so often is.
        let from = Timestamp::from_second(self.now.as_second()).unwrap_or(self.now);
        self.with.calls.mark(self.key.clone(), mark(from)).await?;
        one.begin(&self.key, from);
        Ok(())
    }

    async fn perform(&self, one: &mut Followed, due: Due) -> Result<(), String> {
        let Key { function, .. } = &self.key;
        let schedule = one.schedule.text.clone();
        if due.anchor_anew {
            self.begin(one, Mark::Anew).await?;
            tracing::warn!(%function, schedule, "the clock was set back by hours: the schedule begins anew");
            return Ok(());
        }
        if let Some(through) = due.through {
            self.with.calls.mark(self.key.clone(), Mark::Missed(through, due.missed)).await?;
            self.with.metrics.missed(function, due.missed);
            let or_more = if due.missed + 1 >= MOST_COUNTED { " or more" } else { "" };
            tracing::info!(
                %function, schedule, last = %through, runs_once = !due.fire.is_empty(),
                "missed {}{or_more} due times of the schedule, while nothing could fire", due.missed
            );
            if let Some(known) = &mut one.known {
                known.missed += due.missed;
            }
            one.dealt_with(through, None);
        }
        for time in due.fire {
            let firing = Firing {
                key: self.key.clone(),
                text: schedule.clone(),
                due: time,
                now: self.now,
                skip: one.overlap == Overlap::Skip,
            };
            match self.with.calls.fire(firing).await? {
                Fired::Now(call) => {
                    let at = self.now.checked_add(self.looked.elapsed()).unwrap_or(self.now);
                    let late = at.duration_since(time).max(SignedDuration::ZERO).unsigned_abs();
                    self.with.metrics.fired(function, late);
                    tracing::debug!(%function, schedule, due = %time, call, "a schedule fired");
                    one.dealt_with(time, Some((call, at)));
                }
                Fired::Skipped => {
                    self.with.metrics.skipped(function);
                    tracing::info!(%function, schedule, due = %time, "skipped: the last call of the schedule has not ended");
                    if let Some(known) = &mut one.known {
                        known.skipped += 1;
                    }
                    one.dealt_with(time, None);
                }
                Fired::Already => one.dealt_with(time, None),
            }
        }
        Ok(())
    }

    fn failed(&self, one: &mut Followed, why: String) {
        if one.failing.as_ref() != Some(&why) {
            let (function, schedule) = (&self.key.function, &one.schedule.text);
            tracing::warn!(%function, schedule, error = %why, "the call of a schedule could not be kept: it is tried again");
        }
        one.failing = Some(why);
    }
}
