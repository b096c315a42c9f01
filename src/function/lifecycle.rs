//! What happens next in the life of one function: the only place that decides.
//!
//! ```text
//!             Apply              Started                Exited
//!  (nothing) -------> STARTING ----------> READY ----------------> removing, then STARTING after the backoff
//!                        | StartFailed       |
//!                        v                   | superseded, surplus or deleted
//!                     removing <---------- DRAINING        (TearDown is the only way out, answered by Removed)
//! ```
//! [`Lifecycle::on`] first notes what the event says, then [`Lifecycle::reconcile`] compares desired with observed and
//! asks for whatever is missing. Nothing else asks for anything, so an event may be lost, late, doubled or out of order:
//! the next comparison still comes to the right answer. (Freezing an idle instance will be one more [`InstancePhase`].)

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Backoff, Desired, Exit, Failure, FunctionName, Generation, InstanceId, InstanceIds, InstancePhase, Phase, Spec,
    StartError, Status, Uptime,
};

/// An update that has not served by then is given up, and the generation before it stays.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(300);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A spec was accepted and is durable; see [`Lifecycle::accept`].
    Apply(Desired),
    /// Another number of replicas was accepted and is durable.
    Scale(u32),
    /// The deletion was accepted and is durable.
    Delete,
    /// An instance is ready to serve at this address.
    Started(InstanceId, SocketAddr),
    /// An instance could not be brought up, or adopted.
    StartFailed(InstanceId, StartError),
    /// An instance's process ended.
    Exited(InstanceId, Exit),
    /// A draining instance has no request left, or its time is over.
    Drained(InstanceId),
    /// Nothing is left of an instance.
    Removed(InstanceId),
    /// An instance could not be torn down completely.
    RemoveFailed(InstanceId, String),
    /// A time asked for by [`Effect::RetryAfter`] has come.
    RetryDue,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Bring an instance up; answer with `Started` or `StartFailed`, and later `Exited`.
    BringUp(InstanceId, Generation, Arc<Spec>),
    /// Look at a running instance and watch it; answer as for `BringUp`.
    Adopt(InstanceId, Generation, Arc<Spec>),
    /// Send requests to this instance.
    Publish(InstanceId, SocketAddr),
    /// Send no new request to this instance.
    Retract(InstanceId),
    /// Wait for the requests that the instance has; answer with `Drained`.
    Drain(InstanceId),
    /// Remove all there is of the instance, whatever there is; answer with `Removed` or `RemoveFailed`.
    TearDown(InstanceId),
    /// Send `RetryDue` after this long.
    RetryAfter(Duration),
    /// The store should now hold this.
    Record(Desired),
    /// The function is deleted and nothing of it is left.
    Gone,
}

/// What became of a generation that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not decided yet.
    Pending,
    /// It serves with all its replicas.
    Ready,
    /// It will not heal by itself.
    Failed(String),
    /// A newer generation or a deletion took its place.
    Superseded,
}

/// An instance that a fresh lifecycle finds on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Which one.
    pub id: InstanceId,
    /// The generation that its label names.
    pub generation: Generation,
    /// What is left of it.
    pub state: ObservedState,
}

/// What a look at the host says of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservedState {
    /// Its process runs.
    Running,
    /// Parts of it exist, its process does not run.
    Remains,
}

#[derive(Debug, Clone)]
struct Instance {
    generation: Generation,
    phase: InstancePhase,
    /// Since when it is in this phase.
    since: Uptime,
    /// Whether requests may be on their way to it.
    published: bool,
    /// Tear-downs that failed, and when the next one is due.
    failed_removals: u32,
    remove_again: Option<Uptime>,
}

impl Instance {
    fn new(generation: Generation, phase: InstancePhase, now: Uptime) -> Self {
        Self { generation, phase, since: now, published: false, failed_removals: 0, remove_again: None }
    }

