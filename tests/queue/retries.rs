//! When a call is tried again, and when no more.

use actord::queue::State;
use actord::queue::fake::Step;
use tokio::time::Instant;

use crate::house::{House, SECOND};
use crate::platform::simulate;

#[test]
fn a_call_that_fails_is_tried_ten_times_at_growing_waits_and_then_is_a_dead_letter() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.always("f", Step::answers(500).with(b"no"));
        let since = Instant::now();
        let one = house.accept("f").await;
        let dead = house.until_state(one, State::Dead).await;
        assert_eq!(house.seconds("f", since), [0, 10, 30, 70, 150, 270, 390, 510, 630, 750]);
        assert_eq!(dead.call.reason.as_deref(), Some("answered 500 at the last of 10 tries"));
        assert_eq!((dead.call.called, dead.call.status, dead.attempts.len()), (10, Some(500), 10));
        assert_eq!(&dead.answer.unwrap().body[..], b"no");
        assert_eq!(house.metric("actord_queue_dead{function_name=\"f.openfaas-fn\"}"), Some(1.0));
    });
}

#[test]
fn the_functions_own_rule_holds_and_a_change_of_it_for_calls_that_wait_already() {
    simulate(async {
        let house = House::start().await;
        let rule = |attempts| {
            [
                ("com.openfaas.retry.attempts", attempts),
                ("com.openfaas.retry.min_wait", "1s"),
                ("com.openfaas.retry.max_wait", "2s"),
            ]
        };
        house.serve("f", &rule("3")).await;
        house.always("f", Step::answers(503));
        let since = Instant::now();
        let one = house.accept("f").await;
        house.until_state(one, State::Dead).await;
        assert_eq!(house.seconds("f", since), [0, 1, 3]);
    });
}

#[test]
fn what_is_not_worth_another_try_is_a_dead_letter_at_once_and_what_we_answer_ourselves_is_tried_again() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[("com.openfaas.retry.codes", "")]).await;
        house.script("f", [Step::answers(500), Step::internal(502), Step::internal(504), Step::answers(204)]);
        let one = house.accept("f").await;
        let dead = house.until_state(one, State::Dead).await;
        assert_eq!(dead.call.reason.as_deref(), Some("answered 500, which is not retried"));
        let two = house.accept("f").await;
        let done = house.until_state(two, State::Done).await;
        assert_eq!((done.call.called, done.attempts[0].status, done.attempts[2].status), (3, Some(502), Some(204)));
    });
}

#[test]
fn a_wait_that_a_function_asks_for_is_kept() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.script("f", [Step::answers(429).retry_after(95 * SECOND), Step::answers(503).retry_after(SECOND)]);
        let since = Instant::now();
        let one = house.accept("f").await;
        house.until_state(one, State::Done).await;
        assert_eq!(house.seconds("f", since), [0, 95, 105]);
    });
}
