//! What happens next in the life of one function: the only place that decides.
//!
//! ```text
//!             Apply              Started                Exited
//!  (nothing) -------> STARTING ----------> READY ----------------> removing, then STARTING after the backoff
//!                        | StartFailed       |
//!                        v                   | superseded, surplus or deleted
//!                     removing <---------- DRAINING        (TearDown is the only way out, answered by Removed)
//!
//!                                  Unready
//!                         READY ------------> UNREADY      gets no request, counts as an instance and not as serving
//!                           | <------------      |
//!                           |      Ready         |
//!                           +---- Unhealthy -----+-------> like Exited
//!
//!                                   Frozen
//!                         READY ------------> FROZEN       serves as READY does: the next call thaws it
//!                               <------------
//!                                   Thawed
//!
//!               Started, enough serve          fewer serve
//!     STARTING ----------------------> SPARE ---------------> READY      ready, and gets no request
//! ```
//! [`Lifecycle::on`] first notes what the event says (`observe`), then compares desired with observed and asks for
//! whatever is missing (`reconcile`). Events may be late, doubled or out of order: the next comparison still comes to the
//! right answer. Every effect is answered in the end; where an answer got lost with the task that owed it, the owner starts
//! over with [`Lifecycle::recover`].

mod backoff;
mod desired;
mod events;
mod history;
mod instance;
mod observe;
mod outlook;
#[cfg(test)]
mod properties;
mod reconcile;
mod resting;
mod spare;
mod status;
#[cfg(test)]
mod tests;
mod zero;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

pub use self::backoff::Backoff;
pub use self::desired::{Adjusted, Desired, Generation, RefusedUpdate};
pub use self::events::{Effect, Event, Observed, ObservedState, Outcome};
pub use self::history::{GoodGeneration, History};
use self::instance::Instance;
pub use self::outlook::Outlook;
pub use self::resting::Tier;
pub use self::status::{Exit, Failure, InstancePhase, Phase, StartError, Status, Step, Uptime};
use super::spec::{FunctionName, InstanceId, InstanceIds, Spec};

/// The life of one function, without its body.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    ids: InstanceIds,
    jitter: u64,
    desired: Option<Desired>,
    /// Since when the newest generation is wanted.
    wanted_since: Uptime,
    /// The newest generation ever seen, so that a name that is deleted and made again does not count from 1 beside
    /// instances that are still on their way out.
    newest: Generation,
    instances: BTreeMap<InstanceId, Instance>,
    /// One for each generation: what goes wrong with an update does not hold up the one that serves, nor the reverse.
    backoffs: BTreeMap<Generation, Backoff>,
    /// The earliest time for a spare to be started, after one took over.
    next_spare: Option<Uptime>,
    /// Whether it keeps no spares for the time being.
    lean: bool,
    /// When the earliest `RetryAfter` that is still to come is due.
    wakeup: Option<Uptime>,
    restarts: u64,
    failure: Option<Failure>,
    /// Whether nothing has served since the last time that no instance was to run.
    from_zero: bool,
    /// The phase after the last event, and since when it is that.
    phase: (Phase, Uptime),
    gone: bool,
}

impl Lifecycle {
    /// A function of which nothing is known and nothing exists. `seed` must be random and fresh.
    #[must_use]
    pub fn new(name: &FunctionName, seed: u64) -> Self {
        Self {
            ids: InstanceIds::new(name, seed),
            jitter: seed,
            desired: None,
            wanted_since: Uptime::default(),
            newest: Generation::default(),
            instances: BTreeMap::new(),
            backoffs: BTreeMap::new(),
            next_spare: None,
            lean: false,
            wakeup: None,
            restarts: 0,
            failure: None,
            from_zero: false,
            phase: (Phase::Deleting, Uptime::default()),
            gone: true,
        }
    }

