//! Answers that wait for their callback are held to `queue-max-bytes`, and no backlog is stuck for that.

use actord::queue::fake::{Functions, Step};
use actord::queue::retry::Came;
use actord::queue::seam::Delivered;
use actord::queue::{CallId, Calls, Gate, New, NotAccepted, Settings, State};
use actord::store::calls::Bounds;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

use crate::house::{House, MINUTE, SECOND, call, called_back, usual};
use crate::platform::{Platform, simulate};

const HOOK: &str = "https://hook.example/x";
const ANSWER: [u8; 4000] = [b'a'; 4000];
/// The longest answer, as it is reckoned with: its body and its headers.
const LONGEST: u64 = 4000 + (64 << 10);
/// What calls take that are done and stay for who asks for them.
const DONE: u64 = 4 * 5000;
/// What the dead letters of one function may take.
const DEAD: u64 = 20_000;

/// Tries are over soon.
const SOON: [(&str, &str); 3] = [
    ("com.openfaas.retry.min_wait", "1s"),
    ("com.openfaas.retry.max_wait", "2s"),
    ("com.openfaas.retry.attempts", "3"),
];

fn fails() -> Option<Delivered> {
    Some(Delivered::Came { came: Came::Answered { status: 503, retry_after: None }, took: Duration::ZERO })
}

async fn bounded(bytes: u64) -> House {
    let settings = Settings { max_body: 4000, max_bytes: Some(bytes), ..usual() };
    let platform = Platform::start().await;
    let functions = Functions::over(platform.routes.clone());
    let engine = Arc::new(platform.engine.clone());
    let bounds = Bounds { bytes: settings.give_way(), dead_bytes: DEAD, ..Bounds::default() };
    let calls = Calls::in_memory_with(bounds).unwrap();
    House::over(platform, engine, calls, functions, settings).await
}

