//! Random histories: calls, answers of every kind, functions that are kept down, deleted and made anew, kills and restarts. What
//! was accepted ends, counts are right, and only a kill lets a call that had answered start again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actord::engine::Mode;
use actord::queue::fake::Step;
use actord::queue::retry::Hold;
use actord::queue::{CallId, New, NotCancelled, State};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use crate::house::{House, MINUTE, ONE, SECOND, call, called_back};
use crate::platform::{id, simulate, spec};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn step(random: &mut StdRng) -> Step {
    let after = Duration::from_millis(random.random_range(0..4000));
    match random.random_range(0..10) {
        0 => Step::answers(500).after(after),
        1 => Step::internal(503).after(after),
        2 => Step::answers(429).retry_after(after * 10),
        3 => Step::answers(404),
        4 => Step::panics(),
        5 => Step::not_tried(if random.random() { Hold::KeptDown } else { Hold::Gone }).after(after),
        _ => Step::answers(200).after(after),
    }
}

fn new(random: &mut StdRng, name: &str) -> New {
    match random.random_range(0..6) {
        0 => called_back(name, "http://hook.example/x"),
        1 => called_back(name, "http://gateway:8080/async-function/c"),
        _ => call(name),
    }
}

async fn history(seed: u64, kills: bool) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut house = House::start().await;
    house.serve("a", &[]).await;
    house.serve("b", &[ONE]).await;
    house.serve("c", &[("com.openfaas.retry.min_wait", "1s"), ("com.openfaas.retry.attempts", "3")]).await;
    let mut accepted: Vec<CallId> = Vec::new();
    let mut cancelled = BTreeSet::new();
    for _ in 0..150 {
        let name = NAMES[random.random_range(0..NAMES.len())];
        match random.random_range(0..20) {
            0 => {
                let _ = house.keep_down(name, random.random()).await;
            }
            1 => {
                let _ = house.delete(name).await;
            }
            2 | 3 => {
                let _ = house.apply(Mode::Create, name, spec("good:2")).await;
            }
            4 => house = house.restarted(5 * SECOND).await,
            5 if kills => house = house.killed().await,
            6 if !accepted.is_empty() => {
                let one = accepted[random.random_range(0..accepted.len())];
                match house.queue.cancel(one).await {
                    Ok(()) => drop(cancelled.insert(one)),
                    Err(NotCancelled::Ended) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            7 | 8 => sleep(Duration::from_millis(random.random_range(0..60_000))).await,
            _ => {
                for _ in 0..random.random_range(1..8) {
                    house.script(name, [step(&mut random)]);
                    let new = new(&mut random, name);
                    accepted.push(house.queue.accept(new).await.unwrap());
                }
            }
        }
    }
    for name in NAMES {
        let _ = house.apply(Mode::Create, name, spec("good:3")).await;
        house.keep_down(name, false).await.unwrap();
    }
    house.when("nothing waits", async |house| house.calls.lanes().iter().all(|lane| lane.waiting() == 0)).await;
    sleep(10 * MINUTE).await;
    assert_eq!(house.calls.miscounts().await.unwrap(), Vec::<String>::new(), "seed {seed}");
    let mut answered: BTreeMap<CallId, usize> = BTreeMap::new();
    for one in house.functions.answered() {
        *answered.entry(one).or_default() += 1;
    }
    for one in &accepted {
        let loaded = house.call(*one).await;
        let counted = loaded.attempts.iter().filter(|attempt| !attempt.callback && attempt.error.is_none()).count();
        let had = answered.get(one).copied().unwrap_or(0);
        match loaded.call.state {
            State::Waiting => panic!("seed {seed}: {one} waits: {:?}", loaded.call),
            State::Cancelled => assert!(cancelled.contains(one), "seed {seed}"),
            State::Done | State::Dead => assert!(!cancelled.contains(one), "seed {seed}"),
        }
        assert!(had >= counted, "seed {seed}: {one} has more answers than it had: {loaded:?}");
        // A call that is cancelled while its answer is written down is as one that was cut short.
        assert!(kills || cancelled.contains(one) || had == counted, "seed {seed}: {one} started again: {loaded:?}");
    }
    for name in NAMES {
        assert_eq!(house.functions.in_flight(&id(name)), 0, "seed {seed}");
    }
}

#[test]
fn whatever_happens_what_was_accepted_ends_and_nothing_that_had_answered_starts_again() {
    for seed in 0..6 {
        simulate(history(seed, false));
    }
}

#[test]
fn after_kills_what_was_accepted_ends_all_the_same() {
    for seed in 100..106 {
        simulate(history(seed, true));
    }
}
