//! The proof of the autoscaler: random histories of a function, its callers and its machine, in which every rule of
//! [`rule::Rule`] must hold, and flawed autoscalers, of which every one must be found out.
//!
//! ```text
//! numbers --decode--> steps --World--> looks --Autoscaler--> decisions --World--> checks, and in the end: a steady load
//! ```
//! The same histories are tried in every run: how fast a load is followed is a matter of looks and rounding, and a test that
//! fails once in ten thousand histories would tell nothing of the change that is tested. `ACTORD_HISTORIES` (200) and
//! `ACTORD_SEED` (1) ask for others.

mod check;
mod config;
mod flaw;
mod idle;
mod rule;
mod step;
mod traces;
mod world;

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseError, TestError};

use self::config::Config;
use self::flaw::Flaw;
use self::rule::Violation;
use self::step::Step;
use self::world::World;
use super::tests::scaling;
use crate::function::histories::{runner, setting};

const HISTORIES: u64 = 200;
/// Steps in which a history that fails is made shorter.
const SHRINKS: u32 = 2_000;

fn histories() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 8..40)
}

/// Functions of every rule.
fn config(word: u32) -> Config {
    let (rule, word) = (word % 5, word / 5);
    let (service, slots, cost) = (0.1, 6.0, 0.01);
    let (keys, service, slots, cost): (&[(&str, &str)], _, _, _) = match rule {
        0 => (&[("type", "capacity"), ("target", "3"), ("max", "12")], service, slots, cost),
        1 => (&[("type", "rps"), ("target", "20"), ("min", "2")], service, slots, cost),
        2 => (&[("type", "capacity,rps"), ("target", "2,500"), ("max", "10")], 0.5, slots, cost),
        3 => (&[("min", "2"), ("max", "8"), ("factor", "20")], service, slots, cost),
        _ => (&[("type", "cpu"), ("target", "500"), ("max", "12")], 0.01, 1.0, 0.01),
    };
    let of = |choices: [u64; 3], word: u32| choices[word as usize % 3];
    Config {
        scaling: scaling(keys),
        service,
        slots,
        cost,
        every: of([250, 500, 1_000], word),
        start: of([200, 1_500, 6_000], word / 3),
        lag: of([0, 100, 200], word / 9),
    }
}

/// Lives through a history to its quiet end.
fn live(flaw: Flaw, words: &[u32]) -> Result<World, Violation> {
    let mut world = World::flawed(flaw, config(words[0]));
    world.step(Step::Wait(1))?;
    for word in &words[1..] {
        world.step(Step::decode(*word))?;
    }
    world.settle(words[0] / 97 % 12)?;
    Ok(world)
}

fn tell(flaw: Flaw, words: &[u32]) -> String {
    let steps: Vec<_> = words[1..].iter().map(|word| Step::decode(*word)).collect();
    format!("{:?}\n{steps:?}\nthen {}\n{:?}", config(words[0]), words[0] / 97 % 12, live(flaw, words).err())
}

#[test]
fn every_rule_holds_in_every_history() {
    let seed = setting("ACTORD_SEED").unwrap_or(1);
    let cases = setting("ACTORD_HISTORIES").unwrap_or(HISTORIES);
    let met = Cell::new([0; 4]);
    let result = runner(cases, seed, SHRINKS).run(&histories(), |words| {
        let world = live(Flaw::None, &words)
            .map_err(|broken| TestCaseError::fail(format!("{:?}: {}", broken.rule, broken.what)))?;
        let mut sum = met.get();
        sum.iter_mut().zip(world.met).for_each(|(sum, more)| *sum += more);
        met.set(sum);
        Ok(())
    });
    match result {
        Ok(()) => println!("{cases} histories of seed {seed}: {:?}", met.get()),
        Err(TestError::Fail(_, words)) => {
            panic!("replay with ACTORD_SEED={seed}; the shortest history found:\n{}", tell(Flaw::None, &words))
        }
        Err(TestError::Abort(why)) => panic!("ACTORD_SEED={seed}: {why}"),
    }
    assert!(cases < HISTORIES || met.get().iter().all(|met| *met > 20), "too tame: {:?}", met.get());
}

#[test]
fn every_flawed_autoscaler_is_found_out_and_for_the_right_reason() {
    for (flaw, rules) in Flaw::ALL {
        let mut runner = runner(1, 1, SHRINKS);
        let mut found = None;
        for tried in 1..=HISTORIES {
            let words = histories().new_tree(&mut runner).unwrap().current();
            if let Err(broken) = live(flaw, &words) {
                found = Some((tried, broken, words));
                break;
            }
        }
        let Some((tried, broken, words)) = found else { panic!("{flaw:?} survived {HISTORIES} histories") };
        println!("{flaw:?}: {:?} in history {tried}", broken.rule);
        assert!(rules.contains(&broken.rule), "{flaw:?} was found for another reason:\n{}", tell(flaw, &words));
    }
}
