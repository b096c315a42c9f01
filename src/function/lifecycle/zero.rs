//! The ways to no instance and back: a number of replicas, being kept down, and a request that wakes it.
//!
//! ```text
//! Scale(0), KeepDown(true) -> all drain        Scale(1..), KeepDown(false) -> as many start as are asked for
//! Rest(Stopped) -> all drain                   Wake, from a zero that no operator keeps -> the fewest start
//!                                              Wake, from idleness -> as many start as ran before
//! Adjust(n) -> so many run, where any are to
//! ```

use super::instance::Instance;
use super::{Adjusted, Desired, Effect, Lifecycle};
use crate::function::Uptime;

impl Lifecycle {
    pub(super) fn scale(&mut self, replicas: u32, now: Uptime) {
        self.change_number(now, |desired| desired.scaled(replicas));
    }

    pub(super) fn keep_down(&mut self, down: bool, now: Uptime) {
        self.change_number(now, |desired| desired.stopped(down));
    }

    /// A request waits for a function that is at zero. What is kept down stays so, and a wake that comes late is none.
    /// The caller does not wait for the disk: a number that gets lost costs one more wake.
    pub(super) fn wake(&mut self, now: Uptime, effects: &mut Vec<Effect>) {
        if self.desired.as_ref().is_none_or(|desired| desired.kept_down || desired.running_replicas() > 0) {
            return;
        }
        self.change_number(now, |desired| match desired.replicas {
            0 => Desired { replicas: desired.serving_spec().min_replicas(), idle: false, ..desired },
            _ => Desired { idle: false, ..desired },
        });
        effects.extend(self.desired.clone().map(Effect::Record));
    }

    /// The load asks for another number. It wakes nothing, and takes nothing down: a zero is for idleness and operators.
    pub(super) fn adjust(&mut self, adjusted: Adjusted, now: Uptime, effects: &mut Vec<Effect>) {
        let Some(desired) = self.desired.as_ref().filter(|desired| desired.running_replicas() > 0) else { return };
        let same = desired.running_replicas() == adjusted.replicas;
        if adjusted.replicas == 0 || same && desired.adjusted.is_none() || desired.adjusted.as_ref() == Some(&adjusted)
        {
            return;
        }
        self.change_number(now, |desired| Desired { adjusted: Some(adjusted), ..desired });
        effects.extend(self.desired.clone().map(Effect::Record));
    }

    /// A rollout that goes on after a rest is given its whole time again.
    pub(super) fn change_number(&mut self, now: Uptime, change: impl FnOnce(Desired) -> Desired) {
        let Some(desired) = self.desired.take() else { return };
        let rested = desired.running_replicas() == 0;
        self.desired = Some(change(desired));
        if rested {
            self.wanted_since = now;
        }
    }

    pub(super) fn note_zero(&mut self) {
        let rests = self.desired.as_ref().is_some_and(|desired| desired.running_replicas() == 0);
        let waits = self.from_zero && self.count(Instance::serves) == 0;
        self.from_zero = rests || waits;
    }
}
