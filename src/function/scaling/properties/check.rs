//! Every rule that is about one look.

use super::rule::{Rule, Violation, check};
use super::world::{Need, World};
use crate::function::scaling::{Decision, Observation};
use crate::function::{LoadType, Rule as ScalingRule};

impl World {
    /// What was needed at every look of the last `millis`.
    pub(super) fn lasting(&self, millis: u64) -> Option<u32> {
        let lately = self.needs.iter().filter(|need| need.at + millis >= self.now);
        lately.map(|need| need.replicas).min()
    }

    /// The most that was needed at a look of the last `millis`.
    fn most_needed(&self, millis: u64, of: impl Fn(&Need) -> u32) -> u32 {
        let given = if self.now < self.given.0 + millis { self.given.1 } else { 0 };
        let lately = self.needs.iter().filter(|need| need.at + millis > self.now);
        lately.map(of).max().unwrap_or(0).max(given)
    }

    pub(super) fn check(
        &mut self,
        decision: &Decision,
        seen: &Observation,
        phantom: f64,
        phantom_before: Option<u64>,
    ) -> Result<(), Violation> {
        let (wanted, now, config) = (decision.wanted, self.now, &self.config);
        let (min, max, react) = (config.scaling.min, config.scaling.max, config.react());
        let tell = |what: &str| format!("at {now} ms: {wanted} ({}) {what}", decision.reason);
        if let Some((number, until)) = self.by_hand {
            if now < until {
                return check(wanted == number, Rule::WhatWasSetByHandHolds, || tell(&format!("by hand {number}")));
            }
            // The time begins when it is seen.
            if now <= until + 2 * config.every {
                return Ok(());
            }
        }
        check((min..=max).contains(&wanted), Rule::TheNumberStaysWithinItsBounds, || tell("out of bounds"))?;
        let limited = self.carries < max;
        self.check_limit(wanted, seen, &tell)?;
        if limited {
            self.excuse_for(700_000);
        }
        let config = &self.config;
        let follows = config.scaling.rule != Some(ScalingRule::Steps) && !config.goes_by(LoadType::Cpu);
        if follows && now >= self.excused_until {
            let need = self.lasting(react).unwrap_or(0);
            check(wanted >= need, Rule::ALoadThatLastsIsFollowedInTime, || tell(&format!("needed are {need}")))?;
        }
        let before = self.last.unwrap_or(wanted);
        if wanted < before && !limited && before <= max {
            let needed = self.most_needed(config.window() - 2 * config.every, |need| need.known).min(max);
            check(wanted >= needed, Rule::NothingGoesBeforeTheWindowIsOver, || tell(&format!("needed were {needed}")))?;
        }
        let alone = [phantom_before, self.waited_at].iter().flatten().all(|then| now - then > 10_000);
        if phantom > 0.0 && alone && self.last.is_some() && config.goes_by(LoadType::Capacity) {
            let fifth = (phantom / 4.0 / (config.unit() * config.service)).ceil();
            let lately = self.most_needed(90_000, |need| need.replicas).max(before);
            let most = f64::from(self.most_needed(10_000, |need| need.replicas)) + fifth;
            let most = most.max(f64::from(lately));
            check(f64::from(wanted) <= most, Rule::OneLookIsNoLoad, || tell(&format!("at most {most}")))?;
        }
        let of_calls_alone = self.phantom_at.is_none_or(|then| now - then > config.window() + 20_000);
        if config.units().len() == 1 && config.goes_by(LoadType::Rps) && of_calls_alone {
            let most = self.most_needed(config.window() + 10_000, |need| need.replicas).max(min);
            check(wanted <= most, Rule::NoMoreIsAskedForThanIsNeeded, || tell(&format!("at most {most} were needed")))?;
        }
        if config.scaling.rule == Some(ScalingRule::Steps) && wanted > before {
            check(wanted <= config.scaling.up(before), Rule::StepsAreOfTheirSize, || tell(&format!("from {before}")))?;
        }
        Ok(())
    }

    fn check_limit(&mut self, wanted: u32, seen: &Observation, tell: &dyn Fn(&str) -> String) -> Result<(), Violation> {
        let most = self.carries.max(self.config.scaling.min).max(seen.ready);
        let (since, ended) = &mut self.beyond;
        if wanted <= most || seen.failing.is_none() {
            // One that ended before it was found out is no limit.
            if since.take().is_some_and(|since| self.now - since >= 5_000) {
                *ended = Some(self.now);
            }
            return Ok(());
        }
        let begun = *since.get_or_insert(self.now);
        let rule = Rule::WhatCanNotStartIsNotAskedForAllTheTime;
        let slack = 4 * self.config.every + self.config.lag;
        check(self.now - begun <= 5_000 + slack, rule, || tell(&format!("since {begun}")))?;
        let rested = ended.is_none_or(|ended| begun - ended + slack >= 15_000);
        check(rested, rule, || tell(&format!("again after {ended:?}")))
    }
}
