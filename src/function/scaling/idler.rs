//! When a function rests that nothing calls: the idler of one function.
//!
//! ```text
//! ready --freeze-after, and next to no cpu between two looks--> frozen --zero-duration since the last call--> stopped
//!   ^                                                             |                                             |
//!   +-------------------------- a call, which thaws or starts it --+--------------------------------------------+
//! ```
//! A process that works in the background would be cut off by freezing: it goes on, is looked at again every ten seconds,
//! and is stopped when its time is over, whatever it does.

use std::time::Duration;

use crate::function::{Generation, Resting, Status, Tier, Uptime};

/// Cpu time is compared between two looks that are so far apart, or as far as the function has been idle.
const CPU_SPAN: Duration = Duration::from_secs(2);
/// A function that was busy with itself is looked at again after this.
const BUSY_SPAN: Duration = Duration::from_secs(10);
/// Milli-cores, all instances together, that say nothing: timers and the like.
const IDLE_MILLIS: u64 = 50;

/// One look at a function that may rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idleness {
    /// Where it is now.
    pub tier: Tier,
    /// Whether its instances may be frozen: they serve, and none is being started.
    pub settled: bool,
    /// Whether its newest version has to prove itself yet.
    pub on_trial: bool,
    /// Its newest version.
    pub generation: Generation,
    /// How long no request held an instance or waited for one.
    pub idle: Duration,
    /// Cpu time that its instances used, since whenever; none if it was not read at this look.
    pub cpu: Option<Duration>,
}

impl Idleness {
    /// What a function's status says, and for how long it was not called; none once it is deleted.
    #[must_use]
    pub fn of(status: &Status, idle: Duration, cpu: Option<Duration>) -> Option<Self> {
        let desired = status.desired.as_ref()?;
        let tier = match status {
            _ if desired.running_replicas() == 0 => Tier::Stopped,
            Status { ready, frozen, .. } if *ready > 0 && ready == frozen => Tier::Frozen,
            _ => Tier::Ready,
        };
        Some(Self {
            tier,
            settled: status.ready >= desired.running_replicas(),
            on_trial: desired.is_on_trial(),
            generation: desired.generation,
            idle,
            cpu,
        })
    }

    /// The next tier down by this rule, and how long until then; zero if it is due. None where the function stays as it is.
    /// (What it does without being called may keep it from being frozen: that only an [`Idler`] knows.)
    #[must_use]
    pub fn next(&self, rule: Resting) -> Option<(Tier, Duration)> {
        if self.on_trial || self.tier == Tier::Stopped {
            return None;
        }
        let stopped = rule.zero_after.map(|after| (Tier::Stopped, after));
        let next = self.freeze_after(rule).map(|after| (Tier::Frozen, after)).or(stopped);
        next.map(|(tier, after)| (tier, after.saturating_sub(self.idle)))
    }

    /// After how long it is frozen: never what is being started, nor what is stopped by then.
    fn freeze_after(&self, rule: Resting) -> Option<Duration> {
        let sooner = |after: &Duration| rule.zero_after.is_none_or(|zero| *after < zero);
        rule.freeze_after.filter(|after| self.tier == Tier::Ready && self.settled && sooner(after))
    }
}

/// What to do with a function that is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// Read how much cpu time it used, and decide once more.
    LookAtCpu,
    /// Let it go down to this tier.
    Rest(Tier),
}

/// What came of a look, and what is to come if nothing calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// What to do now.
    pub act: Act,
    /// When it is frozen.
    pub frozen_in: Option<Duration>,
    /// When it is stopped.
    pub stopped_in: Option<Duration>,
    /// The milli-cores that it used without being called, if they keep it from being frozen.
    pub busy_millis: Option<u64>,
}

impl Rest {
    const NONE: Self = Self { act: Act::Nothing, frozen_in: None, stopped_in: None, busy_millis: None };
}

/// What is remembered of one function. Make one with `default` when the function is first seen, and show it every look.
#[derive(Debug, Clone, Default)]
pub struct Idler {
    /// The version that was last seen, and since when idleness counts.
    since: Option<(Generation, Uptime)>,
    /// When cpu time was last read, and how much there was.
    cpu: Option<(Uptime, Duration)>,
    busy_millis: Option<u64>,
}

impl Idler {
    /// What to do after what was seen at `now`.
    pub fn decide(&mut self, rule: Resting, seen: &Idleness, now: Uptime) -> Rest {
        if rule == Resting::default() || seen.tier == Tier::Stopped {
            *self = Self::default();
            return Rest::NONE;
        }
        // A deploy, a start and a scale from zero are uses of a function, too: nothing was called, and yet it is to run.
        let counted = self.since.filter(|(generation, _)| *generation == seen.generation && !seen.on_trial);
        let (_, since) = *self.since.insert(counted.unwrap_or((seen.generation, now)));
        let idle = seen.idle.min(now.since(since));
        let stopped_in = rule.zero_after.map(|after| after.saturating_sub(idle));
        if stopped_in.is_some_and(|left| left.is_zero()) {
            return Rest { act: Act::Rest(Tier::Stopped), stopped_in, ..Rest::NONE };
        }
        let Some(after) = seen.freeze_after(rule) else {
            (self.cpu, self.busy_millis) = (None, None);
            return Rest { stopped_in, ..Rest::NONE };
        };
        let left = after.saturating_sub(idle);
        let act = self.freeze(after, idle, seen.cpu, now);
        Rest { act, frozen_in: Some(left), stopped_in, busy_millis: self.busy_millis }
    }

    /// Whether it is time to freeze it, and it does nothing.
    fn freeze(&mut self, after: Duration, idle: Duration, cpu: Option<Duration>, now: Uptime) -> Act {
        // What was read before the last call says what the call used.
        self.cpu = self.cpu.filter(|(then, _)| now.since(*then) < idle);
        let Some((then, before)) = self.cpu else {
            self.busy_millis = None;
            let early = after.saturating_sub(idle) > CPU_SPAN;
            self.cpu = cpu.filter(|_| !early).map(|cpu| (now, cpu));
            return if early || self.cpu.is_some() { Act::Nothing } else { Act::LookAtCpu };
        };
        let span = if self.busy_millis.is_some() { BUSY_SPAN } else { CPU_SPAN.min(after) };
        if idle < after || now.since(then) < span {
            return Act::Nothing;
        }
        let Some(cpu) = cpu else { return Act::LookAtCpu };
        self.cpu = Some((now, cpu));
        let cores = cpu.saturating_sub(before).as_secs_f64() / now.since(then).as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float is cut to the type's bounds"
        )]
        let millis = (cores * 1000.0) as u64;
        self.busy_millis = Some(millis).filter(|millis| *millis > IDLE_MILLIS);
        if self.busy_millis.is_some() { Act::Nothing } else { Act::Rest(Tier::Frozen) }
    }
}
