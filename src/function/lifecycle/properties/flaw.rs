//! Mistakes that a decision function could make, one at a time: each stands between a sound lifecycle and its owner and
//! spoils what it knows or says. The property test must find every one of them, or it proves little.

use super::rule::Rule;
use crate::function::lifecycle::instance::Instance;
use crate::function::{
    Desired, Effect, Event, FunctionName, Generation, InstanceId, InstanceIds, InstancePhase, Lifecycle, Observed,
    ObservedState, Outlook, Tier, Uptime,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    RetiresTheOldBeforeTheNewIsReady,
    ForgetsToTearDownAFailedStart,
    KeepsACrashedEndpointPublished,
    StartsWithoutWaitingForTheBackoff,
    ForgetsTheRetryTimer,
    TrustsALateStart,
    SurgesAllReplicasAtOnce,
    GivesUpWithoutFallingBack,
    ReusesAnInstanceId,
    CutsRequestsShort,
    GivesUpOnAFailedRemoval,
    ForgetsToRecordWhatItLearnt,
    RestartsWhatItShouldAdopt,
    KeepsTheOldGenerationForEver,
    RearmsItsTimerForEver,
    SaysGoneTooEarly,
    KeepsAnUnreadyEndpointPublished,
    ForgetsAnInstanceThatIsReadyAgain,
    CountsAnUnreadyInstanceAsServing,
    CutsTheRequestsOfAnUnreadyInstance,
    LeavesAnUnhealthyInstanceAlone,
    WakesWhatIsKeptDown,
    SleepsThroughDemand,
    PromisesWhatBacksOff,
    ForgetsTheNumberOfARefusedGeneration,
    PutsBackWithoutAskingForIt,
    FreezesWhatDoesNotServe,
    StopsWhatIsOnTrial,
    WakesForTheLoad,
    KeepsIdlenessToItself,
    TakesAFrozenInstanceForUnready,
    KeepsWhatNeverServed,
    SendsRequestsToASpare,
    LetsASpareSleep,
    PromotesWithoutPublishing,
    ForgetsToDrainTheOldSpare,
    StartsASpareBesideATrial,
    ForgetsTheNextSpare,
    StartsTheNextSpareAtOnce,
    AdoptsASpareToServe,
}

