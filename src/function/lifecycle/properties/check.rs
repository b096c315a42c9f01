//! The rules applied: to every effect, to the state after every event, and to the end of every history.

use std::collections::BTreeSet;

use super::rule::{Rule, Violation, check};
use super::step::{Death, How, Step};
use super::world::{Pending, World};
use crate::function::lifecycle::spare::NEXT_SPARE;
use crate::function::{Desired, Effect, Event, Generation, InstanceId, InstancePhase, Outcome, Outlook};

/// Deliveries after the last fault that are more than enough for any history.
const ENOUGH: usize = 600;

impl World {
    pub(super) fn check_effect(&self, event: Option<&Event>, effect: &Effect) -> Result<(), Violation> {
        match effect {
            Effect::BringUp(id, generation, _) => {
                check(!self.used.contains(id), Rule::InstanceIdsAreNeverReused, || format!("{id} again"))?;
                let early = self.not_before.get(generation).is_some_and(|then| self.now < *then);
                check(!early, Rule::StartsWaitForTheBackoff, || format!("{id} of generation {generation}"))?;
                let ready = |(_, of, phase): &(_, Generation, InstancePhase)| of == generation && phase.is_ready();
                let is_spare = self.life.instances().filter(ready).count() >= self.replicas();
                let soon = self.last_promotion.is_some_and(|then| self.now.since(then) < NEXT_SPARE);
                check(!(is_spare && soon), Rule::TheNextSpareComesAMomentLater, || id.to_string())
            }
            Effect::StandBy(id) => check(!self.published.contains(id), Rule::ASpareGetsNoRequests, || id.to_string()),
            Effect::Publish(id, _) | Effect::Promote(id, _) => {
                check(!self.condemned.contains(id), Rule::NothingIsPublishedAfterItsTearDown, || id.to_string())
            }
            Effect::Drain(id) => self.check_retracted(id),
            Effect::TearDown(id) => {
                self.check_retracted(id)?;
                let about_it = event.is_some_and(|event| subject(event) == Some(id)) || self.condemned.contains(id);
                let requests = self.host.get(id).map_or(0, |real| real.requests);
                check(about_it || requests == 0, Rule::RequestsAreFinishedBeforeTearDown, || {
                    format!("{id} has {requests} requests")
                })
            }
            Effect::Gone => {
                let unheard = |id: &InstanceId| self.pending.iter().any(|pending| told_of(pending) == Some(id));
                let left = self.host.keys().find(|id| !unheard(id));
                // (The store may hold a new deployment already, which is about to be applied.)
                let desired = self.life.desired();
                check(desired.is_none() && left.is_none(), Rule::GoneMeansNothingIsLeft, || {
                    format!("{left:?} is left of {desired:?}")
                })
            }
            Effect::Freeze(id) => {
                let phase = self.phase_of(id);
                let serves = phase == Some(InstancePhase::Ready) && self.published.contains(id);
                check(serves, Rule::OnlyWhatServesFreezes, || format!("{id} is {phase:?}"))
            }
            Effect::Adopt(..) | Effect::Retract(_) | Effect::RetryAfter(_) | Effect::Record(_) => Ok(()),
        }
    }

    fn check_retracted(&self, id: &InstanceId) -> Result<(), Violation> {
        check(!self.published.contains(id), Rule::RetractComesBeforeTearDownAndDrain, || {
            format!("{id} is asked to go and gets requests")
        })
    }

    fn phase_of(&self, id: &InstanceId) -> Option<InstancePhase> {
        self.life.instances().find(|(known, ..)| *known == id).map(|(.., phase)| phase)
    }

    /// Instances that the lifecycle takes for spares.
    fn spares(&self) -> impl Iterator<Item = &InstanceId> {
        self.life.instances().filter(|(_, _, phase)| *phase == InstancePhase::Spare).map(|(id, ..)| id)
    }

    /// How many spares a generation should have in the end, if it is the one that serves.
    fn spares_of(&self, generation: Generation) -> usize {
        let Some(desired) = self.life.desired().filter(|desired| desired.running_replicas() > 0) else { return 0 };
        let good = desired.last_good().filter(|good| good.generation == generation).map(|good| &good.spec);
        let spec = if desired.generation == generation { Some(&desired.spec) } else { good };
        spec.map_or(0, |spec| spec.spare() as usize)
    }

    /// How many instances ought to serve in the end.
    fn replicas(&self) -> usize {
        let Some(desired) = self.life.desired() else { return 0 };
        let hopeless = desired.failed.is_some() && desired.last_good().is_none();
        if hopeless { 0 } else { desired.running_replicas() as usize }
    }

