//! Calls that are worth nothing after some time.

use actord::queue::fake::Step;
use actord::queue::{Deadline, New, State};
use tokio::time::{Instant, sleep};

use crate::house::{House, MINUTE, ONE, SECOND, call, called_back};
use crate::platform::simulate;

const LATE: Option<&str> = Some("its deadline has passed");

fn within(seconds: u32, new: New) -> New {
    New { deadline: Some(Deadline::In(seconds * SECOND)), ..new }
}

#[test]
fn a_call_that_waits_beyond_its_deadline_is_a_dead_letter_then() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[ONE]).await;
        house.always("f", Step::answers(200).after(100 * SECOND));
        let since = Instant::now();
        let under_way = house.accept("f").await;
        let late = house.queue.accept(within(30, call("f"))).await.unwrap();
        let later = house.queue.accept(within(60, call("f"))).await.unwrap();
        let dead = house.until_state(late, State::Dead).await;
        assert_eq!((since.elapsed().as_secs(), dead.call.reason.as_deref(), dead.call.called), (30, LATE, 0));
        house.until_state(later, State::Dead).await;
        assert_eq!(since.elapsed().as_secs(), 60);
        house.until_state(under_way, State::Done).await;
        assert_eq!(house.sent("f"), [under_way]);
    });
}

#[test]
fn a_call_under_way_is_dropped_at_its_deadline() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.script("f", [Step::hangs()]);
        let since = Instant::now();
        let one = house.queue.accept(within(30, call("f"))).await.unwrap();
        let dead = house.until_state(one, State::Dead).await;
        assert_eq!((since.elapsed().as_secs(), dead.call.reason.as_deref(), dead.call.called), (30, LATE, 1));
        assert_eq!(house.functions.in_flight(&crate::platform::id("f")), 0);
    });
}

#[test]
fn a_function_may_set_a_deadline_for_calls_that_bring_none() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[("actord.call-deadline", "15s")]).await;
        house.always("f", Step::answers(500));
        let since = Instant::now();
        let (one, longer) = (house.accept("f").await, house.queue.accept(within(45, call("f"))).await.unwrap());
        let dead = house.until_state(one, State::Dead).await;
        assert_eq!(dead.call.reason.as_deref(), Some("its deadline would pass before the next try"));
        assert_eq!((since.elapsed().as_secs(), dead.call.called), (10, 2));
        assert_eq!(house.until_state(longer, State::Dead).await.call.called, 3);
    });
}

#[test]
fn who_asked_for_a_callback_is_told_that_the_deadline_passed() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.keep_down("f", true).await.unwrap();
        let one = house.queue.accept(within(30, called_back("f", "http://hook.example/x"))).await.unwrap();
        house.until_state(one, State::Dead).await;
        assert_eq!(house.functions.posted().len(), 1);
        sleep(MINUTE).await;
        assert_eq!(house.functions.posted().len(), 1);
    });
}