    /// A lifecycle that takes over what the store and the host say, after a restart or a panic: it adopts what runs and
    /// is still wanted, drains what runs and is not, and tears down remains.
    #[must_use]
    pub fn recover(
        name: &FunctionName,
        seed: u64,
        desired: Option<Desired>,
        observed: Vec<Observed>,
        now: Uptime,
    ) -> (Self, Vec<Effect>) {
        let mut life = Self::new(name, seed);
        let mut effects = Vec::new();
        life.newest = desired.as_ref().map_or(life.newest, Desired::newest_generation);
        life.wanted_since = now;
        life.failure = desired.as_ref().and_then(|desired| {
            desired.failed.clone().map(|reason| Failure { generation: desired.generation, reason })
        });
        life.desired = desired;
        life.gone = life.desired.is_none() && observed.is_empty();
        for Observed { id, generation, state } in observed {
            life.newest = life.newest.max(generation);
            let mut instance = Instance::new(generation, InstancePhase::Adopting, now);
            // An actor before this one may have published it.
            instance.published = true;
            life.instances.insert(id.clone(), instance);
            match (state, life.runnable(generation)) {
                (ObservedState::Running, Some(spec)) => effects.push(Effect::Adopt(id, generation, spec)),
                (ObservedState::Running, None) => life.drain(&id, now, &mut effects),
                (ObservedState::Remains, _) => life.remove(&id, now, &mut effects),
            }
        }
        life.reconcile(now, &mut effects);
        life.note_phase(now);
        (life, effects)
    }

    /// Notes an event and says what follows from it.
    pub fn on(&mut self, event: Event, now: Uptime) -> Vec<Effect> {
        let mut effects = Vec::new();
        if event == Event::RetryDue || self.wakeup.is_some_and(|due| due <= now) {
            self.wakeup = None;
        }
        match event {
            Event::Apply(next) => self.apply(next, now, &mut effects),
            Event::Scale(replicas) => self.scale(replicas, now),
            Event::KeepDown(down) => self.keep_down(down, now),
            Event::Wake => self.wake(now, &mut effects),
            Event::Adjust(adjusted) => self.adjust(adjusted, now, &mut effects),
            Event::Rest(tier) => self.rest(tier, now, &mut effects),
            Event::Lean(lean) => self.lean = lean,
            Event::Frozen(id) => self.frozen(&id),
            Event::Thawed(id) => self.thawed(&id),
            Event::Delete => self.desired = None,
            Event::PutBack(before) => self.put_back(before, now, &mut effects),
            Event::Started(id, address) => self.started(&id, address, now, &mut effects),
            Event::StartFailed(id, error) => self.start_failed(&id, &error, now, &mut effects),
            Event::Exited(id, exit) => self.exited(&id, &exit, now, &mut effects),
            Event::Unready(id, reason) => self.unready(&id, reason, &mut effects),
            Event::Ready(id, address) => self.ready(&id, address, now, &mut effects),
            Event::Unhealthy(id, reason) => self.unhealthy(&id, reason, now, &mut effects),
            Event::Drained(id) => self.drained(&id, now, &mut effects),
            Event::Removed(id) => self.removed(&id, &mut effects),
            Event::RemoveFailed(id, _) => self.remove_failed(&id, now),
            Event::RetryDue => {}
        }
        self.reconcile(now, &mut effects);
        self.note_phase(now);
        effects
    }

    /// What must be made durable before [`Event::Apply`] may say that `spec` was accepted. It equals [`Self::desired`]
    /// when the function is already all that `spec` asks for: then there is nothing to do.
    ///
    /// One at a time: what is accepted has to be applied, or dropped, before the next spec is accepted. `at` is now, RFC
    /// 3339.
    #[must_use]
    pub fn accept(&self, spec: Spec, at: &str) -> Desired {
        let least = spec.min_replicas();
        match &self.desired {
            Some(now) if *now.spec == spec && now.failed.is_none() => {
                Desired { replicas: now.replicas.max(least), idle: false, ..now.clone() }
            }
            before => Desired {
                generation: self.newest.next(),
                replicas: before.as_ref().map_or(least, |before| before.replicas.max(least)),
                kept_down: before.as_ref().is_some_and(|before| before.kept_down),
                idle: false,
                adjusted: before.as_ref().and_then(|before| before.adjusted_for(&spec)),
                accepted_at: at.to_owned(),
                history: before.as_ref().map(Desired::kept).unwrap_or_default(),
                created_at: before.as_ref().map_or(at, |before| &before.created_at).to_owned(),
                spec: Arc::new(spec),
                has_served: false,
                failed: None,
                refused: None,
            },
        }
    }