    /// `before` is how many were published before the event, without the one that it tells the end of.
    pub(super) fn check_state(&self, before: usize, brought_up: &BTreeSet<Generation>) -> Result<(), Violation> {
        let replicas = self.replicas();
        for id in &self.published {
            let alive = self.host.get(id).is_some_and(|real| real.alive);
            let unheard = || self.pending.iter().any(|pending| told_of(pending) == Some(id));
            check(alive || unheard(), Rule::NoEndpointWithoutALiveInstance, || id.to_string())?;
        }
        let after = self.published.len();
        check(after >= before.min(replicas), Rule::TheNewAnswersBeforeTheOldGoes, || {
            format!("{before} served, {after} do, {replicas} are asked for")
        })?;
        let unconfirmed = self.life.instances().filter(|(_, _, phase)| *phase == InstancePhase::Adopting).count();
        check(after <= replicas + unconfirmed, Rule::AtMostReplicasServe, || {
            format!("{after} serve, {unconfirmed} are being adopted, {replicas} are asked for")
        })?;
        self.check_spares(replicas)?;
        self.check_outlook()?;
        self.generations.check(&self.life)?;
        for generation in brought_up {
            let of = |wanted: fn(InstancePhase) -> bool, same: bool| {
                let matching = self.life.instances().filter(|(_, of, _)| (of == generation) == same);
                matching.filter(|(_, _, phase)| wanted(*phase)).count()
            };
            let own = of(|phase| !matches!(phase, InstancePhase::Draining | InstancePhase::Removing), true);
            let others = of(InstancePhase::is_ready, false);
            let newest = self.life.desired().is_some_and(|desired| desired.generation == *generation);
            let crowded = newest && others > 0 && own + others > replicas + 1;
            let most = replicas + self.spares_of(*generation);
            check(own <= most && !crowded, Rule::OneStartAtATimeBesideWhatServes, || {
                format!("{own} of generation {generation} beside {others}, {replicas} are asked for")
            })?;
        }
        Ok(())
    }

    /// A spare gets no request, and is none while fewer serve than are asked for.
    fn check_spares(&self, replicas: usize) -> Result<(), Violation> {
        let called = self.spares().find(|id| self.published.contains(*id));
        check(called.is_none(), Rule::ASpareGetsNoRequests, || format!("{called:?}"))?;
        let serving = self.life.instances().filter(|(_, _, phase)| phase.is_ready()).count();
        let spares = self.spares().count();
        check(spares == 0 || serving >= replicas, Rule::ASpareTakesOverAtOnce, || {
            format!("{serving} of {replicas} serve, {spares} stand by")
        })
    }

    fn check_outlook(&self) -> Result<(), Violation> {
        let gone = |phase| matches!(phase, InstancePhase::Draining | InstancePhase::Removing);
        let coming = self.life.instances().filter(|(_, _, phase)| !gone(*phase)).count();
        let outlook = self.flaw.outlook(&self.life, self.now);
        let right = match &outlook {
            None => self.life.desired().is_none(),
            Some(Outlook::Coming | Outlook::Waking) => coming > 0,
            Some(Outlook::BackingOff { until, .. }) => coming == 0 && *until > self.now,
            Some(Outlook::AtZero | Outlook::KeptDown | Outlook::Failed(_)) => self.replicas() == 0 && coming == 0,
        };
        check(right, Rule::TheOutlookIsTrue, || format!("{outlook:?}, and {coming} are there or on their way"))
    }

    pub(super) fn check_store(&self, lost_a_record: bool) -> Result<(), Violation> {
        let (store, life) = (self.store.as_ref(), self.life.desired());
        let same = if lost_a_record {
            // What was asked for was committed; only what was learnt since may be lost.
            // (A number of replicas is learnt by a wake alone; idleness and the load's number are only written behind.)
            let known = |of: &Desired| (of.generation, of.spec.clone(), of.kept_down);
            let number = store.map(|of| of.replicas);
            store.map(known) == life.map(known) && (number == Some(0) || number == life.map(|of| of.replicas))
        } else {
            store == life
        };
        check(same, Rule::TheStoreKnowsWhatIsDesired, || format!("stored {store:?}, desired {life:?}"))
    }

