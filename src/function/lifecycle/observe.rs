//! What events say: each one changes what is desired or observed, and asks for nothing that [`super::reconcile`] can find
//! out by comparing. What it does ask for can't wait: publish, retract, tear down, record.

use std::net::SocketAddr;
use std::time::Duration;

use super::instance::Instance;
use super::{Effect, Lifecycle};
use crate::function::{Desired, Exit, Failure, Generation, InstanceId, InstancePhase, StartError, Uptime};

impl Lifecycle {
    pub(super) fn apply(&mut self, mut next: Desired, now: Uptime, effects: &mut Vec<Effect>) {
        let accepted = next.clone();
        let before = self.desired.take();
        match &before {
            // More replicas of what is there: what was learnt while it was being committed stays.
            Some(before) if before.generation == next.generation => {
                next = Desired { replicas: next.replicas, idle: false, ..before.clone() };
            }
            // The generation before may have served while this one was being committed, and the load may have changed.
            Some(before) => {
                next.history = before.kept();
                next.adjusted = before.adjusted_for(&next.spec);
            }
            None => {}
        }
        if next != accepted {
            effects.push(Effect::Record(next.clone()));
        }
        let is_new = before.as_ref().is_none_or(|before| before.generation != next.generation);
        if is_new {
            self.failure = None;
            // The one before may be asked for again, and must not be started sooner for that.
            let before = before.as_ref().map(|before| before.generation);
            let good = next.last_good().map(|good| good.generation);
            self.backoffs.retain(|generation, _| [before, good].contains(&Some(*generation)));
        }
        if is_new || before.is_some_and(|before| before.running_replicas() == 0) {
            self.wanted_since = now;
        }
        self.newest = self.newest.max(next.generation);
        self.desired = Some(next);
    }

    /// What was asked for before a refused generation is asked for again, as it stood. An instance of it may have come to
    /// serve meanwhile, if it was just being looked at.
    pub(super) fn put_back(&mut self, before: Desired, now: Uptime, effects: &mut Vec<Effect>) {
        let generation = before.generation;
        self.failure = before.failed.clone().map(|reason| Failure { generation, reason });
        self.newest = self.newest.max(before.newest_generation());
        self.wanted_since = now;
        self.desired = Some(before);
        if self.ready_of(generation) > 0 {
            self.note_served(generation, effects);
        }
    }

    pub(super) fn started(&mut self, id: &InstanceId, address: SocketAddr, now: Uptime, effects: &mut Vec<Effect>) {
        match self.instances.get(id).map(|instance| (instance.phase, instance.generation)) {
            Some((InstancePhase::Starting | InstancePhase::Adopting, generation)) => {
                if self.is_needed(id) {
                    effects.extend(self.serve(id, address, now));
                } else {
                    self.stand_by(id, address, now, effects);
                }
                self.note_served(generation, effects);
            }
            Some(_) => self.note_late_start(id),
            None => self.remove_unknown(id, now, effects),
        }
    }

    /// A generation that served once never fails its rollout any more, and the next one falls back on it.
    fn note_served(&mut self, generation: Generation, effects: &mut Vec<Effect>) {
        let Some(desired) = &mut self.desired else { return };
        if desired.generation != generation || desired.failed.is_some() {
            return;
        }
        self.failure = None;
        if !desired.has_served {
            desired.has_served = true;
            effects.push(Effect::Record(desired.clone()));
        }
    }

    pub(super) fn start_failed(&mut self, id: &InstanceId, error: &StartError, now: Uptime, effects: &mut Vec<Effect>) {
        match self.instances.get(id).map(|instance| (instance.phase, instance.generation)) {
            Some((InstancePhase::Starting | InstancePhase::Adopting, generation)) => {
                self.remove(id, now, effects);
                self.note_failure(generation, error.to_string());
                if error.is_permanent() && self.is_on_trial(generation) {
                    self.fail_rollout(error.to_string(), effects);
                } else {
                    let jitter = self.next_jitter();
                    let backoff = self.backoffs.entry(generation).or_default();
                    match error {
                        StartError::NoRoom(why) => backoff.found_no_room(now, jitter, why),
                        _ => backoff.start_failed(now, jitter, error.exit()),
                    }
                    backoff.is_permanent = error.is_permanent();
                }
            }
            Some(_) => self.note_late_start(id),
            None => self.remove_unknown(id, now, effects),
        }
    }

    pub(super) fn exited(&mut self, id: &InstanceId, exit: &Exit, now: Uptime, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get(id) else { return };
        let (generation, ran) = (instance.generation, now.since(instance.since));
        match instance.phase {
            InstancePhase::Ready | InstancePhase::Frozen | InstancePhase::Unready | InstancePhase::Spare => {
                self.replace(id, generation, ran, format!("the process {exit}"), now, effects);
            }
            InstancePhase::Starting | InstancePhase::Adopting => {
                let error = StartError::Exited { exit: exit.clone(), hint: None };
                self.start_failed(id, &error, now, effects);
            }
            InstancePhase::Draining => self.remove(id, now, effects),
            InstancePhase::Removing => {}
        }
    }

