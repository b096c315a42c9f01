//! Dead letters are looked at and sent again.

use actord::queue::fake::Step;
use actord::queue::{Filter, NotRetried, Revive, State, Wanted};

use crate::house::{House, called_back};
use crate::platform::simulate;

#[test]
fn a_dead_letter_is_sent_again_with_all_of_its_tries_before_it() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.script("f", [Step::answers(501), Step::answers(500)]);
        let one = house.accept("f").await;
        house.until_state(one, State::Dead).await;
        house.queue.retry(one, Revive::default()).await.unwrap();
        let done = house.until_state(one, State::Done).await;
        let statuses: Vec<_> = done.attempts.iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, [Some(501), Some(500), Some(200)]);
        assert_eq!(house.queue.retry(one, Revive::default()).await, Err(NotRetried::NotDead));
    });
}

#[test]
fn a_callback_that_failed_is_sent_again_without_another_call_of_the_function_unless_that_is_asked_for() {
    use actord::queue::retry::Came;
    use actord::queue::seam::Delivered;
    let gone =
        || Delivered::Came { came: Came::Answered { status: 410, retry_after: None }, took: std::time::Duration::ZERO };
    simulate(async move {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.functions.script_posts([gone(), gone()]);
        let one = house.queue.accept(called_back("f", "http://hook.example/x")).await.unwrap();
        let dead = house.until_state(one, State::Dead).await;
        assert_eq!(dead.call.reason.as_deref(), Some("its callback failed: answered 410, which is not retried"));
        house.queue.retry(one, Revive { call: false }).await.unwrap();
        house.until_state(one, State::Dead).await;
        assert_eq!((house.began("f").len(), house.functions.posted().len()), (1, 2));
        house.queue.retry(one, Revive { call: true }).await.unwrap();
        house.until_state(one, State::Done).await;
        assert_eq!((house.began("f").len(), house.functions.posted().len()), (2, 3));
    });
}

#[test]
fn dead_letters_are_listed_and_removed() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.always("f", Step::answers(400));
        for one in house.accept_many("f", 5).await {
            house.until_state(one, State::Dead).await;
        }
        let filter = || Filter { wanted: Wanted::Dead, limit: 100, ..Filter::default() };
        assert_eq!(house.queue.list(filter()).await.unwrap().calls.len(), 5);
        assert_eq!(house.queue.purge(filter()).await.unwrap(), 5);
        assert_eq!(house.queue.list(filter()).await.unwrap().calls.len(), 0);
    });
}

#[test]
fn a_dead_letter_that_is_sent_again_the_moment_it_is_one_is_sent() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.always("f", Step::answers(400));
        let calls = house.accept_many("f", 50).await;
        let again = calls.iter().map(|one| {
            let (house, one) = (&house, *one);
            // Asked without a pause: some are answered before the dispatcher has noted that the call ended.
            async move {
                for _ in 0..100_000 {
                    if house.queue.retry(one, Revive::default()).await == Ok(()) {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
                panic!("{one} never was a dead letter");
            }
        });
        futures_util::future::join_all(again).await;
        house.always("f", Step::answers(200));
        for one in calls {
            house.when("it was sent again", async |house| house.call(one).await.attempts.len() >= 2).await;
        }
    });
}
