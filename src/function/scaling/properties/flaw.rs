//! Mistakes that a policy could make, one at a time: each stands between a sound autoscaler and its driver and spoils what
//! it is shown or what it says. The properties must find every one of them, or they prove little.

use std::time::Duration;

use super::rule::Rule;
use crate::function::scaling::{Autoscaler, Decision, Observation, Reason};
use crate::function::{Generation, LoadType, Rule as ScalingRule, Scaling, Uptime};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    IgnoresTheMost,
    ForgetsTheFewest,
    ForgetsTheProportion,
    JumpsAtASingleLook,
    GoesDownAtOnce,
    NeverGoesDown,
    ForgetsWhatRunsAtARestart,
    OverrulesTheOperator,
    TakesAnUpdateForAnOperator,
    TakesItsOwnChangeForAnOperators,
    AsksForWhatCanNotStart,
    NeverTriesAgain,
    WakesWhatIsAtZero,
    ForgetsThoseThatWait,
    CountsAnswersOnly,
    CountsACallTwice,
    LetsTheLastSignalWin,
    MakesStepsOfAnySize,
    WaitsForTheWindowToGoUp,
}

impl Flaw {
    /// All flaws, with the rules by which they are allowed to be found.
    pub(super) const ALL: [(Self, &[Rule]); 19] = [
        (Self::IgnoresTheMost, &[Rule::TheNumberStaysWithinItsBounds]),
        (Self::ForgetsTheFewest, &[Rule::TheNumberStaysWithinItsBounds]),
        (Self::ForgetsTheProportion, &[Rule::ALoadThatLastsIsFollowedInTime, Rule::InTheEndItIsWhatTheLoadNeeds]),
        (Self::JumpsAtASingleLook, &[Rule::OneLookIsNoLoad]),
        (
            Self::GoesDownAtOnce,
            &[Rule::NothingGoesBeforeTheWindowIsOver, Rule::WhatWasSetByHandHolds, Rule::ASteadyLoadChangesNothing],
        ),
        (Self::NeverGoesDown, &[Rule::InTheEndItIsWhatTheLoadNeeds, Rule::NoMoreIsAskedForThanIsNeeded]),
        (Self::ForgetsWhatRunsAtARestart, &[Rule::NothingGoesBeforeTheWindowIsOver]),
        (Self::OverrulesTheOperator, &[Rule::WhatWasSetByHandHolds]),
        (
            Self::TakesAnUpdateForAnOperator,
            &[Rule::ALoadThatLastsIsFollowedInTime, Rule::NothingGoesBeforeTheWindowIsOver],
        ),
        (
            Self::TakesItsOwnChangeForAnOperators,
            &[Rule::ALoadThatLastsIsFollowedInTime, Rule::NothingGoesBeforeTheWindowIsOver],
        ),
        (Self::AsksForWhatCanNotStart, &[Rule::WhatCanNotStartIsNotAskedForAllTheTime]),
        (Self::NeverTriesAgain, &[Rule::InTheEndItIsWhatTheLoadNeeds, Rule::ALoadThatLastsIsFollowedInTime]),
        (Self::WakesWhatIsAtZero, &[Rule::WhatIsAtZeroIsLeftThere]),
        // (They come all at once when there is an instance for them.)
        (Self::ForgetsThoseThatWait, &[Rule::ALoadThatLastsIsFollowedInTime, Rule::NoMoreIsAskedForThanIsNeeded]),
        (Self::CountsAnswersOnly, &[Rule::ALoadThatLastsIsFollowedInTime, Rule::NoMoreIsAskedForThanIsNeeded]),
        (Self::CountsACallTwice, &[Rule::NoMoreIsAskedForThanIsNeeded, Rule::InTheEndItIsWhatTheLoadNeeds]),
        (Self::LetsTheLastSignalWin, &[Rule::ALoadThatLastsIsFollowedInTime, Rule::InTheEndItIsWhatTheLoadNeeds]),
        (Self::MakesStepsOfAnySize, &[Rule::StepsAreOfTheirSize]),
        (
            Self::WaitsForTheWindowToGoUp,
            &[Rule::ALoadThatLastsIsFollowedInTime, Rule::NothingGoesBeforeTheWindowIsOver],
        ),
    ];
}

fn goes_by_capacity(scaling: &Scaling) -> bool {
    let Some(ScalingRule::Targets { signals, .. }) = &scaling.rule else { return false };
    signals.iter().all(|signal| signal.load == LoadType::Capacity)
}

