//! Spares: instances beyond what is asked for, which get no request and take the place of one that dies.
//!
//! ```text
//! Started, Ready; enough serve -> StandBy: SPARE ... fewer serve than asked for -> Promote: READY; another one is started
//! ```
//! What is being started is not yet one or the other: what is ready first serves. A spare is started once all that is asked
//! for serves, so it takes nothing from a start that callers wait for, and there is none of an update on trial. Meanwhile the
//! spare of the generation before stays, in case that what serves dies. After a spare took over, the next one is started a
//! moment later: its start would compete for the processor with the first requests of the one that took over. While the
//! machine's memory is short there are none: [`Event::Lean`](super::Event::Lean).

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::Duration;

use super::instance::Instance;
use super::reconcile::Wanted;
use super::{Effect, Lifecycle};
use crate::function::{Generation, InstanceId, InstancePhase, Uptime};

/// How long the start of the next spare waits after one took over.
pub(super) const NEXT_SPARE: Duration = Duration::from_secs(1);

impl Lifecycle {
    /// Keeps an instance that is ready as a spare.
    pub(super) fn stand_by(&mut self, id: &InstanceId, address: SocketAddr, now: Uptime, effects: &mut Vec<Effect>) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.enter(InstancePhase::Spare, now);
        instance.address = Some(address);
        if std::mem::take(&mut instance.published) {
            effects.push(Effect::Retract(id.clone()));
        }
        effects.push(Effect::StandBy(id.clone()));
    }

    /// Whether fewer serve without this one than are asked for. What is to serve in the end is needed beside others.
    pub(super) fn is_needed(&self, id: &InstanceId) -> bool {
        let wanted = self.wanted();
        let targets = self.instances.get(id).is_some_and(|instance| wanted.is_target(instance));
        self.count(|i| i.phase.is_ready() && (!targets || wanted.is_target(i))) < wanted.replicas
    }

    /// Lets spares serve in the place of what is missing.
    pub(super) fn promote(&mut self, now: Uptime, effects: &mut Vec<Effect>) {
        while let Some(id) = self.next_in_line() {
            let Some(instance) = self.instances.get_mut(&id) else { return };
            instance.enter(InstancePhase::Ready, now);
            instance.published = true;
            self.next_spare = Some(now.after(NEXT_SPARE));
            effects.extend(instance.address.map(|address| Effect::Promote(id, address)));
        }
    }

    /// Of the spares that are needed the one that should serve: of the newest generation, and the oldest of those.
    fn next_in_line(&self) -> Option<InstanceId> {
        let spares = self.instances.iter().filter(|(_, instance)| instance.phase == InstancePhase::Spare);
        let needed = spares.filter(|(id, _)| self.is_needed(id));
        let first = needed.max_by_key(|(_, instance)| (instance.generation, Reverse(instance.since)));
        first.map(|(id, _)| id.clone())
    }

    /// Those of other generations go when what is wanted serves.
    pub(super) fn drain_old_spares(&mut self, wanted: &Wanted, now: Uptime, effects: &mut Vec<Effect>) {
        let serves = self.count(|i| wanted.is_target(i) && i.phase.is_ready()) >= wanted.replicas;
        let old = |i: &Instance| i.phase == InstancePhase::Spare && !wanted.is_target(i);
        let enough = if serves { 0 } else { wanted.old_spares };
        self.drain_beyond(enough, self.ids_where(old), now, effects);
    }

    /// Until when the start of a spare has to wait, if it has to.
    pub(super) fn spare_waits_until(&self, now: Uptime) -> Option<Uptime> {
        self.next_spare.filter(|due| *due > now)
    }

    /// How many more should be started to stand by: none until what is asked for serves.
    pub(super) fn missing_spares(&self, wanted: &Wanted, generation: Generation) -> usize {
        if self.ready_of(generation) < wanted.replicas {
            return 0;
        }
        let have = self.count(|i| i.generation == generation && (i.counts() || i.phase == InstancePhase::Spare));
        (wanted.replicas + wanted.spares).saturating_sub(have)
    }
}
