//! The idler in random histories of calls, deploys, trials and work in the background: what must hold, and idlers with a
//! flaw each, which must be found out.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseError, TestError};

use super::{HISTORIES, SHRINKS, histories, runner, setting};
use crate::function::scaling::{Act, Idleness, Idler};
use crate::function::{Generation, Resting, Tier, Uptime};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Since its last call, deploy or start the time of its tier has gone by.
    NothingRestsBeforeItsTime,
    /// A version has to prove itself first.
    NothingRestsOnTrial,
    /// What uses the processor without being called goes on.
    NothingThatWorksIsFrozen,
    /// Only what serves is frozen.
    NothingThatStartsIsFrozen,
    /// What is quiet is frozen, and stopped whatever it does, soon after its time.
    ItRestsInTime,
    /// Its cpu time is read a few times before it is frozen, and then no more.
    CpuTimeIsReadRarely,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    ForgetsTheLastCall,
    ForgetsADeploy,
    ForgetsAScaleFromZero,
    ForgetsTheTrial,
    IgnoresWhatItUses,
    FreezesWhatStarts,
    LooksAllTheTime,
    NeverFreezes,
    LetsWorkKeepItFromStopping,
}

impl Flaw {
    const ALL: [(Self, &[Rule]); 9] = [
        (Self::ForgetsTheLastCall, &[Rule::NothingRestsBeforeItsTime]),
        (Self::ForgetsADeploy, &[Rule::NothingRestsBeforeItsTime]),
        (Self::ForgetsAScaleFromZero, &[Rule::NothingRestsBeforeItsTime]),
        (Self::ForgetsTheTrial, &[Rule::NothingRestsOnTrial, Rule::NothingRestsBeforeItsTime]),
        (Self::IgnoresWhatItUses, &[Rule::NothingThatWorksIsFrozen]),
        (Self::FreezesWhatStarts, &[Rule::NothingThatStartsIsFrozen]),
        (Self::LooksAllTheTime, &[Rule::CpuTimeIsReadRarely]),
        // (It has to be read again for every other try.)
        (Self::NeverFreezes, &[Rule::ItRestsInTime, Rule::CpuTimeIsReadRarely]),
        (Self::LetsWorkKeepItFromStopping, &[Rule::ItRestsInTime]),
    ];
}

const FREEZE_AFTER: u64 = 20_000;
const ZERO_AFTER: u64 = 120_000;

/// All times are milliseconds.
struct World {
    flaw: Flaw,
    idler: Idler,
    rule: Resting,
    now: u64,
    every: u64,
    tier: Tier,
    generation: Generation,
    on_trial: bool,
    settled: bool,
    called_at: u64,
    /// The last call, deploy, end of a trial or start.
    used_at: u64,
    /// Since when it is quiet and serves, and since when it works all the time.
    quiet_since: u64,
    works_since: Option<u64>,
    cpu: Duration,
    /// When its cpu time was read, since it was last used.
    reads: Vec<u64>,
}

impl World {
    fn new(flaw: Flaw, word: u32) -> Self {
        let millis = Duration::from_millis;
        let (freeze, zero) = (Some(millis(FREEZE_AFTER)), Some(millis(ZERO_AFTER)));
        let rule = match word % 4 {
            0 => Resting { freeze_after: freeze, zero_after: None },
            1 => Resting { freeze_after: None, zero_after: zero },
            _ => Resting { freeze_after: freeze, zero_after: zero },
        };
        Self {
            flaw,
            idler: Idler::default(),
            rule,
            now: 0,
            every: [250, 500, 1_000, 3_000][word as usize / 4 % 4],
            tier: Tier::Ready,
            generation: Generation(1),
            on_trial: false,
            settled: true,
            called_at: 0,
            used_at: 0,
            quiet_since: 0,
            works_since: None,
            cpu: Duration::ZERO,
            reads: Vec::new(),
        }
    }

    fn step(&mut self, word: u32) -> Result<(), (Rule, String)> {
        let (kind, value) = (word % 16, u64::from(word >> 4));
        match kind {
            0..=2 => {
                self.called_at = self.now;
                self.cpu += Duration::from_millis(value % 5_000);
                self.use_it();
            }
            3 => {
                self.generation = self.generation.next();
                self.on_trial = value.is_multiple_of(2);
                self.use_it();
            }
            4 | 5 if self.on_trial => {
                self.on_trial = false;
                self.use_it();
            }
            6 if self.tier == Tier::Stopped => {
                // It is seen to be stopped before it is scaled from there.
                self.look()?;
                self.use_it();
            }
            7 | 8 => {
                self.works_since = if self.works_since.is_some() { None } else { Some(self.now) };
                self.quiet_since = self.now;
            }
            9 => {
                self.settled = !self.settled;
                self.quiet_since = self.now;
            }
            _ => {}
        }
        let looks = 1 + value % (if kind < 12 { 20_000 } else { 200_000 }) / self.every;
        (0..looks).try_for_each(|_| self.look())
    }

    fn use_it(&mut self) {
        self.used_at = self.now;
        self.tier = Tier::Ready;
        self.reads.clear();
    }

    fn look(&mut self) -> Result<(), (Rule, String)> {
        self.now += self.every;
        if self.works_since.is_some() && self.tier == Tier::Ready {
            self.cpu += Duration::from_millis(self.every) / 8;
        }
        let act = match self.decide(None) {
            Act::LookAtCpu => {
                self.reads.push(self.now);
                self.decide(Some(self.cpu))
            }
            act => act,
        };
        if let Act::Rest(tier) = act {
            self.check_rest(tier)?;
            self.tier = tier;
        }
        self.check_in_time()
    }

