//! One function that asks to rest or to be scaled: its rules, what they remember, and when it is looked at next.

use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use super::metrics::{Metrics, Shown};
use super::observed::Observed;
use crate::function::scaling::{Act, Autoscaler, Decision, Idler, Rest};
use crate::function::{Phase, Resting, Scaling, Status, Tier, Uptime};
use crate::routes::FunctionEntry;

/// Nothing is looked at more often than this.
const SHORTEST: Duration = Duration::from_millis(5);
/// Between two looks at a load, and at a function whose moment to rest is near.
const TICK: Duration = Duration::from_millis(250);
/// Where little happens: nothing has called it for a while, or its own work keeps it awake.
const SLOW_TICK: Duration = Duration::from_secs(1);
/// How long that is.
const QUIET_FOR: Duration = Duration::from_secs(10);
/// Between two readings of the cpu time for the autoscaler.
const CPU_EVERY: Duration = Duration::from_secs(2);

/// What is to be done for a function after a look.
#[derive(Debug, PartialEq)]
pub(super) enum Wish {
    /// Its cpu time is to be read.
    ReadCpu,
    /// It is to go down to this tier, if it is still as idle by then.
    Rest(Tier, Duration),
    /// So many instances are to run, for this reason.
    Adjust(u32, String),
}

/// Which errands are under way: one of each kind at a time.
#[derive(Default)]
struct UnderWay {
    cpu: bool,
    rest: bool,
    adjust: bool,
}

/// See the module.
pub(super) struct Followed {
    observed: Observed,
    resting: Resting,
    scaling: Scaling,
    down_window: Duration,
    idler: Idler,
    autoscaler: Autoscaler,
    /// The next look of each; none before its status changes or an errand comes back.
    rest_at: Option<Instant>,
    scale_at: Option<Instant>,
    /// When the autoscaler needs the cpu time again.
    cpu_at: Instant,
    /// What was last shown of its decisions.
    shown: Option<Shown>,
    under_way: UnderWay,
}

impl Followed {
    /// None if the function asks for nothing.
    pub(super) fn of(entry: FunctionEntry, status: Status, settings: &Settings, now: Instant) -> Option<Self> {
        let spec = status.desired.as_ref()?.serving_spec();
        let (resting, scaling) = (spec.resting(settings.resting), spec.scaling());
        (resting != Resting::default() || scaling.rule.is_some()).then(|| Self {
            observed: Observed { entry, status, cpu: None },
            resting,
            scaling,
            down_window: settings.down_window,
            idler: Idler::default(),
            autoscaler: Autoscaler::default(),
            rest_at: Some(now),
            scale_at: Some(now),
            cpu_at: now,
            shown: None,
            under_way: UnderWay::default(),
        })
    }

    /// It stands like this now. None if it asks for nothing any more.
    pub(super) fn update(self, status: Status, settings: &Settings, metrics: &Metrics, now: Instant) -> Option<Self> {
        let before = &self.observed.status;
        if before.phase != Phase::Frozen && status.phase == Phase::Frozen {
            metrics.rests(Tier::Frozen);
        }
        let is_idle = |status: &Status| status.desired.as_ref().is_some_and(|desired| desired.idle);
        if !is_idle(before) && is_idle(&status) {
            metrics.rests(Tier::Stopped);
        }
        let Self {
            observed: Observed { entry, cpu, .. }, idler, autoscaler, scale_at, cpu_at, shown, under_way, ..
        } = self;
        let new = Self::of(entry, status, settings, now)?;
        let observed = Observed { cpu, ..new.observed };
        // A load is looked at in its own time: looks that follow each other at once say nothing.
        let scale_at = scale_at.or(new.scale_at);
        Some(Self { observed, idler, autoscaler, scale_at, cpu_at, shown, under_way, ..new })
    }

    pub(super) fn entry(&self) -> &FunctionEntry {
        &self.observed.entry
    }

