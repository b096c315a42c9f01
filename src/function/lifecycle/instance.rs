//! What a lifecycle knows of one instance, and the ways out of service.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Effect, Lifecycle};
use crate::function::{Generation, InstanceId, InstancePhase, Uptime};

#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) generation: Generation,
    pub(super) phase: InstancePhase,
    /// Since when it is in this phase. Readiness that comes and goes does not count: it serves since it first did.
    pub(super) since: Uptime,
    /// Where it listens, once it was ready.
    pub(super) address: Option<SocketAddr>,
    /// Whether requests may be on their way to it.
    pub(super) published: bool,
    /// Whether its bring-up came to an end after its tear-down was asked for, and may have made something after it.
    pub(super) late_start: bool,
    /// Tear-downs that failed, and when the next one is due.
    failed_removals: u32,
    pub(super) remove_again: Option<Uptime>,
}

impl Instance {
    pub(super) fn new(generation: Generation, phase: InstancePhase, now: Uptime) -> Self {
        Self {
            generation,
            phase,
            since: now,
            address: None,
            published: false,
            late_start: false,
            failed_removals: 0,
            remove_again: None,
        }
    }

    /// Serving, or running and not yet looked at.
    pub(super) fn serves(&self) -> bool {
        self.phase.is_ready() || self.phase == InstancePhase::Adopting
    }

    /// Serving, or on its way to it.
    pub(super) fn counts(&self) -> bool {
        self.serves() || matches!(self.phase, InstancePhase::Starting | InstancePhase::Unready)
    }

    /// Which instances are kept when some are too many: the greater, the longer. One that starts loses nothing.
    pub(super) fn keep_priority(&self) -> u8 {
        match self.phase {
            InstancePhase::Ready => 5,
            InstancePhase::Frozen => 4,
            InstancePhase::Spare => 3,
            InstancePhase::Adopting => 2,
            InstancePhase::Unready => 1,
            InstancePhase::Starting | InstancePhase::Draining | InstancePhase::Removing => 0,
        }
    }

    /// Puts the next tear-down off: 1, 2, 4 ... 64 s. A failure that is told twice counts once.
    pub(super) fn removal_failed(&mut self, now: Uptime) {
        if self.phase == InstancePhase::Removing && self.remove_again.is_none() {
            let wait = Duration::from_secs(1 << self.failed_removals.min(6));
            self.failed_removals = self.failed_removals.saturating_add(1);
            self.remove_again = Some(now.after(wait));
        }
    }

    pub(super) fn enter(&mut self, phase: InstancePhase, now: Uptime) {
        self.phase = phase;
        self.since = now;
    }
}

impl Lifecycle {
    /// Sends requests to an instance that is ready.
    pub(super) fn serve(&mut self, id: &InstanceId, address: SocketAddr, now: Uptime) -> Option<Effect> {
        let instance = self.instances.get_mut(id)?;
        instance.enter(InstancePhase::Ready, now);
        instance.address = Some(address);
        instance.published = true;
        Some(Effect::Publish(id.clone(), address))
    }

    /// Sends no more requests to an instance that says that it can't take any; it goes on with those that it has.
    pub(super) fn mark_unready(&mut self, id: &InstanceId, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.phase = InstancePhase::Unready;
        if std::mem::take(&mut instance.published) {
            effects.push(Effect::Retract(id.clone()));
        }
    }

    /// Sends requests to an instance again.
    pub(super) fn mark_ready(&mut self, id: &InstanceId, address: SocketAddr) -> Option<Effect> {
        let instance = self.instances.get_mut(id)?;
        instance.phase = InstancePhase::Ready;
        instance.published = true;
        Some(Effect::Publish(id.clone(), address))
    }

    /// Takes an instance out of service: politely if it serves or did, at once if it never did.
    pub(super) fn drain(&mut self, id: &InstanceId, now: Uptime, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.serves() || matches!(instance.phase, InstancePhase::Unready | InstancePhase::Spare) {
            instance.enter(InstancePhase::Draining, now);
            if std::mem::take(&mut instance.published) {
                effects.push(Effect::Retract(id.clone()));
            }
            effects.push(Effect::Drain(id.clone()));
        } else {
            self.remove(id, now, effects);
        }
    }

    /// The one way down. Asks once: the answer to a tear-down under way is still to come.
    pub(super) fn remove(&mut self, id: &InstanceId, now: Uptime, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        if instance.phase == InstancePhase::Removing {
            return;
        }
        if std::mem::take(&mut instance.published) {
            effects.push(Effect::Retract(id.clone()));
        }
        instance.enter(InstancePhase::Removing, now);
        effects.push(Effect::TearDown(id.clone()));
    }

    /// Tears down an instance that was brought up and that this lifecycle does not know (any more).
    pub(super) fn remove_unknown(&mut self, id: &InstanceId, now: Uptime, effects: &mut Vec<Effect>) {
        let instance = Instance::new(Generation::default(), InstancePhase::Starting, now);
        self.instances.insert(id.clone(), instance);
        self.remove(id, now, effects);
    }
}