    fn decide(&mut self, cpu: Option<Duration>) -> Act {
        let millis = Duration::from_millis;
        let Self { tier, generation, on_trial, settled, .. } = *self;
        let idle = millis(self.now - self.called_at);
        let mut seen = Idleness { tier, generation, on_trial, settled, idle, cpu };
        match self.flaw {
            Flaw::ForgetsTheLastCall => seen.idle = millis(self.now),
            Flaw::ForgetsADeploy => seen.generation = Generation(1),
            Flaw::ForgetsAScaleFromZero if tier == Tier::Stopped => return Act::Nothing,
            Flaw::ForgetsTheTrial => seen.on_trial = false,
            Flaw::IgnoresWhatItUses => seen.cpu = cpu.map(|_| Duration::ZERO),
            Flaw::FreezesWhatStarts => seen.settled = true,
            Flaw::LooksAllTheTime if tier == Tier::Ready && cpu.is_none() => return Act::LookAtCpu,
            _ => {}
        }
        let rest = self.idler.decide(self.rule, &seen, Uptime(millis(self.now)));
        match (self.flaw, rest.act) {
            (Flaw::NeverFreezes, Act::Rest(Tier::Frozen)) => Act::Nothing,
            (Flaw::LetsWorkKeepItFromStopping, Act::Rest(Tier::Stopped)) if self.works_since.is_some() => Act::Nothing,
            (_, act) => act,
        }
    }

    fn check_rest(&self, tier: Tier) -> Result<(), (Rule, String)> {
        let unused = self.now - self.used_at;
        let after = if tier == Tier::Frozen { FREEZE_AFTER } else { ZERO_AFTER };
        check(!self.on_trial, Rule::NothingRestsOnTrial, || format!("{tier:?} at {}", self.now))?;
        check(unused >= after, Rule::NothingRestsBeforeItsTime, || format!("{tier:?} after {unused} at {}", self.now))?;
        if tier == Tier::Frozen {
            check(self.settled, Rule::NothingThatStartsIsFrozen, || format!("at {}", self.now))?;
            // What begins to work between the two readings may be found out too late.
            let works = self.works_since.is_some_and(|since| self.now - since >= 11_000 + self.every);
            check(!works, Rule::NothingThatWorksIsFrozen, || format!("at {}", self.now))?;
        }
        Ok(())
    }

    fn check_in_time(&self) -> Result<(), (Rule, String)> {
        let slack = 2 * self.every;
        let (unused, quiet) = (self.now - self.used_at, self.now - self.quiet_since.max(self.used_at));
        let late = |what: &str| format!("not {what} at {}, used at {}", self.now, self.used_at);
        if self.rule.zero_after.is_some() && !self.on_trial {
            let stopped = unused <= ZERO_AFTER + slack || self.tier == Tier::Stopped;
            check(stopped, Rule::ItRestsInTime, || late("stopped"))?;
        }
        let may_freeze = self.settled && self.works_since.is_none() && !self.on_trial;
        if self.rule.freeze_after.is_some() && may_freeze {
            let in_time = unused <= FREEZE_AFTER + slack || quiet <= 22_000 + 2 * slack;
            check(in_time || self.tier != Tier::Ready, Rule::ItRestsInTime, || late("frozen"))?;
        }
        let lately = self.reads.iter().filter(|then| *then + 60_000 > self.now).count();
        check(lately <= 10, Rule::CpuTimeIsReadRarely, || format!("{lately} times in a minute, at {}", self.now))
    }
}

fn check(holds: bool, rule: Rule, what: impl FnOnce() -> String) -> Result<(), (Rule, String)> {
    if holds { Ok(()) } else { Err((rule, what())) }
}

fn live(flaw: Flaw, words: &[u32]) -> Result<(), (Rule, String)> {
    let mut world = World::new(flaw, words[0]);
    words[1..].iter().try_for_each(|word| world.step(*word))
}

#[test]
fn every_rule_holds_in_every_history_of_an_idler() {
    let (seed, cases) = (setting("ACTORD_SEED").unwrap_or(1), setting("ACTORD_HISTORIES").unwrap_or(HISTORIES));
    let result = runner(cases, seed, SHRINKS).run(&histories(), |words| {
        live(Flaw::None, &words).map_err(|(rule, what)| TestCaseError::fail(format!("{rule:?}: {what}")))
    });
    if let Err(TestError::Fail(why, words)) = result {
        let steps: Vec<_> = words[1..].iter().map(|word| (word % 16, word >> 4)).collect();
        panic!("replay with ACTORD_SEED={seed}: {why}\n{} {steps:?}", words[0] % 16);
    }
}

#[test]
fn every_flawed_idler_is_found_out_and_for_the_right_reason() {
    for (flaw, rules) in Flaw::ALL {
        let mut runner = runner(1, 1, SHRINKS);
        let tree = (1..=HISTORIES).map(|tried| (tried, histories().new_tree(&mut runner).unwrap().current()));
        let found = tree.into_iter().find_map(|(tried, words)| Some((tried, live(flaw, &words).err()?)));
        let Some((tried, (rule, what))) = found else { panic!("{flaw:?} survived {HISTORIES} histories") };
        println!("{flaw:?}: {rule:?} in history {tried}");
        assert!(rules.contains(&rule), "{flaw:?} was found for another reason: {rule:?}: {what}");
    }
}