impl Flaw {
    /// All flaws, with the rules by which they are allowed to be found.
    pub(super) const ALL: [(Self, &[Rule]); 40] = [
        (Self::RetiresTheOldBeforeTheNewIsReady, &[Rule::TheNewAnswersBeforeTheOldGoes]),
        (Self::ForgetsToTearDownAFailedStart, &[Rule::NothingIsLeftBehind, Rule::GoneMeansNothingIsLeft]),
        (
            Self::KeepsACrashedEndpointPublished,
            &[Rule::RetractComesBeforeTearDownAndDrain, Rule::NoEndpointWithoutALiveInstance],
        ),
        (Self::StartsWithoutWaitingForTheBackoff, &[Rule::StartsWaitForTheBackoff]),
        (
            Self::ForgetsTheRetryTimer,
            &[Rule::QuiescenceReachesWhatIsDesired, Rule::NothingIsLeftBehind, Rule::SparesAreThereInTheEnd],
        ),
        (Self::TrustsALateStart, &[Rule::NothingIsPublishedAfterItsTearDown, Rule::AtMostReplicasServe]),
        (Self::SurgesAllReplicasAtOnce, &[Rule::OneStartAtATimeBesideWhatServes]),
        (
            Self::GivesUpWithoutFallingBack,
            &[Rule::TheNewAnswersBeforeTheOldGoes, Rule::QuiescenceReachesWhatIsDesired, Rule::TheOutlookIsTrue],
        ),
        (Self::ReusesAnInstanceId, &[Rule::InstanceIdsAreNeverReused]),
        (Self::CutsRequestsShort, &[Rule::RequestsAreFinishedBeforeTearDown]),
        (Self::GivesUpOnAFailedRemoval, &[Rule::NothingIsLeftBehind, Rule::GoneMeansNothingIsLeft]),
        (Self::ForgetsToRecordWhatItLearnt, &[Rule::TheStoreKnowsWhatIsDesired]),
        (
            Self::RestartsWhatItShouldAdopt,
            &[
                Rule::RecoveryLeavesAloneWhatServes,
                Rule::TheNewAnswersBeforeTheOldGoes,
                Rule::RequestsAreFinishedBeforeTearDown,
            ],
        ),
        (
            Self::KeepsTheOldGenerationForEver,
            &[Rule::QuiescenceReachesWhatIsDesired, Rule::AtMostReplicasServe, Rule::OneStartAtATimeBesideWhatServes],
        ),
        (Self::RearmsItsTimerForEver, &[Rule::EffectsAreBounded]),
        (Self::SaysGoneTooEarly, &[Rule::GoneMeansNothingIsLeft]),
        (Self::KeepsAnUnreadyEndpointPublished, &[Rule::WhatIsNotReadyGetsNoRequests, Rule::AtMostReplicasServe]),
        (Self::ForgetsAnInstanceThatIsReadyAgain, &[Rule::QuiescenceReachesWhatIsDesired, Rule::NothingIsLeftBehind]),
        (
            Self::CountsAnUnreadyInstanceAsServing,
            &[Rule::TheNewAnswersBeforeTheOldGoes, Rule::OnlyWhatServesFreezes, Rule::ASpareTakesOverAtOnce],
        ),
        (Self::CutsTheRequestsOfAnUnreadyInstance, &[Rule::RequestsAreFinishedBeforeTearDown]),
        // (It counts no failure then, either.)
        (Self::LeavesAnUnhealthyInstanceAlone, &[Rule::NothingIsLeftBehind, Rule::StartsWaitForTheBackoff]),
        (Self::WakesWhatIsKeptDown, &[Rule::WhatIsKeptDownStaysDown]),
        (Self::SleepsThroughDemand, &[Rule::DemandEndsAZero]),
        (Self::PromisesWhatBacksOff, &[Rule::TheOutlookIsTrue]),
        (Self::ForgetsTheNumberOfARefusedGeneration, &[Rule::GenerationsAreNeverReused]),
        (Self::PutsBackWithoutAskingForIt, &[Rule::TheStoreKnowsWhatIsDesired]),
        (Self::FreezesWhatDoesNotServe, &[Rule::OnlyWhatServesFreezes]),
        (Self::StopsWhatIsOnTrial, &[Rule::OnlyWhatIsProvenRests]),
        (Self::WakesForTheLoad, &[Rule::TheLoadMovesOnlyWhatRuns]),
        (Self::KeepsIdlenessToItself, &[Rule::TheStoreKnowsWhatIsDesired]),
        (
            Self::TakesAFrozenInstanceForUnready,
            &[
                Rule::TheNewAnswersBeforeTheOldGoes,
                Rule::QuiescenceReachesWhatIsDesired,
                Rule::AtMostReplicasServe,
                Rule::WhatIsNotReadyGetsNoRequests,
                Rule::ASpareTakesOverAtOnce,
            ],
        ),
        (Self::KeepsWhatNeverServed, &[Rule::OnlyWhatServedIsKept]),
        (Self::SendsRequestsToASpare, &[Rule::ASpareGetsNoRequests, Rule::AtMostReplicasServe]),
        (Self::LetsASpareSleep, &[Rule::ASpareTakesOverAtOnce]),
        (
            Self::PromotesWithoutPublishing,
            &[Rule::QuiescenceReachesWhatIsDesired, Rule::NothingIsLeftBehind, Rule::OnlyWhatServesFreezes],
        ),
        (Self::ForgetsToDrainTheOldSpare, &[Rule::NothingIsLeftBehind, Rule::GoneMeansNothingIsLeft]),
        (Self::StartsASpareBesideATrial, &[Rule::OneStartAtATimeBesideWhatServes]),
        (Self::ForgetsTheNextSpare, &[Rule::SparesAreThereInTheEnd]),
        (Self::StartsTheNextSpareAtOnce, &[Rule::TheNextSpareComesAMomentLater]),
        (Self::AdoptsASpareToServe, &[Rule::AtMostReplicasServe]),
    ];

