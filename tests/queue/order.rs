//! In which order calls are sent, and how many at a time.

use std::collections::BTreeSet;

use actord::queue::State;
use actord::queue::fake::Step;
use tokio::time::Instant;

use crate::house::{House, MINUTE, ONE, SECOND};
use crate::platform::{id, simulate};

#[test]
fn calls_of_a_function_are_sent_in_the_order_in_which_they_came() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[ONE]).await;
        house.always("f", Step::answers(200).after(SECOND / 10));
        let ids = house.accept_many("f", 300).await;
        house.until_state(ids[299], State::Done).await;
        assert_eq!(house.sent("f"), ids);
        assert_eq!(house.functions.most_in_flight(&id("f")), 1);
    });
}

#[test]
fn a_waiting_retry_holds_up_no_later_call() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[ONE]).await;
        house.script("f", [Step::answers(500)]);
        let since = Instant::now();
        let first = house.accept("f").await;
        house.when("it is tried", async |house| house.began("f").len() == 1).await;
        let later = house.accept_many("f", 20).await;
        for id in &later {
            house.until_state(*id, State::Done).await;
        }
        assert!(since.elapsed() < 9 * SECOND, "{:?}", since.elapsed());
        assert_eq!(house.state(first).await, State::Waiting);
        house.until_state(first, State::Done).await;
        assert_eq!(house.sent("f"), [[first].as_slice(), &later, &[first]].concat());
        assert_eq!(house.seconds("f", since).last(), Some(&10));
    });
}

#[test]
fn as_many_are_under_way_as_the_function_says_or_its_replicas_carry() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[("com.openfaas.queue.max-inflight", "3")]).await;
        house.serve("g", &[]).await;
        for name in ["f", "g"] {
            house.always(name, Step::answers(200).after(SECOND));
            let ids = house.accept_many(name, 50).await;
            house.until_state(ids[49], State::Done).await;
        }
        assert_eq!(house.functions.most_in_flight(&id("f")), 3);
        assert_eq!(house.functions.most_in_flight(&id("g")), 16);
        house.scale("g", 2).await.unwrap();
        house.until("both serve", async |p| p.published("g").len() == 2).await;
        let ids = house.accept_many("g", 100).await;
        house.until_state(ids[99], State::Done).await;
        assert_eq!(house.functions.most_in_flight(&id("g")), 32);
    });
}

#[test]
fn thousands_that_waited_are_each_sent_once_and_in_their_order() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[ONE]).await;
        house.keep_down("f", true).await.unwrap();
        let ids = house.accept_many("f", 2000).await;
        assert_eq!(house.began("f").len(), 0);
        house.keep_down("f", false).await.unwrap();
        house.until_state(ids[1999], State::Done).await;
        assert_eq!(house.sent("f"), ids);
        assert_eq!(house.queue.queues()[0].waiting, 0);
    });
}

#[test]
fn a_function_at_zero_is_woken_by_one_call_and_then_gets_the_others() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.scale("f", 0).await.unwrap();
        house.until("nothing runs", async |p| p.published("f").is_empty()).await;
        house.always("f", Step::answers(200).after(SECOND));
        let ids = house.accept_many("f", 40).await;
        for id in &ids {
            house.until_state(*id, State::Done).await;
        }
        let sent: BTreeSet<_> = house.sent("f").into_iter().collect();
        assert_eq!((house.sent("f").len(), sent.len()), (40, 40), "each once");
    });
}

#[test]
fn after_a_quiet_hour_calls_are_sent_as_before() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        for _ in 0..3 {
            let one = house.accept("f").await;
            house.until_state(one, State::Done).await;
            tokio::time::sleep(60 * MINUTE).await;
        }
        assert_eq!(house.began("f").len(), 3);
    });
}
