//! The tiers of a function that nothing calls: ready, frozen, stopped.
//!
//! ```text
//! Rest(Frozen)  -> Freeze of each ready instance -> Frozen ... the next call thaws it by itself: Thawed
//! Rest(Stopped) -> idle: all drain               ... the next call is a Wake
//! Rest(Ready)   -> no longer idle
//! ```
//! When it is time for which tier is for the caller to say (`function::scaling`). A frozen instance counts as one that
//! serves, here and everywhere.

use super::{Desired, Effect, Lifecycle, Outlook};
use crate::function::{InstanceId, InstancePhase, Uptime};

/// How far a function is from its next answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Its instances run.
    Ready,
    /// Its instances are there, and get no time from the processor until the next call.
    Frozen,
    /// It has no instance until the next call.
    Stopped,
}

impl Lifecycle {
    pub(super) fn rest(&mut self, tier: Tier, now: Uptime, effects: &mut Vec<Effect>) {
        match tier {
            Tier::Ready => self.set_idle(false, now, effects),
            Tier::Frozen => self.freeze(effects),
            Tier::Stopped if self.may_stop(now) => self.set_idle(true, now, effects),
            Tier::Stopped => {}
        }
    }

    /// Only what serves may be frozen, and the owner looks once more whether no request has it.
    fn freeze(&self, effects: &mut Vec<Effect>) {
        let ready = self.instances.iter().filter(|(_, instance)| instance.phase == InstancePhase::Ready);
        effects.extend(ready.map(|(id, _)| Effect::Freeze(id.clone())));
    }

    /// What is on trial has to prove itself first, called or not; and what is on its way for callers has to come.
    fn may_stop(&self, now: Uptime) -> bool {
        let runs = |desired: &Desired| desired.running_replicas() > 0 && !desired.is_on_trial();
        self.desired.as_ref().is_some_and(runs) && self.outlook(now) != Some(Outlook::Waking)
    }

    fn set_idle(&mut self, idle: bool, now: Uptime, effects: &mut Vec<Effect>) {
        if self.desired.as_ref().is_none_or(|desired| desired.idle == idle) {
            return;
        }
        self.change_number(now, |desired| Desired { idle, ..desired });
        effects.extend(self.desired.clone().map(Effect::Record));
    }

    /// Meanwhile it may have been told to go: then it goes frozen as it is.
    pub(super) fn frozen(&mut self, id: &InstanceId) {
        self.change_phase(id, InstancePhase::Ready, InstancePhase::Frozen);
    }

    pub(super) fn thawed(&mut self, id: &InstanceId) {
        self.change_phase(id, InstancePhase::Frozen, InstancePhase::Ready);
    }

    /// It serves since it first did: the time does not begin anew.
    fn change_phase(&mut self, id: &InstanceId, from: InstancePhase, to: InstancePhase) {
        if let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.phase == from) {
            instance.phase = to;
        }
    }
}