    pub(super) fn recover(
        self,
        name: &FunctionName,
        seed: u64,
        desired: Option<Desired>,
        mut observed: Vec<Observed>,
        now: Uptime,
    ) -> (Lifecycle, Vec<Effect>) {
        if self == Self::RestartsWhatItShouldAdopt {
            observed.iter_mut().for_each(|observed| observed.state = ObservedState::Remains);
        }
        Lifecycle::recover(name, seed, desired, observed, now)
    }

    pub(super) fn outlook(self, life: &Lifecycle, now: Uptime) -> Option<Outlook> {
        let outlook = life.outlook(now);
        let backs_off = matches!(outlook, Some(Outlook::BackingOff { .. }));
        if self == Self::PromisesWhatBacksOff && backs_off { Some(Outlook::Coming) } else { outlook }
    }

    pub(super) fn on(self, life: &mut Lifecycle, name: &FunctionName, event: Event, now: Uptime) -> Vec<Effect> {
        if self == Self::ReusesAnInstanceId {
            life.ids = InstanceIds::new(name, 7);
        }
        if let (Self::TrustsALateStart, Event::Started(id, address)) = (self, &event)
            && !life.instances.contains_key(id)
        {
            let newest = life.desired.as_ref().map_or(Generation::default(), |desired| desired.generation);
            life.instances.insert(id.clone(), Instance::new(newest, InstancePhase::Starting, now));
            return life.on(Event::Started(id.clone(), *address), now);
        }
        if let (Self::ForgetsAnInstanceThatIsReadyAgain, Event::Ready(..))
        | (Self::LeavesAnUnhealthyInstanceAlone, Event::Unhealthy(..)) = (self, &event)
        {
            return Vec::new();
        }
        if let (Self::SleepsThroughDemand, Event::Wake) = (self, &event) {
            return life.on(Event::RetryDue, now);
        }
        if let (Self::WakesWhatIsKeptDown, Event::Wake, Some(desired)) = (self, &event, &mut life.desired) {
            desired.kept_down = false;
        }
        if let (Self::StopsWhatIsOnTrial, Event::Rest(Tier::Stopped), Some(desired)) = (self, &event, &mut life.desired)
        {
            desired.idle = true;
        }
        if let (Self::WakesForTheLoad, Event::Adjust(_), Some(desired)) = (self, &event, &mut life.desired) {
            desired.idle = false;
        }
        if self == Self::TakesAFrozenInstanceForUnready {
            let frozen = in_phase(life, InstancePhase::Frozen);
            change_phase(life, &frozen, InstancePhase::Frozen, InstancePhase::Unready);
        }
        if let (Self::KeepsWhatNeverServed, Event::Apply(_), Some(desired)) = (self, &event, &mut life.desired) {
            desired.has_served = true;
        }
        let unready = in_phase(life, InstancePhase::Unready);
        let (spares, adopting) = (in_phase(life, InstancePhase::Spare), in_phase(life, InstancePhase::Adopting));
        let mistaken = self == Self::CountsAnUnreadyInstanceAsServing && !matches!(event, Event::Ready(..));
        if mistaken {
            change_phase(life, &unready, InstancePhase::Unready, InstancePhase::Ready);
        }
        if let (Self::PutsBackWithoutAskingForIt, Event::PutBack(_)) = (self, &event) {
            return Vec::new();
        }
        let mut effects = life.on(event.clone(), now);
        if mistaken {
            change_phase(life, &unready, InstancePhase::Ready, InstancePhase::Unready);
        }
        match (self, event) {
            (Self::RetiresTheOldBeforeTheNewIsReady, Event::Apply(next)) => {
                for id in serving_others(life, next.generation) {
                    life.drain(&id, now, &mut effects);
                }
            }
            (Self::ForgetsToTearDownAFailedStart, Event::StartFailed(id, _)) => {
                effects.retain(|effect| *effect != Effect::TearDown(id.clone()));
                life.instances.remove(&id);
            }
            (Self::KeepsACrashedEndpointPublished, Event::Exited(id, _)) => {
                effects.retain(|effect| *effect != Effect::Retract(id.clone()));
            }
            (Self::StartsWithoutWaitingForTheBackoff, _) => {
                life.backoffs.clear();
                life.reconcile(now, &mut effects);
            }
            (Self::ForgetsTheRetryTimer, _) => effects.retain(|effect| !matches!(effect, Effect::RetryAfter(_))),
            (Self::SurgesAllReplicasAtOnce, Event::Apply(_)) => {
                let wanted = life.wanted();
                if let Some((generation, spec)) = wanted.target {
                    let have = life.count(|i| i.generation == generation && i.counts());
                    life.start(generation, &spec, wanted.replicas.saturating_sub(have), now, &mut effects);
                }
            }
            (Self::GivesUpWithoutFallingBack, _) if life.desired.as_ref().is_some_and(|d| d.failed.is_some()) => {
                for id in serving_others(life, life.newest) {
                    life.drain(&id, now, &mut effects);
                }
                effects.retain(|effect| !matches!(effect, Effect::BringUp(..)));
                life.instances.retain(|_, instance| instance.phase != InstancePhase::Starting);
            }
            (Self::CutsRequestsShort, _) => cut_short(life, &mut effects, now, |_| true),
            (Self::CutsTheRequestsOfAnUnreadyInstance, _) => {
                cut_short(life, &mut effects, now, |id| unready.contains(id));
            }
            (Self::GivesUpOnAFailedRemoval, Event::RemoveFailed(id, _)) => {
                life.instances.remove(&id);
                life.reconcile(now, &mut effects);
            }
            (Self::ForgetsToRecordWhatItLearnt, _) => effects.retain(|effect| !matches!(effect, Effect::Record(_))),
            (Self::KeepsTheOldGenerationForEver, Event::Started(id, _)) => {
                let new = life.instances.get(&id).map(|instance| instance.generation);
                for id in effects.iter().filter_map(drained).collect::<Vec<_>>() {
                    let Some(instance) = life.instances.get_mut(&id).filter(|i| Some(i.generation) != new) else {
                        continue;
                    };
                    instance.phase = InstancePhase::Ready;
                    instance.published = true;
                    effects.retain(|effect| {
                        *effect != Effect::Retract(id.clone()) && drained(effect).as_ref() != Some(&id)
                    });
                }
            }
            (Self::RearmsItsTimerForEver, Event::RetryDue) => {
                effects.push(Effect::RetryAfter(std::time::Duration::from_secs(1)));
            }
            (Self::KeepsAnUnreadyEndpointPublished, Event::Unready(id, _)) => {
                effects.retain(|effect| *effect != Effect::Retract(id.clone()));
            }
            (Self::FreezesWhatDoesNotServe, Event::Rest(Tier::Frozen)) => {
                let starting = in_phase(life, InstancePhase::Starting);
                effects.extend(starting.into_iter().map(Effect::Freeze));
            }
            (Self::KeepsIdlenessToItself, Event::Rest(_)) => {
                effects.retain(|effect| !matches!(effect, Effect::Record(_)));
            }
            (Self::ForgetsTheNumberOfARefusedGeneration, Event::PutBack(before)) => life.newest = before.generation,
            (Self::SendsRequestsToASpare, _) => {
                let address = std::net::SocketAddr::from(([10, 0, 0, 1], 8080));
                let standing_by = effects.iter().filter_map(|effect| match effect {
                    Effect::StandBy(id) => Some(Effect::Publish(id.clone(), address)),
                    _ => None,
                });
                let published: Vec<_> = standing_by.collect();
                effects.extend(published);
            }
            (Self::LetsASpareSleep, _) => {
                for id in promoted(&effects) {
                    let Some(instance) = life.instances.get_mut(&id) else { continue };
                    instance.phase = InstancePhase::Spare;
                    instance.published = false;
                }
                effects.retain(|effect| !matches!(effect, Effect::Promote(..)));
            }
            (Self::PromotesWithoutPublishing, _) => effects.retain(|effect| !matches!(effect, Effect::Promote(..))),
            (Self::ForgetsToDrainTheOldSpare, Event::Started(id, _)) => {
                let new = life.instances.get(&id).map(|instance| instance.generation);
                for id in effects.iter().filter_map(drained).filter(|id| spares.contains(id)).collect::<Vec<_>>() {
                    let Some(instance) = life.instances.get_mut(&id).filter(|i| Some(i.generation) != new) else {
                        continue;
                    };
                    instance.phase = InstancePhase::Removing;
                    effects.retain(|effect| drained(effect).as_ref() != Some(&id));
                }
            }
            (Self::StartsASpareBesideATrial, Event::Apply(_)) => {
                let wanted = life.wanted();
                if let Some((generation, spec)) = wanted.target {
                    life.start(generation, &spec, wanted.spares, now, &mut effects);
                }
            }
            (Self::ForgetsTheNextSpare, Event::RetryDue) if is_complete(life) => {
                // All that waits for its start is taken for it.
                effects.retain(|effect| !matches!(effect, Effect::BringUp(..)));
            }
            (Self::StartsTheNextSpareAtOnce, _) if !promoted(&effects).is_empty() => {
                let wanted = life.wanted();
                if let Some((generation, spec)) = &wanted.target {
                    let missing = life.missing_spares(&wanted, *generation);
                    life.start(*generation, spec, missing, now, &mut effects);
                }
            }
            (Self::AdoptsASpareToServe, Event::Started(id, address))
                if adopting.contains(&id) && effects.contains(&Effect::StandBy(id.clone())) =>
            {
                effects.retain(|effect| *effect != Effect::StandBy(id.clone()));
                effects.extend(life.serve(&id, address, now));
            }
            (Self::SaysGoneTooEarly, Event::Delete) if !effects.contains(&Effect::Gone) => effects.push(Effect::Gone),
            _ => {}
        }
        effects
    }
}