    /// When it is to be looked at next.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let rest_at = self.rest_at.filter(|_| !self.under_way.cpu && !self.under_way.rest);
        [rest_at, self.scale_at].into_iter().flatten().min()
    }

    /// Looks at what is due. Its wishes are to be fulfilled, each by an errand that comes back.
    pub(super) fn look(&mut self, metrics: &Metrics, now: Instant, uptime: Uptime) -> Vec<Wish> {
        let mut wishes = Vec::new();
        if self.scale_at.is_some_and(|at| at <= now) {
            wishes.extend(self.scale(metrics, now, uptime));
        }
        let rests = self.rest_at.is_some_and(|at| at <= now) && !self.under_way.cpu && !self.under_way.rest;
        if rests {
            wishes.extend(self.rest(None, now, uptime));
        }
        wishes
    }

    /// Its cpu time was read, or could not be.
    pub(super) fn cpu_is_read(&mut self, cpu: Option<Duration>, now: Instant, uptime: Uptime) -> Option<Wish> {
        self.under_way.cpu = false;
        self.observed.cpu = cpu;
        if self.rest_at.is_none() && !self.under_way.rest {
            if cpu.is_some() {
                return self.rest(cpu, now, uptime);
            }
            self.rest_at = Some(now + SLOW_TICK);
        }
        None
    }

    /// It was asked to rest; whether it does, its status tells.
    pub(super) fn was_sent_to_rest(&mut self, now: Instant) {
        self.under_way.rest = false;
        self.rest_at.get_or_insert(now + self.rest_tick());
    }

    /// It was told how many instances are to run; how many do, its status tells.
    pub(super) fn was_adjusted(&mut self) {
        self.under_way.adjust = false;
    }

    fn rest(&mut self, cpu: Option<Duration>, now: Instant, uptime: Uptime) -> Option<Wish> {
        self.rest_at = None;
        let seen = self.observed.idleness(cpu)?;
        let rest = self.idler.decide(self.resting, &seen, uptime);
        match rest.act {
            Act::Nothing => {
                self.rest_at = self.next_rest_look(&rest).map(|left| now + left);
                None
            }
            Act::LookAtCpu => {
                self.under_way.cpu = true;
                Some(Wish::ReadCpu)
            }
            Act::Rest(tier) => {
                self.under_way.rest = true;
                Some(Wish::Rest(tier, seen.idle))
            }
        }
    }

    /// The nearer the moment, the more often: the idler wants to see the cpu time some seconds before.
    fn next_rest_look(&self, rest: &Rest) -> Option<Duration> {
        let tick = if rest.busy_millis.is_some() { SLOW_TICK } else { self.rest_tick() };
        let freeze = rest.frozen_in.map(|left| (left / 2).max(tick));
        [freeze, rest.stopped_in].into_iter().flatten().min().map(|left| left.max(SHORTEST))
    }

    fn rest_tick(&self) -> Duration {
        self.resting.freeze_after.unwrap_or(TICK).clamp(SHORTEST, TICK)
    }

    fn scale(&mut self, metrics: &Metrics, now: Instant, uptime: Uptime) -> Vec<Wish> {
        self.scale_at = None;
        let Some(seen) = self.observed.observation() else { return Vec::new() };
        let id = self.observed.entry.function();
        let Some(decision) = self.autoscaler.decide(&self.scaling, self.down_window, &seen, uptime) else {
            self.shown = None;
            metrics.forget(id);
            return Vec::new();
        };
        let tick = if self.observed.entry.idle_for() > QUIET_FOR { SLOW_TICK } else { TICK };
        self.scale_at = Some(now + tick);
        let shown = Shown::from(&decision);
        metrics.show(id, shown, self.shown.replace(shown));
        let Decision { wanted, reason, changed, .. } = decision;
        if changed {
            let (from, why) = (seen.running, &reason);
            tracing::info!(function = %id, from, to = wanted, %why, "the load asks for another number of replicas");
            metrics.changes(from, wanted);
        }
        let mut wishes = Vec::new();
        if wanted != seen.running && !std::mem::replace(&mut self.under_way.adjust, true) {
            wishes.push(Wish::Adjust(wanted, reason.to_string()));
        }
        let read = Autoscaler::needs_cpu(&self.scaling) && self.cpu_at <= now;
        if read && !std::mem::replace(&mut self.under_way.cpu, true) {
            self.cpu_at = now + CPU_EVERY;
            wishes.push(Wish::ReadCpu);
        }
        wishes
    }
}
