//! The proof of the heart: random histories of a function and its host, in which every rule of [`rule::Rule`] must hold,
//! and flawed hearts, of which every one must be found out.
//!
//! ```text
//! numbers --decode--> steps --World--> events --Lifecycle--> effects --World--> checks, and in the end: quiescence
//! ```
//! `ACTORD_HISTORIES` sets how many histories are tried (20,000 unless told), `ACTORD_SEED` replays a run.

mod check;
mod flaw;
mod host;
mod rule;
mod step;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::flaw::Flaw;
use self::rule::Violation;
use self::step::Step;
use self::world::{World, specs};
use crate::function::Spec;

/// Histories tried in one run, unless `ACTORD_HISTORIES` says otherwise.
const HISTORIES: u64 = 20_000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is not a number")))
}

fn histories() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 30..80)
}

fn runner(cases: u64, seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig {
        cases: u32::try_from(cases).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Lives through a history to its quiet end, and through a restart after that.
fn live(world: &mut World, words: &[u32]) -> Result<(), Violation> {
    world.step(Step::Apply { spec: 0, meanwhile: None })?;
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

#[test]
fn every_rule_holds_in_every_history() {
    let seed = setting("ACTORD_SEED").unwrap_or_else(rand::random);
    let cases = setting("ACTORD_HISTORIES").unwrap_or(HISTORIES);
    let specs = specs();
    let result = runner(cases, seed).run(&histories(), |words| {
        live(&mut World::new(Flaw::None, &specs, false), &words)
            .map_err(|broken| TestCaseError::fail(format!("{:?}: {}", broken.rule, broken.what)))
    });
    match result {
        Ok(()) => println!("{cases} histories of seed {seed}"),
        Err(TestError::Fail(_, words)) => {
            panic!("replay with ACTORD_SEED={seed}; the shortest history found:\n{}", tell(Flaw::None, &specs, &words))
        }
        Err(TestError::Abort(why)) => panic!("ACTORD_SEED={seed}: {why}"),
    }
}

#[test]
fn every_flawed_heart_is_found_out_and_for_the_right_reason() {
    let specs = specs();
    for (flaw, rules) in Flaw::ALL {
        let mut runner = runner(1, 1);
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
