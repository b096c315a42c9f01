//! What an end in order and a kill leave behind.

use std::collections::BTreeSet;

use actord::queue::State;
use actord::queue::fake::Step;
use tokio::time::{Instant, sleep};

use crate::house::{House, MINUTE, ONE, SECOND};
use crate::platform::{id, simulate};

#[test]
fn after_a_kill_what_was_in_flight_is_tried_again_and_not_counted() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[ONE]).await;
        house.script("f", [Step::hangs()]);
        let ids = house.accept_many("f", 100).await;
        house.when("one is under way", async |house| house.functions.in_flight(&id("f")) == 1).await;
        let house = house.killed().await;
        for one in &ids {
            let done = house.until_state(*one, State::Done).await;
            assert_eq!(done.call.called, 1);
        }
        assert_eq!(house.sent("f"), [&ids[..1], &ids].concat());
    });
}

#[test]
fn over_a_restart_nothing_that_had_answered_starts_again() {
    simulate(async {
        let mut house = House::start().await;
        house.serve("f", &[("com.openfaas.queue.max-inflight", "7")]).await;
        house.always("f", Step::answers(200).after(SECOND / 3));
        let ids = house.accept_many("f", 200).await;
        for _ in 0..5 {
            sleep(SECOND * 7 / 5).await;
            house = house.restarted(MINUTE).await;
        }
        for one in &ids {
            house.until_state(*one, State::Done).await;
        }
        let answered = house.functions.answered();
        assert_eq!((answered.len(), answered.iter().collect::<BTreeSet<_>>().len()), (200, 200));
        assert_eq!(house.began("f").len(), 200, "and none was cut short");
    });
}

#[test]
fn a_stop_begins_no_call_waits_for_those_under_way_and_then_drops_them_uncounted() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[("com.openfaas.queue.max-inflight", "2")]).await;
        house.script("f", [Step::answers(200).after(10 * SECOND), Step::hangs()]);
        let ids = house.accept_many("f", 5).await;
        house.when("two are under way", async |house| house.functions.in_flight(&id("f")) == 2).await;
        let since = Instant::now();
        house.queue.end_dispatch();
        let late = house.accept("f").await;
        house.queue.finish(30 * SECOND).await;
        assert!((30..32).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
        assert_eq!((house.began("f").len(), house.functions.in_flight(&id("f"))), (2, 0));
        assert_eq!((house.state(ids[0]).await, house.call(ids[1]).await.call.tries), (State::Done, 0));
        let house = house.killed().await;
        for one in ids.into_iter().chain([late]) {
            house.until_state(one, State::Done).await;
        }
        assert_eq!(house.began("f").len(), 7);
    });
}

#[test]
fn a_stop_with_nothing_under_way_waits_for_nothing() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        let one = house.accept("f").await;
        house.until_state(one, State::Done).await;
        let since = Instant::now();
        house.queue.end_dispatch();
        house.queue.finish(MINUTE).await;
        assert!(since.elapsed() < SECOND, "{:?}", since.elapsed());
    });
}

#[test]
fn a_retry_that_waits_over_a_restart_comes_when_it_is_due() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.script("f", [Step::answers(500)]);
        let since = Instant::now();
        let one = house.accept("f").await;
        house.when("it was tried", async |house| house.call(one).await.call.tries == 1).await;
        let house = house.restarted(SECOND).await;
        house.until_state(one, State::Done).await;
        assert_eq!(house.seconds("f", since), [0, 10]);
    });
}
