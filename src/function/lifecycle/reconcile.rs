//! What follows: compares what is desired with what is observed and asks for the difference.
//!
//! ```text
//! fail a late rollout -> promote spares -> drain what is too much -> start what is missing -> tear down again -> set the timer
//! ```

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::instance::Instance;
use super::{Effect, Lifecycle};
use crate::function::{Generation, InstanceId, InstancePhase, Spec, Uptime};

/// The rollout of an update that has not served by then fails, and the generation before it stays.
pub(super) const PROGRESS_DEADLINE: Duration = Duration::from_secs(300);

/// What should serve.
#[derive(Default)]
pub(super) struct Wanted {
    /// The newest generation, or the last good one if that failed.
    pub(super) target: Option<(Generation, Arc<Spec>)>,
    /// The last good generation, kept complete while the newest stumbles: an update that may fail must not leave the
    /// function unserved because what it replaces crashed meanwhile.
    pub(super) fallback: Option<(Generation, Arc<Spec>)>,
    /// How many instances serve, in all.
    pub(super) replicas: usize,
    /// How many of the target stand by beyond those, and how many of what it replaces may, until it serves.
    pub(super) spares: usize,
    pub(super) old_spares: usize,
}

impl Wanted {
    pub(super) fn is_target(&self, instance: &Instance) -> bool {
        self.target.as_ref().is_some_and(|(generation, _)| *generation == instance.generation)
    }

    fn is_fallback(&self, instance: &Instance) -> bool {
        self.fallback.as_ref().is_some_and(|(generation, _)| *generation == instance.generation)
    }
}

impl Lifecycle {
    pub(super) fn reconcile(&mut self, now: Uptime, effects: &mut Vec<Effect>) {
        self.check_progress(now, effects);
        self.promote(now, effects);
        let wanted = self.wanted();
        self.drain_surplus(&wanted, now, effects);
        self.start_missing(&wanted, now, effects);
        self.remove_again(now, effects);
        self.schedule_wakeup(&wanted, now, effects);
        self.note_zero();
        let gone = self.desired.is_none() && self.instances.is_empty();
        if gone && !self.gone {
            effects.push(Effect::Gone);
        }
        self.gone = gone;
    }

    pub(super) fn wanted(&self) -> Wanted {
        let Some(desired) = &self.desired else { return Wanted::default() };
        let replicas = desired.running_replicas() as usize;
        let spares = |spec: &Spec| if replicas > 0 && !self.lean { spec.spare() as usize } else { 0 };
        let last_good = desired.last_good().map(|good| (good.generation, good.spec.clone()));
        let old_spares = last_good.as_ref().map_or(0, |(_, good)| spares(good));
        if desired.failed.is_some() {
            let replicas = if last_good.is_some() { replicas } else { 0 };
            return Wanted { target: last_good, replicas, spares: old_spares, ..Wanted::default() };
        }
        let stumbles = !desired.has_served && self.failure.is_some();
        let fallback = if stumbles { last_good } else { None };
        let target = Some((desired.generation, desired.spec.clone()));
        Wanted { target, fallback, replicas, spares: spares(&desired.spec), old_spares }
    }

    /// An update that never serves fails while the generation before it still serves.
    fn check_progress(&mut self, now: Uptime, effects: &mut Vec<Effect>) {
        if self.progress_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let newest = self.desired.as_ref().map(|desired| desired.generation);
        let last = self.failure.as_ref().filter(|failure| Some(failure.generation) == newest);
        let last = last.map_or("it never answered", |failure| &failure.reason);
        let seconds = PROGRESS_DEADLINE.as_secs();
        let reason = format!("not ready within {seconds} s, the generation before it goes on serving: {last}");
        self.fail_rollout(reason, effects);
    }

    fn progress_deadline(&self) -> Option<Uptime> {
        let desired = self.desired.as_ref()?;
        let runs = desired.running_replicas() > 0;
        let may_fail = desired.is_on_trial() && desired.last_good().is_some() && runs;
        may_fail.then(|| self.wanted_since.after(PROGRESS_DEADLINE))
    }

    /// Drains what is not wanted: starts of other generations at once, other generations that serve as soon as the
    /// rest is enough, and then whatever is beyond the number asked for. Of that what serves goes first, down to the number
    /// that is to serve: a spare costs no caller anything, and is there for the next fault.
    fn drain_surplus(&mut self, wanted: &Wanted, now: Uptime, effects: &mut Vec<Effect>) {
        let superseded =
            |i: &Instance| i.phase == InstancePhase::Starting && !wanted.is_target(i) && !wanted.is_fallback(i);
        for id in self.ids_where(superseded) {
            self.remove(&id, now, effects);
        }
        let confirmed = self.count(|i| wanted.is_target(i) && i.phase.is_ready());
        let others = self.ids_where(|i| i.counts() && !wanted.is_target(i));
        self.drain_beyond(wanted.replicas.saturating_sub(confirmed), others, now, effects);
        self.drain_old_spares(wanted, now, effects);
        let serving = self.ids_where(|i| i.phase.is_ready() && wanted.is_target(i));
        self.drain_beyond(wanted.replicas, serving, now, effects);
        let current = |i: &Instance| wanted.is_target(i) && (i.counts() || i.phase == InstancePhase::Spare);
        self.drain_beyond(wanted.replicas + wanted.spares, self.ids_where(current), now, effects);
    }