    /// No more faults: everything is delivered and time passes until nothing is left to come.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        self.say(|| "            ---- no more faults".into());
        for _ in 0..ENOUGH {
            self.recover_readiness();
            let work = self.pending.iter().position(|pending| !matches!(pending, Pending::Timer(_)));
            let timers = self.pending.iter().enumerate().filter_map(|(at, pending)| match pending {
                Pending::Timer(due) => Some((*due, at)),
                _ => None,
            });
            let at = match (work, timers.min()) {
                (Some(at), _) => at,
                (None, Some((due, at))) => {
                    self.now = self.now.max(due);
                    at
                }
                (None, None) => return self.check_end(),
            };
            for real in self.host.values_mut() {
                real.requests = 0;
            }
            self.proceed(at, How::Well)?;
        }
        let pending = self.pending.clone();
        check(false, Rule::EffectsAreBounded, || format!("still to come after {ENOUGH} more: {pending:?}"))
    }

    fn check_end(&mut self) -> Result<(), Violation> {
        self.write();
        self.check_store(false)?;
        let spares: BTreeSet<_> = self.spares().cloned().collect();
        let known = |id: &InstanceId| self.published.contains(id) || spares.contains(id);
        // One that is frozen is asked nothing: that it is not well is found once it is needed.
        let left = self.host.iter().find(|(id, real)| !real.alive || real.sick && !real.frozen || !known(id));
        check(left.is_none(), Rule::NothingIsLeftBehind, || format!("{left:?}"))?;
        let Some(desired) = self.life.desired() else {
            return check(self.gone, Rule::GoneMeansNothingIsLeft, || "nobody said so".into());
        };
        let serving = match (&desired.failed, desired.last_good()) {
            (None, _) => Some(desired.generation),
            (Some(_), good) => good.map(|good| good.generation),
        };
        let right = self.published.iter().filter(|id| Some(self.host[*id].generation) == serving).count();
        let reached = right == self.replicas() && right == self.published.len();
        check(reached, Rule::QuiescenceReachesWhatIsDesired, || {
            format!("{right} of {} serve {serving:?}, desired {desired:?}", self.published.len())
        })?;
        let standing_by = spares.iter().filter(|id| Some(self.host[*id].generation) == serving).count();
        let expected = serving.map_or(0, |generation| self.spares_of(generation));
        check(standing_by == expected && standing_by == spares.len(), Rule::SparesAreThereInTheEnd, || {
            format!("{standing_by} of {} stand by for {serving:?}, {expected} are asked for", spares.len())
        })?;
        let status = self.life.status(self.now);
        let told = match self.life.outcome(desired.generation) {
            Outcome::Ready => desired.failed.is_none(),
            Outcome::Failed(_) => desired.failed.is_some(),
            Outcome::Pending | Outcome::Looping | Outcome::NoRoom { .. } | Outcome::Superseded => false,
        };
        let counted = status.ready as usize == right && status.spares as usize == standing_by;
        check(told && counted, Rule::QuiescenceReachesWhatIsDesired, || format!("{status:?}"))
    }

    /// After the end: a restart finds everything as it should be, and leaves it so. Which of them stand by is another matter.
    pub(super) fn check_recovery(&mut self) -> Result<(), Violation> {
        let up = |world: &Self| world.published.iter().chain(world.spares()).cloned().collect::<BTreeSet<_>>();
        let (before, used) = (up(self), self.used.len());
        self.step(Step::Restart { death: Death::Kill, bits: 0 })?;
        self.settle()?;
        let after = up(self);
        check(before == after && used == self.used.len(), Rule::RecoveryLeavesAloneWhatServes, || {
            format!("before {before:?}, after {after:?}")
        })
    }
}

/// The instance that an event is about.
fn subject(event: &Event) -> Option<&InstanceId> {
    match event {
        Event::Started(id, _)
        | Event::StartFailed(id, _)
        | Event::Exited(id, _)
        | Event::Unready(id, _)
        | Event::Ready(id, _)
        | Event::Unhealthy(id, _)
        | Event::Drained(id)
        | Event::Removed(id)
        | Event::Frozen(id)
        | Event::Thawed(id)
        | Event::RemoveFailed(id, _) => Some(id),
        Event::Apply(_)
        | Event::Scale(_)
        | Event::KeepDown(_)
        | Event::Wake
        | Event::Adjust(_)
        | Event::Rest(_)
        | Event::Lean(_)
        | Event::Delete
        | Event::PutBack(_)
        | Event::RetryDue => None,
    }
}

/// The instance whose state is about to be told, or to change by something that was asked for.
fn told_of(pending: &Pending) -> Option<&InstanceId> {
    match pending {
        Pending::Adopt(id) | Pending::TearDown(id) => Some(id),
        Pending::Told(event) => subject(event),
        Pending::BringUp(..)
        | Pending::Freeze(_)
        | Pending::StandBy(_)
        | Pending::Promote(_)
        | Pending::Drain(_)
        | Pending::Timer(_)
        | Pending::Probe(_) => None,
    }
}
