//! The proof of the heart: random histories of a function and its host, in which every rule of [`rule::Rule`] must hold,
//! and flawed hearts, of which every one must be found out.
//!
//! ```text
//! numbers --decode--> steps --World--> events --Lifecycle--> effects --World--> checks, and in the end: quiescence
//! ```
//! `ACTORD_HISTORIES` sets how many histories are tried (20,000 unless told), `ACTORD_SEED` replays a run.

mod check;
mod flaw;
mod history;
mod host;
mod rule;
mod step;
mod world;

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseError, TestError};

use self::flaw::Flaw;
use self::rule::Violation;
use self::step::Step;
use self::world::{World, specs};
use crate::function::Spec;
use crate::function::histories::{runner, setting};

/// Histories tried in one run, unless `ACTORD_HISTORIES` says otherwise.
const HISTORIES: u64 = 20_000;
/// Steps in which a history that fails is made shorter.
const SHRINKS: u32 = 20_000;

fn histories() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 30..80)
}

/// Lives through a history to its quiet end, and through a restart after that.
fn live(world: &mut World, words: &[u32]) -> Result<(), Violation> {
    let spec = words.first().map_or(0, |word| word % 3);
    world.step(Step::Apply { spec, meanwhile: None })?;
    for word in words {
        world.step(Step::decode(*word))?;
    }
    world.settle()?;
    world.check_recovery()
}

fn tell(flaw: Flaw, specs: &[Spec], words: &[u32]) -> String {
    let mut world = World::new(flaw, specs, true);
    let end = live(&mut world, words);
    let trace = world.trace.unwrap_or_default().join("\n");
    format!(
        "{trace}\n\n{}",
        end.err().map_or("no violation".into(), |broken| format!("{:?}: {}", broken.rule, broken.what))
    )
}

/// How often histories came to an end, or through something, that a rule is about: a rule that is never put to the test
/// holds easily.
#[derive(Debug, Default, Clone, Copy)]
struct Reached {
    several_replicas: u32,
    none: u32,
    deleted: u32,
    fallen_back: u32,
    failed_for_good: u32,
    failed_late: u32,
    fallback_kept: u32,
    started_late: u32,
    wavered: u32,
    sickened: u32,
    woken: u32,
    idle: u32,
    adjusted: u32,
    froze: u32,
    thawed: u32,
    stood_by: u32,
    promoted: u32,
    kept_down: u32,
    put_back: u32,
    back_on_trial: u32,
}

impl Reached {
    fn note(&mut self, world: &World) {
        let Some(desired) = world.life.desired() else {
            self.deleted += 1;
            return;
        };
        self.several_replicas += u32::from(world.published.len() > 1);
        self.none += u32::from(desired.replicas == 0);
        self.woken += u32::from(world.woken);
        self.idle += u32::from(desired.idle);
        self.adjusted += u32::from(desired.adjusted.is_some());
        self.froze += u32::from(world.froze);
        self.thawed += u32::from(world.thawed);
        self.stood_by += u32::from(world.stood_by);
        self.promoted += u32::from(world.promoted);
        self.kept_down += u32::from(desired.kept_down);
        self.fallen_back += u32::from(desired.failed.is_some() && desired.last_good().is_some());
        self.failed_for_good += u32::from(desired.failed.is_some() && desired.last_good().is_none());
        self.failed_late +=
            u32::from(desired.failed.as_ref().is_some_and(|reason| reason.contains("not ready within")));
        self.fallback_kept += u32::from(world.fallback);
        self.started_late += u32::from(world.late_start);
        self.wavered += u32::from(world.wavered);
        self.sickened += u32::from(world.sickened);
        self.put_back += u32::from(world.put_back);
        self.back_on_trial += u32::from(world.back_on_trial);
    }

    fn least(self) -> u32 {
        let all = [
            self.several_replicas,
            self.none,
            self.deleted,
            self.fallen_back,
            self.failed_for_good,
            self.failed_late,
            self.fallback_kept,
            self.started_late,
            self.wavered,
            self.sickened,
            self.woken,
            self.idle,
            self.adjusted,
            self.froze,
            self.thawed,
            self.stood_by,
            self.promoted,
            self.kept_down,
            self.put_back,
            self.back_on_trial,
        ];
        all.into_iter().min().unwrap_or_default()
    }
}

#[test]
fn every_rule_holds_in_every_history() {
    let seed = setting("ACTORD_SEED").unwrap_or_else(rand::random);
    let cases = setting("ACTORD_HISTORIES").unwrap_or(HISTORIES);
    let specs = specs();
    let reached = Cell::new(Reached::default());
    let result = runner(cases, seed, SHRINKS).run(&histories(), |words| {
        let mut world = World::new(Flaw::None, &specs, false);
        live(&mut world, &words)
            .map_err(|broken| TestCaseError::fail(format!("{:?}: {}", broken.rule, broken.what)))?;
        let mut now = reached.get();
        now.note(&world);
        reached.set(now);
        Ok(())
    });
    match result {
        Ok(()) => println!("{cases} histories of seed {seed}: {:?}", reached.get()),
        Err(TestError::Fail(_, words)) => {
            panic!("replay with ACTORD_SEED={seed}; the shortest history found:\n{}", tell(Flaw::None, &specs, &words))
        }
        Err(TestError::Abort(why)) => panic!("ACTORD_SEED={seed}: {why}"),
    }
    assert!(cases < HISTORIES || reached.get().least() > 20, "too tame: {:?}", reached.get());
}

#[test]
fn every_flawed_heart_is_found_out_and_for_the_right_reason() {
    let specs = specs();
    for (flaw, rules) in Flaw::ALL {
        let mut runner = runner(1, 1, SHRINKS);
        let mut found = None;
        for tried in 1..=HISTORIES {
            let words = histories().new_tree(&mut runner).unwrap().current();
            if let Err(broken) = live(&mut World::new(flaw, &specs, false), &words) {
                found = Some((tried, broken, words));
                break;
            }
        }
        let Some((tried, broken, words)) = found else { panic!("{flaw:?} survived {HISTORIES} histories") };
        println!("{flaw:?}: {:?} in history {tried}", broken.rule);
        assert!(rules.contains(&broken.rule), "{flaw:?} was found for another reason:\n{}", tell(flaw, &specs, &words));
    }
}
