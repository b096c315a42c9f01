//! Calls of functions that are kept down or deleted.

use actord::engine::Mode;
use actord::queue::fake::Step;
use actord::queue::retry::Hold;
use actord::queue::{Gate, State};
use tokio::time::sleep;

use crate::house::{House, MINUTE, ONE, SECOND, called_back};
use crate::platform::{simulate, spec};

#[test]
fn calls_of_a_function_that_is_kept_down_wait_and_count_no_try() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.keep_down("f", true).await.unwrap();
        let one = house.accept("f").await;
        sleep(600 * MINUTE).await;
        assert_eq!((house.state(one).await, house.queue.queues()[0].gate), (State::Waiting, Gate::Down));
        house.keep_down("f", false).await.unwrap();
        let done = house.until_state(one, State::Done).await;
        assert_eq!((done.call.called, house.began("f").len()), (1, 1));
    });
}

#[test]
fn a_call_that_could_not_be_tried_is_sent_again_before_those_behind_it_and_counts_no_try() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[ONE]).await;
        let holds = [Hold::KeptDown, Hold::Gone, Hold::Paused, Hold::Drained];
        house.script("f", holds.map(Step::not_tried));
        let ids = house.accept_many("f", 3).await;
        for one in &ids {
            let done = house.until_state(*one, State::Done).await;
            assert_eq!((done.call.called, done.attempts.len()), (1, 1));
        }
        assert_eq!(house.sent("f"), [[ids[0]; 4].as_slice(), &ids].concat());
        assert_eq!(
            house.metric("actord_queue_attempts_total{function_name=\"f.openfaas-fn\",outcome=\"held\"}"),
            Some(4.0)
        );
    });
}

#[test]
fn a_call_that_is_under_way_when_its_function_is_kept_down_is_finished() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.script("f", [Step::answers(200).after(10 * SECOND)]);
        let one = house.accept("f").await;
        house.when("it is under way", async |house| house.began("f").len() == 1).await;
        house.keep_down("f", true).await.unwrap();
        house.until_state(one, State::Done).await;
    });
}

#[test]
fn a_deleted_functions_calls_wait_five_minutes_for_its_name() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.keep_down("f", true).await.unwrap();
        let ids = house.accept_many("f", 150).await;
        house.delete("f").await.unwrap();
        sleep(4 * MINUTE + 50 * SECOND).await;
        for id in &ids {
            assert_eq!(house.state(*id).await, State::Waiting);
        }
        sleep(20 * SECOND).await;
        for id in &ids {
            let dead = house.call(*id).await;
            assert_eq!(dead.call.state, State::Dead);
            assert_eq!(dead.call.reason.as_deref(), Some("its function was deleted"));
            assert_eq!(dead.call.called, 0);
        }
        assert_eq!(house.began("f").len(), 0);
        assert_eq!(house.metric("actord_queue_dead_total{reason=\"deleted\"}"), Some(150.0));
    });
}

#[test]
fn a_function_that_is_deleted_and_made_anew_gets_its_calls() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.keep_down("f", true).await.unwrap();
        let ids = house.accept_many("f", 5).await;
        house.delete("f").await.unwrap();
        sleep(4 * MINUTE).await;
        house.apply(Mode::Create, "f", spec("good:2")).await.unwrap();
        for id in ids {
            let done = house.until_state(id, State::Done).await;
            assert_eq!(done.call.called, 1);
        }
        sleep(10 * MINUTE).await;
        assert_eq!(house.began("f").len(), 5);
    });
}

#[test]
fn who_asked_for_a_callback_is_told_that_the_function_was_deleted() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.keep_down("f", true).await.unwrap();
        let one = house.queue.accept(called_back("f", "http://hook.example/x")).await.unwrap();
        house.delete("f").await.unwrap();
        house.until_state(one, State::Dead).await;
        let (_, post) = house.functions.posted().remove(0);
        assert_eq!(&post.body[..], b"its function was deleted\n");
    });
}

#[test]
fn a_function_whose_calls_were_all_removed_is_stopped_and_started_as_any_other() {
    use actord::queue::{Filter, Wanted};
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        let first = house.accept("f").await;
        house.until_state(first, State::Done).await;
        // Its row goes while the dispatcher still remembers it, and the next call makes another.
        house.queue.purge(Filter { wanted: Wanted::Done, limit: 100, ..Filter::default() }).await.unwrap();
        house.calls.tidy().await.unwrap();
        assert!(house.calls.lanes().is_empty());
        let second = house.accept("f").await;
        house.until_state(second, State::Done).await;
        // Until the old one is forgotten.
        for _ in 0..4 {
            sleep(MINUTE / 2).await;
            let more = house.accept("f").await;
            house.until_state(more, State::Done).await;
        }
        house.keep_down("f", true).await.unwrap();
        let waits = house.accept("f").await;
        sleep(MINUTE).await;
        assert_eq!(house.state(waits).await, State::Waiting);
        house.keep_down("f", false).await.unwrap();
        house.until_state(waits, State::Done).await;
    });
}