    /// An instance that is not well goes the way of one that crashed. One that drains has its deadline already.
    pub(super) fn unhealthy(&mut self, id: &InstanceId, reason: String, now: Uptime, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get(id) else { return };
        let (generation, ran) = (instance.generation, now.since(instance.since));
        match instance.phase {
            InstancePhase::Ready | InstancePhase::Frozen | InstancePhase::Unready | InstancePhase::Spare => {
                self.replace(id, generation, ran, reason, now, effects);
            }
            InstancePhase::Starting | InstancePhase::Adopting => {
                self.start_failed(id, &StartError::NotReady(reason), now, effects);
            }
            InstancePhase::Draining | InstancePhase::Removing => {}
        }
    }

    /// Removes an instance that served for `ran`, or stood by, and counts its end as a failure.
    fn replace(
        &mut self,
        id: &InstanceId,
        generation: Generation,
        ran: Duration,
        reason: String,
        now: Uptime,
        effects: &mut Vec<Effect>,
    ) {
        let stood_by = self.instances.get(id).is_some_and(|instance| instance.phase == InstancePhase::Spare);
        self.restarts += u64::from(!stood_by);
        self.note_failure(generation, reason);
        let jitter = self.next_jitter();
        self.backoffs.entry(generation).or_default().crashed(now, ran, jitter);
        self.remove(id, now, effects);
    }

    /// It may be heard of one that is being adopted, too: its process runs, and is not killed for what may pass.
    pub(super) fn unready(&mut self, id: &InstanceId, reason: String, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get(id) else { return };
        if instance.phase == InstancePhase::Spare {
            self.mark_unready(id, effects);
        } else if instance.serves() {
            let generation = instance.generation;
            self.mark_unready(id, effects);
            self.note_failure(generation, reason);
        }
    }

    /// Where a spare took its place meanwhile, it is the next spare.
    pub(super) fn ready(&mut self, id: &InstanceId, address: SocketAddr, now: Uptime, effects: &mut Vec<Effect>) {
        let unready = |instance: &&Instance| instance.phase == InstancePhase::Unready;
        let Some(generation) = self.instances.get(id).filter(unready).map(|instance| instance.generation) else {
            return;
        };
        if self.is_needed(id) {
            effects.extend(self.mark_ready(id, address));
        } else {
            self.stand_by(id, address, now, effects);
        }
        self.note_served(generation, effects);
    }

    pub(super) fn drained(&mut self, id: &InstanceId, now: Uptime, effects: &mut Vec<Effect>) {
        if self.instances.get(id).is_some_and(|instance| instance.phase == InstancePhase::Draining) {
            self.remove(id, now, effects);
        }
    }

    /// What a bring-up made while its instance was being torn down may still be there: it is torn down once more. A
    /// `Removed` that comes after a failed tear-down is out of date and changes nothing.
    pub(super) fn removed(&mut self, id: &InstanceId, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.remove_again.is_none()) else {
            return;
        };
        if std::mem::take(&mut instance.late_start) {
            effects.push(Effect::TearDown(id.clone()));
            return;
        }
        if instance.published {
            effects.push(Effect::Retract(id.clone()));
        }
        self.instances.remove(id);
    }

    /// What could not be removed is still there, also where this lifecycle did not know of it.
    pub(super) fn remove_failed(&mut self, id: &InstanceId, now: Uptime) {
        let unknown = || Instance::new(Generation::default(), InstancePhase::Removing, now);
        self.instances.entry(id.clone()).or_insert_with(unknown).removal_failed(now);
    }

    fn note_late_start(&mut self, id: &InstanceId) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.late_start = instance.phase == InstancePhase::Removing;
        }
    }

    /// The newest generation will not serve: an older good one does, or nothing.
    pub(super) fn fail_rollout(&mut self, reason: String, effects: &mut Vec<Effect>) {
        let Some(desired) = &mut self.desired else { return };
        self.failure = Some(Failure { generation: desired.generation, reason: reason.clone() });
        desired.failed = Some(reason);
        effects.push(Effect::Record(desired.clone()));
    }

    fn note_failure(&mut self, generation: Generation, reason: String) {
        let failed_for_good = self.desired.as_ref().is_some_and(|desired| desired.failed.is_some());
        // The reason why the newest generation failed says more than a passing failure of the one that serves.
        if !failed_for_good {
            self.failure = Some(Failure { generation, reason });
        }
    }

    /// Whether `generation` is the newest and never served, so that its rollout may still fail.
    fn is_on_trial(&self, generation: Generation) -> bool {
        self.desired.as_ref().is_some_and(|desired| desired.generation == generation && !desired.has_served)
    }

    fn next_jitter(&mut self) -> u64 {
        self.jitter = self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.jitter >> 33
    }
}