/// An autoscaler with a flaw.
pub(super) struct Flawed {
    flaw: Flaw,
    scaler: Autoscaler,
    /// What it said last, and what it was shown then.
    last: Option<(Decision, Observation, Uptime)>,
    /// A number that the flaw remembers.
    remembered: Option<u32>,
}

impl Flawed {
    pub(super) fn new(flaw: Flaw) -> Self {
        Self { flaw, scaler: Autoscaler::default(), last: None, remembered: None }
    }

    pub(super) fn decide(
        &mut self,
        scaling: &Scaling,
        window: Duration,
        seen: &Observation,
        now: Uptime,
    ) -> Option<Decision> {
        let (mut scaling, mut window, mut shown) = (scaling.clone(), window, seen.clone());
        let last = self.last.as_ref();
        match self.flaw {
            Flaw::IgnoresTheMost => scaling.max = 1_000,
            Flaw::ForgetsTheFewest => scaling.min = 1,
            Flaw::ForgetsTheProportion => {
                if let Some(ScalingRule::Targets { proportion, .. }) = &mut scaling.rule {
                    *proportion = 1.0;
                }
            }
            Flaw::LetsTheLastSignalWin => {
                if let Some(ScalingRule::Targets { signals, .. }) = &mut scaling.rule {
                    signals.drain(..signals.len() - 1);
                }
            }
            Flaw::MakesStepsOfAnySize => scaling.factor = 100,
            Flaw::GoesDownAtOnce => {
                scaling.down_window = None;
                window = Duration::ZERO;
                if scaling.rule == Some(ScalingRule::Steps) {
                    scaling.down_window = Some(Duration::ZERO);
                }
            }
            Flaw::ForgetsWhatRunsAtARestart if last.is_none() && seen.running > 0 => shown.running = scaling.min,
            Flaw::OverrulesTheOperator if seen.running > 0 => {
                if let Some((decision, before, _)) = last.filter(|(_, before, _)| before.generation == seen.generation)
                {
                    (shown.asked, shown.running) = (before.asked, decision.wanted);
                }
            }
            Flaw::TakesAnUpdateForAnOperator => shown.generation = Generation(1),
            Flaw::TakesItsOwnChangeForAnOperators => {
                let (asked, running) = last.map_or((0, 0), |(decision, before, _)| (before.asked, decision.wanted));
                if last.is_some() && running != seen.running {
                    shown.asked = asked + 1;
                }
            }
            Flaw::AsksForWhatCanNotStart => shown.failing = None,
            Flaw::WakesWhatIsAtZero => shown.running = seen.running.max(1),
            Flaw::ForgetsThoseThatWait => shown.counters.parked = 0,
            Flaw::CountsAnswersOnly => (shown.counters.parked, shown.counters.in_flight) = (0, 0),
            Flaw::CountsACallTwice => shown.counters.calls *= 2,
            Flaw::JumpsAtASingleLook => {
                // It sees the same over and over: more requests in flight than there were, and no more calls.
                if let Some((_, _, then)) = last.filter(|_| goes_by_capacity(&scaling)) {
                    let part = now.since(*then) / 8;
                    for n in 1..8 {
                        self.scaler.decide(&scaling, window, &shown, then.after(part * n));
                    }
                }
            }
            _ => {}
        }
        let mut decision = self.scaler.decide(&scaling, window, &shown, now);
        if let Some(decision) = &mut decision {
            let before = self.last.as_ref().map(|(decision, ..)| decision.wanted);
            match self.flaw {
                Flaw::NeverGoesDown => decision.wanted = decision.wanted.max(before.unwrap_or(0)),
                Flaw::NeverTriesAgain => {
                    if matches!(decision.reason, Reason::Limit { .. }) {
                        self.remembered.get_or_insert(decision.wanted);
                    }
                    decision.wanted = decision.wanted.min(self.remembered.unwrap_or(u32::MAX));
                }
                Flaw::WaitsForTheWindowToGoUp if before.is_some_and(|before| decision.wanted > before) => {
                    let waited = self.remembered.map_or(1, |looks| looks + 1);
                    self.remembered = Some(waited).filter(|looks| *looks < 20);
                    if self.remembered.is_some() {
                        decision.wanted = before.unwrap_or(decision.wanted);
                    }
                }
                _ => {}
            }
        }
        self.last = decision.clone().map(|decision| (decision, shown, now));
        decision
    }
}
