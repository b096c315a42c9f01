//! Calls that are cancelled.

use actord::queue::fake::Step;
use actord::queue::{NotCancelled, State};
use tokio::time::sleep;

use crate::house::{House, MINUTE, ONE, called_back};
use crate::platform::{id, simulate};

#[test]
fn a_call_that_waits_is_never_sent_once_it_is_cancelled() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[ONE]).await;
        house.keep_down("f", true).await.unwrap();
        let ids = house.accept_many("f", 3).await;
        house.queue.cancel(ids[1]).await.unwrap();
        assert_eq!(house.queue.cancel(ids[1]).await, Err(NotCancelled::Ended));
        house.keep_down("f", false).await.unwrap();
        house.until_state(ids[2], State::Done).await;
        assert_eq!(house.sent("f"), [ids[0], ids[2]]);
        assert_eq!(house.state(ids[1]).await, State::Cancelled);
        assert_eq!(house.queue.cancel(ids[0]).await, Err(NotCancelled::Ended));
    });
}

#[test]
fn a_call_under_way_loses_its_request_when_it_is_cancelled_and_the_next_takes_its_place() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[ONE]).await;
        house.script("f", [Step::hangs()]);
        let hangs = house.queue.accept(called_back("f", "http://hook.example/x")).await.unwrap();
        house.when("it is under way", async |house| house.functions.in_flight(&id("f")) == 1).await;
        let next = house.accept("f").await;
        house.queue.cancel(hangs).await.unwrap();
        house.until_state(next, State::Done).await;
        sleep(10 * MINUTE).await;
        assert_eq!(house.sent("f"), [hangs, next]);
        assert_eq!(house.functions.posted().len(), 0, "nobody is told of it");
        assert_eq!(house.queue.queues()[0].waiting, 0);
    });
}

#[test]
fn a_call_that_waits_for_another_try_can_be_cancelled() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.script("f", [Step::answers(500)]);
        let one = house.accept("f").await;
        house.when("it was tried", async |house| house.call(one).await.call.tries == 1).await;
        house.queue.cancel(one).await.unwrap();
        sleep(MINUTE).await;
        assert_eq!((house.began("f").len(), house.state(one).await), (1, State::Cancelled));
    });
}