    /// Serving, as far as anybody knows.
    fn serves(&self) -> bool {
        matches!(self.phase, InstancePhase::Ready | InstancePhase::Adopting)
    }
}

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
    backoff: Backoff,
    /// The time of the earliest `RetryAfter` that is still to come.
    armed: Option<Uptime>,
    restarts: u64,
    failure: Option<Failure>,
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
            backoff: Backoff::default(),
            armed: None,
            restarts: 0,
            failure: None,
            gone: true,
        }
    }

    /// A lifecycle that takes over what the store and the host say, after a restart or a panic.
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
        life.newest = desired.as_ref().map_or(life.newest, |desired| desired.generation);
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
            match life.spec_of(generation) {
                Some(spec) if state == ObservedState::Running => effects.push(Effect::Adopt(id, generation, spec)),
                _ => life.remove(&id, now, &mut effects),
            }
        }
        life.reconcile(now, &mut effects);
        (life, effects)
    }

    /// Notes an event and says what follows from it.
    pub fn on(&mut self, event: Event, now: Uptime) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.armed.is_some_and(|due| due <= now) {
            self.armed = None;
        }
        match event {
            Event::Apply(next) => self.apply(next, now, &mut effects),
            Event::Scale(replicas) => {
                if let Some(desired) = &mut self.desired {
                    desired.replicas = replicas;
                }
            }
            Event::Delete => self.desired = None,
            Event::Started(id, address) => self.started(id, address, now, &mut effects),
            Event::StartFailed(id, error) => self.start_failed(id, &error, now, &mut effects),
            Event::Exited(id, exit) => self.exited(&id, &exit, now, &mut effects),
            Event::Drained(id) => {
                if self.phase(&id) == Some(InstancePhase::Draining) {
                    self.remove(&id, now, &mut effects);
                }
            }
            Event::Removed(id) => {
                if self.instances.remove(&id).is_some_and(|instance| instance.published) {
                    effects.push(Effect::Retract(id));
                }
            }
            Event::RemoveFailed(id, _) => self.remove_failed(&id, now),
            Event::RetryDue => {}
        }
        self.reconcile(now, &mut effects);
        effects
    }

    /// What must be made durable before [`Event::Apply`] may say that `spec` was accepted. It equals [`Self::desired`]
    /// when the function is already all that `spec` asks for: then there is nothing to do.
    #[must_use]
    pub fn accept(&self, spec: Spec, created_at: &str) -> Desired {
        let least = spec.min_replicas();
        match &self.desired {
            Some(now) if *now.spec == spec && now.failed.is_none() => {
                Desired { replicas: now.replicas.max(least), ..now.clone() }
            }
            before => Desired {
                generation: self.newest.next(),
                replicas: before.as_ref().map_or(least, |before| before.replicas.max(least)),
                good: before.as_ref().and_then(last_good),
                created_at: before.as_ref().map_or(created_at, |before| &before.created_at).to_owned(),
                spec: Arc::new(spec),
                proven: false,
                failed: None,
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
                None if self.ready_of(generation) >= desired.replicas => Outcome::Ready,
                None => Outcome::Pending,
            },
            _ => Outcome::Superseded,
        }
    }

    /// What the function looks like from outside.
    #[must_use]
    pub fn status(&self, now: Uptime) -> Status {
        let ready = || self.instances.values().filter(|instance| instance.serves());
        let count = u32::try_from(ready().count()).unwrap_or(u32::MAX);
        let phase = match &self.desired {
            None => Phase::Deleting,
            Some(desired) if desired.failed.is_some() => Phase::Failed,
            Some(desired) if desired.replicas == 0 => Phase::Stopped,
            Some(desired) if self.ready_of(desired.generation) >= desired.replicas => Phase::Ready,
            Some(_) => self.backoff.until(now).map_or(Phase::Starting, |until| Phase::BackingOff { until }),
        };
        Status {
            desired: self.desired.clone(),
            phase,
            ready: count,
            serving: ready().map(|instance| instance.generation).max(),
            restarts: self.restarts,
            failure: self.failure.clone(),
        }
    }

    /// Every instance that is known, with its generation and where it stands.
    pub fn instances(&self) -> impl Iterator<Item = (&InstanceId, Generation, InstancePhase)> {
        self.instances.iter().map(|(id, instance)| (id, instance.generation, instance.phase))
    }

    // ---- what events say -----------------------------------------------------------------------------------------

    fn apply(&mut self, mut next: Desired, now: Uptime, effects: &mut Vec<Effect>) {
        if let Some(before) = &self.desired
            && before.generation != next.generation
        {
            // The generation before may have proved itself while this one was being committed.
            let good = last_good(before);
            if good != next.good {
                next.good = good;
                effects.push(Effect::Record(next.clone()));
            }
        }
        if self.desired.as_ref().is_none_or(|before| before.generation < next.generation) {
            self.backoff.reset();
            self.failure = None;
            self.wanted_since = now;
        }
        self.newest = self.newest.max(next.generation);
        self.desired = Some(next);
    }

    fn started(&mut self, id: InstanceId, address: SocketAddr, now: Uptime, effects: &mut Vec<Effect>) {
        match self.instances.get_mut(&id) {
            Some(instance) if matches!(instance.phase, InstancePhase::Starting | InstancePhase::Adopting) => {
                instance.phase = InstancePhase::Ready;
                instance.since = now;
                instance.published = true;
                let generation = instance.generation;
                effects.push(Effect::Publish(id, address));
                self.prove(generation, effects);
            }
            Some(_) => {}
            None => self.remove_stranger(id, now, effects),
        }
    }

    /// A generation that served once is good: from now on it is the one to fall back on.
    fn prove(&mut self, generation: Generation, effects: &mut Vec<Effect>) {
        let Some(desired) = &mut self.desired else { return };
        if desired.generation != generation {
            return;
        }
        self.failure = None;
        if !desired.proven {
            desired.proven = true;
            desired.good = None;
            effects.push(Effect::Record(desired.clone()));
        }
    }

    fn start_failed(&mut self, id: InstanceId, error: &StartError, now: Uptime, effects: &mut Vec<Effect>) {
        match self.instances.get(&id).map(|instance| (instance.phase, instance.generation)) {
            Some((InstancePhase::Starting | InstancePhase::Adopting, generation)) => {
                self.remove(&id, now, effects);
                self.note_failure(generation, error.to_string());
                let hopeless = error.is_hopeless() && self.is_unproven(generation);
                if hopeless {
                    self.give_up(error.to_string(), effects);
                } else {
                    let jitter = self.next_jitter();
                    self.backoff.start_failed(now, jitter);
                }
            }
            Some(_) => {}
            None => self.remove_stranger(id, now, effects),
        }
    }

    fn exited(&mut self, id: &InstanceId, exit: &Exit, now: Uptime, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get(id) else { return };
        let ran = now.since(instance.since);
        let generation = instance.generation;
        match instance.phase {
            InstancePhase::Ready => {
                self.restarts += 1;
                self.note_failure(generation, format!("the process {exit}"));
                let jitter = self.next_jitter();
                self.backoff.crashed(now, ran, jitter);
                self.remove(id, now, effects);
            }
            InstancePhase::Starting | InstancePhase::Adopting => {
                let error = StartError::Exited { exit: exit.clone(), hint: None };
                self.start_failed(id.clone(), &error, now, effects);
            }
            InstancePhase::Draining => self.remove(id, now, effects),
            InstancePhase::Removing => {}
        }
    }

    fn remove_failed(&mut self, id: &InstanceId, now: Uptime) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.phase == InstancePhase::Removing && instance.remove_again.is_none() {
            let wait = Duration::from_secs(1 << instance.failed_removals.min(6));
            instance.failed_removals += 1;
            instance.remove_again = Some(now.after(wait));
        }
    }

    // ---- what follows --------------------------------------------------------------------------------------------

    /// Compares what is desired with what is observed and asks for the difference.
    fn reconcile(&mut self, now: Uptime, effects: &mut Vec<Effect>) {
        self.check_progress(now, effects);
        let target = self.target();
        let wanted = target.as_ref().map_or(0, |(_, _, replicas)| *replicas as usize);
        let generation = target.as_ref().map(|(generation, ..)| *generation);
        self.retire_surplus(generation, wanted, now, effects);
        if let Some((generation, spec, _)) = target {
            self.start_missing(generation, &spec, wanted, now, effects);
        }
        self.remove_again(now, effects);
        self.arm(wanted, generation, now, effects);
        let gone = self.desired.is_none() && self.instances.is_empty();
        if gone && !self.gone {
            effects.push(Effect::Gone);
        }
        self.gone = gone;
    }

    /// The generation that should serve, and with how many instances: the newest, or if that failed the last good one.
    fn target(&self) -> Option<(Generation, Arc<Spec>, u32)> {
        let desired = self.desired.as_ref()?;
        if desired.failed.is_none() {
            return Some((desired.generation, desired.spec.clone(), desired.replicas));
        }
        let (generation, spec) = desired.good.clone()?;
        Some((generation, spec, desired.replicas))
    }

    /// An update that goes nowhere is given up while the generation before it still serves.
    fn check_progress(&mut self, now: Uptime, effects: &mut Vec<Effect>) {
        if self.progress_deadline().is_some_and(|deadline| deadline <= now) {
            let last = self.failure.as_ref().map_or("it never answered", |failure| &failure.reason);
            let seconds = PROGRESS_DEADLINE.as_secs();
            let reason = format!("not ready within {seconds} s, the generation before it goes on serving: {last}");
            self.give_up(reason, effects);
        }
    }

    fn progress_deadline(&self) -> Option<Uptime> {
        let desired = self.desired.as_ref()?;
        let waiting = !desired.proven && desired.failed.is_none() && desired.good.is_some() && desired.replicas > 0;
        waiting.then(|| self.wanted_since.after(PROGRESS_DEADLINE))
    }

    /// Sends away what is not wanted: starts of other generations at once, serving instances of other generations as
    /// soon as the rest is enough, and then whatever is beyond the number asked for.
    fn retire_surplus(&mut self, target: Option<Generation>, wanted: usize, now: Uptime, effects: &mut Vec<Effect>) {
        let is_target = |instance: &Instance| Some(instance.generation) == target;
        let superseded = self.ids_where(|i| !is_target(i) && i.phase == InstancePhase::Starting);
        for id in superseded {
            self.remove(&id, now, effects);
        }
        let confirmed = self.ids_where(|i| is_target(i) && i.phase == InstancePhase::Ready).len();
        let mut old = self.ids_where(|i| !is_target(i) && i.serves());
        while !old.is_empty() && confirmed + old.len() > wanted {
            let oldest =
                old.iter().enumerate().min_by_key(|(_, id)| self.instances[*id].generation).map_or(0, |(at, _)| at);
            self.retire(&old.swap_remove(oldest), now, effects);
        }
        // Those that don't serve yet go first, then the youngest.
        let mut current = self.ids_where(|i| is_target(i) && (i.serves() || i.phase == InstancePhase::Starting));
        current.sort_by_key(|id| {
            let instance = &self.instances[id];
            (instance.phase == InstancePhase::Starting, instance.since)
        });
        for id in current.split_off(wanted.min(current.len())) {
            self.retire(&id, now, effects);
        }
    }

    /// Starts what is missing: one at a time beside a generation that serves, all at once where nothing does.
    fn start_missing(
        &mut self,
        target: Generation,
        spec: &Arc<Spec>,
        wanted: usize,
        now: Uptime,
        effects: &mut Vec<Effect>,
    ) {
        if self.backoff.until(now).is_some() {
            return;
        }
        let have = self.have(target);
        let starting = self.ids_where(|i| i.generation == target && i.phase == InstancePhase::Starting).len();
        let old = self.ids_where(|i| i.generation != target && i.serves()).len();
        let missing = wanted.saturating_sub(have);
        let unserved = wanted.saturating_sub(have + old);
        let beside = usize::from(starting == 0);
        let count = if old == 0 { missing } else { missing.min(unserved.max(beside)) };
        for _ in 0..count {
            let id = self.ids.next_id();
            self.instances.insert(id.clone(), Instance::new(target, InstancePhase::Starting, now));
            effects.push(Effect::BringUp(id, target, spec.clone()));
        }
    }

    /// Tears down again where it failed and the wait is over.
    fn remove_again(&mut self, now: Uptime, effects: &mut Vec<Effect>) {
        for (id, instance) in &mut self.instances {
            if instance.remove_again.is_some_and(|due| due <= now) {
                instance.remove_again = None;
                effects.push(Effect::TearDown(id.clone()));
            }
        }
    }

    /// Asks to be woken at the earliest time at which something is due, unless an earlier call is on its way.
    fn arm(&mut self, wanted: usize, target: Option<Generation>, now: Uptime, effects: &mut Vec<Effect>) {
        let missing = target.is_some_and(|target| self.have(target) < wanted);
        let backoff = self.backoff.until(now).filter(|_| missing);
        let removals = self.instances.values().filter_map(|instance| instance.remove_again);
        let Some(due) = removals.chain(backoff).chain(self.progress_deadline()).min() else { return };
        if self.armed.is_none_or(|armed| due < armed) {
            self.armed = Some(due);
            effects.push(Effect::RetryAfter(due.since(now)));
        }
    }

    // ---- small steps ---------------------------------------------------------------------------------------------

    /// Takes an instance out of service, politely if it serves.
    fn retire(&mut self, id: &InstanceId, now: Uptime, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.phase == InstancePhase::Ready {
            instance.phase = InstancePhase::Draining;
            instance.since = now;
            instance.published = false;
            effects.push(Effect::Retract(id.clone()));
            effects.push(Effect::Drain(id.clone()));
        } else {
            self.remove(id, now, effects);
        }
    }

    /// The one way down.
    fn remove(&mut self, id: &InstanceId, now: Uptime, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.phase == InstancePhase::Removing {
            return;
        }
        if std::mem::take(&mut instance.published) {
            effects.push(Effect::Retract(id.clone()));
        }
        instance.phase = InstancePhase::Removing;
        instance.since = now;
        effects.push(Effect::TearDown(id.clone()));
    }

    /// Somebody brought up an instance that nobody knows any more: it goes the way of all others.
    fn remove_stranger(&mut self, id: InstanceId, now: Uptime, effects: &mut Vec<Effect>) {
        let instance = Instance::new(Generation::default(), InstancePhase::Starting, now);
        self.instances.insert(id.clone(), instance);
        self.remove(&id, now, effects);
    }

    /// The newest generation will not serve: an older good one does, or nothing.
    fn give_up(&mut self, reason: String, effects: &mut Vec<Effect>) {
        let Some(desired) = &mut self.desired else { return };
        self.failure = Some(Failure { generation: desired.generation, reason: reason.clone() });
        desired.failed = Some(reason);
        self.backoff.reset();
        effects.push(Effect::Record(desired.clone()));
    }

    fn note_failure(&mut self, generation: Generation, reason: String) {
        let failed_for_good = self.desired.as_ref().is_some_and(|desired| desired.failed.is_some());
        // The reason why the newest generation was given up is worth more than a hiccup of the one that serves.
        if !failed_for_good {
            self.failure = Some(Failure { generation, reason });
        }
    }

    fn is_unproven(&self, generation: Generation) -> bool {
        self.desired.as_ref().is_some_and(|desired| desired.generation == generation && !desired.proven)
    }

    fn spec_of(&self, generation: Generation) -> Option<Arc<Spec>> {
        let desired = self.desired.as_ref()?;
        if desired.generation == generation {
            return Some(desired.spec.clone());
        }
        desired.good.as_ref().filter(|(good, _)| *good == generation).map(|(_, spec)| spec.clone())
    }

    fn phase(&self, id: &InstanceId) -> Option<InstancePhase> {
        self.instances.get(id).map(|instance| instance.phase)
    }

    fn ids_where(&self, keep: impl Fn(&Instance) -> bool) -> Vec<InstanceId> {
        self.instances.iter().filter(|(_, instance)| keep(instance)).map(|(id, _)| id.clone()).collect()
    }

    /// Instances of `generation` that serve or will.
    fn have(&self, generation: Generation) -> usize {
        self.ids_where(|i| i.generation == generation && (i.serves() || i.phase == InstancePhase::Starting)).len()
    }

    fn ready_of(&self, generation: Generation) -> u32 {
        let ready = self.ids_where(|i| i.generation == generation && i.phase == InstancePhase::Ready).len();
        u32::try_from(ready).unwrap_or(u32::MAX)
    }

    fn next_jitter(&mut self) -> u64 {
        self.jitter = self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.jitter >> 33
    }
}

/// The generation to fall back on if the one after `desired` fails.
fn last_good(desired: &Desired) -> Option<(Generation, Arc<Spec>)> {
    if desired.proven { Some((desired.generation, desired.spec.clone())) } else { desired.good.clone() }
}