    /// What was last asked for.
    #[must_use]
    pub fn desired(&self) -> Option<&Desired> {
        self.desired.as_ref()
    }

    /// What became of `generation`.
    #[must_use]
    pub fn outcome(&self, generation: Generation) -> Outcome {
        match &self.desired {
            Some(desired) if desired.generation == generation => match &desired.failed {
                Some(reason) => Outcome::Failed(reason.clone()),
                None if self.ready_of(generation) >= desired.running_replicas() as usize => Outcome::Ready,
                None => match self.backoffs.get(&generation) {
                    Some(backoff) if backoff.ends_alike => Outcome::Looping,
                    Some(backoff) if backoff.no_room > 0 && !desired.has_served => {
                        Outcome::NoRoom { reason: backoff.no_room_why.clone(), times: backoff.no_room }
                    }
                    _ => Outcome::Pending,
                },
            },
            _ => Outcome::Superseded,
        }
    }

    /// What the function looks like from outside.
    #[must_use]
    pub fn status(&self, now: Uptime) -> Status {
        let ready = || self.instances.values().filter(|instance| instance.serves());
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (noted, since) = self.phase;
        let phase = self.phase(now);
        Status {
            desired: self.desired.clone(),
            phase,
            since: if is_like(phase, noted) { since } else { now },
            ready: number(ready().count()),
            frozen: number(ready().filter(|instance| instance.phase == InstancePhase::Frozen).count()),
            spares: number(self.count(|instance| instance.phase == InstancePhase::Spare)),
            serving: ready().map(|instance| instance.generation).max(),
            restarts: self.restarts,
            failure: self.failure.clone(),
        }
    }

    fn phase(&self, now: Uptime) -> Phase {
        let Some(desired) = &self.desired else { return Phase::Deleting };
        let (asked, ready) = (desired.running_replicas() as usize, self.ready_of(desired.generation));
        let awake = || self.count(|instance| instance.phase == InstancePhase::Ready);
        match desired {
            Desired { kept_down: true, .. } => Phase::Stopped,
            Desired { failed: Some(_), .. } => Phase::Failed,
            Desired { replicas: 0, .. } => Phase::Stopped,
            Desired { idle: true, .. } => Phase::Idle,
            _ if ready >= asked && awake() == 0 => Phase::Frozen,
            _ if ready >= asked => Phase::Ready,
            _ => match self.backoff_of(desired.generation, now) {
                Some(until) => Phase::BackingOff { until },
                None if self.have_unready(desired) => Phase::Unready,
                None => Phase::Starting,
            },
        }
    }

    fn note_phase(&mut self, now: Uptime) {
        let phase = self.phase(now);
        let since = if is_like(phase, self.phase.0) { self.phase.1 } else { now };
        self.phase = (phase, since);
    }

    /// Every instance that is known, with its generation and where it stands.
    pub fn instances(&self) -> impl Iterator<Item = (&InstanceId, Generation, InstancePhase)> {
        self.instances.iter().map(|(id, instance)| (id, instance.generation, instance.phase))
    }

    /// Where an instance listens, once it was ready.
    #[must_use]
    pub fn address(&self, id: &InstanceId) -> Option<SocketAddr> {
        self.instances.get(id)?.address
    }

    /// Whether the newest generation would serve with all its replicas if those that are not ready were.
    fn have_unready(&self, desired: &Desired) -> bool {
        let unready = self.count(|i| i.generation == desired.generation && i.phase == InstancePhase::Unready);
        unready > 0 && self.ready_of(desired.generation) + unready >= desired.running_replicas() as usize
    }

    fn ready_of(&self, generation: Generation) -> usize {
        self.count(|i| i.generation == generation && i.phase.is_ready())
    }

    /// The spec of a generation that may still serve: the newest unless it failed, and the last good one.
    fn runnable(&self, generation: Generation) -> Option<Arc<Spec>> {
        let desired = self.desired.as_ref()?;
        if desired.generation == generation {
            return desired.failed.is_none().then(|| desired.spec.clone());
        }
        desired.last_good().filter(|good| good.generation == generation).map(|good| good.spec.clone())
    }
}

/// Whether two phases are the same one, whatever they carry.
fn is_like(one: Phase, other: Phase) -> bool {
    std::mem::discriminant(&one) == std::mem::discriminant(&other)
}