/// Whether as many serve as are asked for.
fn is_complete(life: &Lifecycle) -> bool {
    let replicas = life.desired().map_or(0, |desired| desired.running_replicas() as usize);
    replicas > 0 && in_phase(life, InstancePhase::Ready).len() >= replicas
}

fn drained(effect: &Effect) -> Option<InstanceId> {
    if let Effect::Drain(id) = effect { Some(id.clone()) } else { None }
}

fn promoted(effects: &[Effect]) -> Vec<InstanceId> {
    let of = |effect: &Effect| if let Effect::Promote(id, _) = effect { Some(id.clone()) } else { None };
    effects.iter().filter_map(of).collect()
}

/// Tears down at once instead of draining.
fn cut_short(life: &mut Lifecycle, effects: &mut Vec<Effect>, now: Uptime, which: impl Fn(&InstanceId) -> bool) {
    let ids: Vec<_> = effects.iter().filter_map(drained).filter(which).collect();
    for id in ids {
        effects.retain(|effect| drained(effect).as_ref() != Some(&id));
        life.remove(&id, now, effects);
    }
}

fn in_phase(life: &Lifecycle, phase: InstancePhase) -> Vec<InstanceId> {
    life.instances().filter(|(_, _, of)| *of == phase).map(|(id, ..)| id.clone()).collect()
}

fn change_phase(life: &mut Lifecycle, ids: &[InstanceId], from: InstancePhase, to: InstancePhase) {
    for id in ids {
        if let Some(instance) = life.instances.get_mut(id).filter(|instance| instance.phase == from) {
            instance.phase = to;
        }
    }
}

fn serving_others(life: &Lifecycle, generation: Generation) -> Vec<InstanceId> {
    let others = life.instances.iter().filter(|(_, instance)| instance.serves() && instance.generation != generation);
    others.map(|(id, _)| id.clone()).collect()
}