    /// Keeps `enough` of the instances. What would lose least goes first: what starts, what is not ready, what is being
    /// adopted (which may turn out not to serve, so it stays until enough is known to), spares, what is frozen, older
    /// generations, and then the youngest.
    pub(super) fn drain_beyond(
        &mut self,
        enough: usize,
        mut ids: Vec<InstanceId>,
        now: Uptime,
        effects: &mut Vec<Effect>,
    ) {
        let in_phase = |phase| ids.iter().filter(|id| self.instances[*id].phase == phase).count();
        let serving = in_phase(InstancePhase::Ready) + in_phase(InstancePhase::Frozen);
        let ready = serving + in_phase(InstancePhase::Spare);
        let idle = in_phase(InstancePhase::Starting) + in_phase(InstancePhase::Unready);
        let expendable = if ready >= enough { ids.len() } else { idle };
        let too_many = ids.len().saturating_sub(enough).min(expendable);
        ids.sort_by_key(|id| {
            let instance = &self.instances[id];
            (instance.keep_priority(), instance.generation, Reverse(instance.since))
        });
        for id in &ids[..too_many] {
            self.drain(id, now, effects);
        }
    }

    /// Starts what is missing: one at a time beside others that serve, all at once where nothing does.
    fn start_missing(&mut self, wanted: &Wanted, now: Uptime, effects: &mut Vec<Effect>) {
        if let Some((generation, spec)) = &wanted.fallback {
            let missing = wanted.replicas.saturating_sub(self.count(|i| i.counts() && !wanted.is_target(i)));
            self.start(*generation, spec, missing, now, effects);
        }
        if let Some((generation, spec)) = &wanted.target {
            let have = self.have(*generation);
            let missing = wanted.replicas.saturating_sub(have);
            let others = self.count(|i| i.counts() && !wanted.is_target(i));
            let unserved = wanted.replicas.saturating_sub(have + others);
            let unready = self.count(|i| wanted.is_target(i) && i.counts() && !i.phase.is_ready());
            let beside = usize::from(unready == 0);
            let count = if others == 0 { missing } else { missing.min(unserved.max(beside)) };
            self.start(*generation, spec, count, now, effects);
            if self.spare_waits_until(now).is_none() {
                self.start(*generation, spec, self.missing_spares(wanted, *generation), now, effects);
            }
        }
    }

    pub(super) fn start(
        &mut self,
        generation: Generation,
        spec: &Arc<Spec>,
        count: usize,
        now: Uptime,
        effects: &mut Vec<Effect>,
    ) {
        if self.backoff_of(generation, now).is_some() {
            return;
        }
        for _ in 0..count {
            let id = self.ids.next_id();
            self.instances.insert(id.clone(), Instance::new(generation, InstancePhase::Starting, now));
            effects.push(Effect::BringUp(id, generation, spec.clone()));
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
    fn schedule_wakeup(&mut self, wanted: &Wanted, now: Uptime, effects: &mut Vec<Effect>) {
        let incomplete = [&wanted.target, &wanted.fallback].into_iter().flatten().map(|(generation, _)| *generation);
        let is_target = |generation| wanted.target.as_ref().is_some_and(|(target, _)| *target == generation);
        let incomplete = incomplete.filter(|generation| {
            let spares = if is_target(*generation) { self.missing_spares(wanted, *generation) } else { 0 };
            self.have(*generation) < wanted.replicas || spares > 0
        });
        let starts = incomplete.filter_map(|generation| self.backoff_of(generation, now));
        let target = wanted.target.as_ref().map(|(generation, _)| *generation);
        let missing = target.is_some_and(|generation| self.missing_spares(wanted, generation) > 0);
        let spare = self.spare_waits_until(now).filter(|_| missing);
        let removals = self.instances.values().filter_map(|instance| instance.remove_again);
        let Some(due) = starts.chain(spare).chain(removals).chain(self.progress_deadline()).min() else { return };
        if self.wakeup.is_none_or(|wakeup| due < wakeup) {
            self.wakeup = Some(due);
            effects.push(Effect::RetryAfter(due.since(now)));
        }
    }

    /// Until when starts of `generation` have to wait, if they have to.
    pub(super) fn backoff_of(&self, generation: Generation, now: Uptime) -> Option<Uptime> {
        self.backoffs.get(&generation)?.until(now)
    }

    /// Instances of `generation` that serve or will.
    fn have(&self, generation: Generation) -> usize {
        self.count(|i| i.generation == generation && i.counts())
    }

    pub(super) fn count(&self, which: impl Fn(&Instance) -> bool) -> usize {
        self.instances.values().filter(|instance| which(instance)).count()
    }

    pub(super) fn ids_where(&self, which: impl Fn(&Instance) -> bool) -> Vec<InstanceId> {
        self.instances.iter().filter(|(_, instance)| which(instance)).map(|(id, _)| id.clone()).collect()
    }
}