/// Accepts calls as long as there is room.
async fn fill(house: &House, new: impl Fn() -> New) -> Vec<CallId> {
    let mut ids = Vec::new();
    loop {
        match house.queue.accept(new()).await {
            Ok(id) => ids.push(id),
            Err(NotAccepted::Full(_)) => return ids,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Waits until nothing waits, and returns the most bytes that there were.
async fn drained(house: &House) -> u64 {
    let mut most = 0;
    for _ in 0..200_000 {
        most = most.max(house.calls.bytes());
        if house.calls.lanes().iter().all(|lane| lane.waiting() == 0) {
            return most;
        }
        sleep(SECOND / 10).await;
    }
    panic!("something waits for ever: {:?}", house.queue.queues());
}

#[test]
fn a_backlog_that_fills_the_bound_by_itself_drains() {
    simulate(async {
        let house = bounded(100_000).await;
        house.serve("f", &SOON).await;
        house.always("f", Step::answers(200).with(&ANSWER));
        house.keep_down("f", true).await.unwrap();
        let ids = fill(&house, || called_back("f", HOOK)).await;
        assert!(ids.len() > 100, "{}", ids.len());
        house.keep_down("f", false).await.unwrap();
        let most = drained(&house).await;
        assert!(most <= 100_000 + LONGEST + DONE, "{most}");
        assert_eq!((house.functions.posted().len(), house.sent("f")), (ids.len(), ids));
    });
}

#[test]
fn where_nobody_takes_the_answers_calls_with_a_callback_wait_and_all_others_go_on() {
    simulate(async {
        let house = bounded(250_000).await;
        house.serve("f", &[]).await;
        house.always("f", Step::answers(200).with(&ANSWER));
        house.functions.always_posts(fails());
        let mut most = 0;
        let mut ids = Vec::new();
        for _ in 0..100 {
            ids.push(house.queue.accept(called_back("f", HOOK)).await.unwrap());
            sleep(SECOND / 10).await;
            most = most.max(house.calls.bytes());
        }
        assert!(most <= 250_000, "{most}");
        let called = house.began("f").len();
        assert!((10..60).contains(&called), "{called}");
        let last = house.call(ids[99]).await;
        assert_eq!((last.call.called, last.call.tries, house.queue.queues()[0].gate), (0, 0, Gate::Full));
        let plain = house.accept("f").await;
        house.until_state(plain, State::Done).await;
        house.functions.always_posts(None);
        let most = drained(&house).await;
        assert!(most <= 250_000, "{most}");
        assert_eq!(house.queue.queues()[0].gate, Gate::Open);
        assert_eq!(house.calls.lanes().iter().map(|lane| lane.dead()).sum::<u64>(), 0);
        let first_tries = house.sent("f");
        assert_eq!(first_tries.len(), 101, "each once");
        let bearing: Vec<_> = first_tries.into_iter().filter(|id| *id != plain).collect();
        assert_eq!(bearing, ids, "in the order in which they came");
    });
}

#[test]
fn answers_that_nobody_ever_takes_fill_no_disk() {
    simulate(async {
        let house = bounded(150_000).await;
        house.serve("f", &SOON).await;
        house.always("f", Step::answers(200).with(&ANSWER));
        house.functions.always_posts(fails());
        house.keep_down("f", true).await.unwrap();
        fill(&house, || called_back("f", HOOK)).await;
        house.keep_down("f", false).await.unwrap();
        let most = drained(&house).await;
        assert!(most <= 150_000 + LONGEST + DEAD, "{most}");
    });
}

#[test]
fn follow_up_calls_that_nobody_takes_fill_no_disk_and_go_on_once_they_are_taken() {
    simulate(async {
        let house = bounded(100_000).await;
        house.serve("f", &SOON).await;
        house.serve("g", &[]).await;
        house.always("f", Step::answers(200).with(&ANSWER));
        for name in ["f", "g"] {
            house.keep_down(name, true).await.unwrap();
        }
        let ids = fill(&house, || called_back("f", "http://gateway/async-function/g")).await;
        house.keep_down("f", false).await.unwrap();
        let mut most = 0;
        for _ in 0..1000 {
            most = most.max(house.calls.bytes());
            sleep(SECOND).await;
        }
        assert!(most <= 100_000 + 2 * LONGEST + DONE, "{most}");
        assert!(house.began("f").len() < ids.len());
        house.keep_down("g", false).await.unwrap();
        drained(&house).await;
        assert_eq!((house.began("f").len(), house.began("g").len()), (ids.len(), ids.len()));
    });
}

#[test]
fn a_follow_up_call_goes_before_calls_that_wait_for_it() {
    simulate(async {
        let house = bounded(700_000).await;
        house.serve("f", &SOON).await;
        house.serve("g", &SOON).await;
        for name in ["f", "g"] {
            house.always(name, Step::answers(200).with(&ANSWER).leads_to(HOOK));
            house.keep_down(name, true).await.unwrap();
        }
        for _ in 0..1100 {
            house.queue.accept(called_back("g", HOOK)).await.unwrap();
        }
        let more = fill(&house, || called_back("f", "http://gateway/async-function/g")).await;
        assert!(more.len() > 20, "{}", more.len());
        for name in ["f", "g"] {
            house.keep_down(name, false).await.unwrap();
        }
        let most = drained(&house).await;
        assert!(most <= 700_000 + 3 * LONGEST + DONE, "{most}");
        assert_eq!((house.began("f").len(), house.began("g").len()), (more.len(), 1100 + more.len()));
        assert_eq!(house.functions.posted().len(), 1100 + more.len());
    });
}

/// A backlog of every kind, made at once beyond or within a bound that is any.
async fn history(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let bound = random.random_range(20_000..400_000);
    let house = bounded(bound).await;
    for name in ["a", "b", "c"] {
        let inflight = random.random_range(1..20_u32).to_string();
        let annotations =
            [SOON[0], SOON[1], ("com.openfaas.retry.attempts", "100"), ("com.openfaas.queue.max-inflight", &inflight)];
        house.serve(name, &annotations).await;
        let next =
            [HOOK, "http://gateway/async-function/b", "http://gateway/async-function/c", "http://gateway/function/b"];
        let step = Step::answers(200).with(&ANSWER).leads_to(next[random.random_range(0..next.len())]);
        house.always(name, step.after(Duration::from_millis(random.random_range(0..500))));
        // Not b: callbacks to it would be tries that fail.
        house.keep_down(name, name != "b" && random.random()).await.unwrap();
    }
    let mut ids = Vec::new();
    let mut most = 0;
    for _ in 0..random.random_range(1..400) {
        let name = ["a", "b", "c"][random.random_range(0..3)];
        let mut new = match random.random_range(0..6) {
            0 | 1 => called_back(name, &format!("http://h{}.example/", random.random_range(0..5))),
            2 => called_back(name, "http://gateway/async-function/c"),
            3 => called_back(name, "http://gateway/function/b"),
            4 => called_back(name, HOOK),
            _ => call(name),
        };
        new.body = vec![7; random.random_range(0..4000)].into();
        if let Ok(id) = house.queue.accept(new).await {
            ids.push(id);
        }
        if random.random_bool(0.1) {
            sleep(Duration::from_millis(random.random_range(0..20_000))).await;
        }
        most = most.max(house.calls.bytes());
        house.functions.always_posts(if random.random_bool(0.5) { fails() } else { None });
    }
    for name in ["a", "b", "c"] {
        house.keep_down(name, false).await.unwrap();
    }
    house.functions.always_posts(None);
    most = most.max(drained(&house).await);
    // Of a call, of its follow-up call, and the copy of one on its way between them.
    let beyond = 3 * LONGEST + DONE;
    assert!(most <= bound + beyond, "seed {seed}: {most} of {bound}");
    sleep(MINUTE).await;
    assert_eq!(house.calls.miscounts().await.unwrap(), Vec::<String>::new(), "seed {seed}");
    for id in ids {
        // What is done long ago may have gone for others.
        if let Some(kept) = house.queue.call(id).await.unwrap() {
            let circle = kept.call.reason.as_deref().is_some_and(|reason| reason.contains("in a circle"));
            assert!(kept.call.state == State::Done || circle, "seed {seed}: {:?}", kept.call);
        }
    }
}

#[test]
fn every_backlog_drains_where_its_callbacks_are_taken() {
    for seed in 0..20 {
        simulate(history(seed));
    }
}
