//! What is told of calls that end without an answer.

use actord::queue::fake::Step;
use actord::queue::retry::Came;
use actord::queue::seam::Delivered;
use actord::queue::{CallId, Deadline, End, Ended, New, Revive, State};
use tokio::sync::broadcast::Receiver;
use tokio::time::sleep;

use crate::house::{House, MINUTE, ONE, SECOND, call, called_back};
use crate::platform::{id, simulate};

const HOOK: &str = "http://hook.example/x";

fn told(ends: &mut Receiver<Ended>) -> Vec<(Option<CallId>, End, Option<String>, u64)> {
    let all = std::iter::from_fn(|| ends.try_recv().ok());
    all.map(|ended| {
        assert_eq!(ended.function, id("f"));
        (ended.call, ended.how, ended.reason, ended.count)
    })
    .collect()
}

#[test]
fn a_call_that_ends_without_an_answer_is_told_of_once_with_the_reason_and_one_that_is_done_never() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        let mut ends = house.queue.ends();
        house.script("f", [Step::answers(200), Step::answers(400), Step::answers(400)]);
        let done = house.accept("f").await;
        house.until_state(done, State::Done).await;
        assert_eq!(told(&mut ends), []);
        let dead = house.accept("f").await;
        let reason = house.until_state(dead, State::Dead).await.call.reason;
        assert!(reason.is_some());
        assert_eq!(told(&mut ends), [(Some(dead), End::Dead, reason, 1)]);
        let told_back = house.queue.accept(called_back("f", HOOK)).await.unwrap();
        house.until_state(told_back, State::Dead).await;
        assert_eq!(house.functions.posted().len(), 1);
        let all = told(&mut ends);
        assert!(matches!(&all[..], [(Some(one), End::Dead, Some(_), 1)] if *one == told_back), "{all:?}");
        house.queue.retry(dead, Revive::default()).await.unwrap();
        house.until_state(dead, State::Done).await;
        assert_eq!(told(&mut ends), [(Some(dead), End::Revived, None, 1)]);
    });
}

#[test]
fn an_answer_that_does_not_get_out_is_told_of_as_a_dead_letter() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        let mut ends = house.queue.ends();
        let gone = Came::Answered { status: 410, retry_after: None };
        house.functions.script_posts([Delivered::Came { came: gone, took: SECOND }]);
        let one = house.queue.accept(called_back("f", HOOK)).await.unwrap();
        house.until_state(one, State::Dead).await;
        let reason = "its callback failed: answered 410, which is not retried".to_owned();
        assert_eq!(told(&mut ends), [(Some(one), End::Dead, Some(reason), 1)]);
    });
}

#[test]
fn calls_that_end_together_are_told_of_together_and_a_cancelled_one_by_itself() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[ONE]).await;
        house.keep_down("f", true).await.unwrap();
        let mut ends = house.queue.ends();
        let cancelled = house.accept("f").await;
        for _ in 0..3 {
            let deadline = Some(Deadline::In(30 * SECOND));
            house.queue.accept(New { deadline, ..call("f") }).await.unwrap();
        }
        house.queue.cancel(cancelled).await.unwrap();
        assert_eq!(told(&mut ends), [(Some(cancelled), End::Cancelled, None, 1)]);
        sleep(MINUTE).await;
        let all = told(&mut ends);
        let late = Some("its deadline has passed".to_owned());
        assert!(all.iter().all(|(call, how, reason, _)| (call, *how, reason) == (&None, End::Dead, &late)), "{all:?}");
        assert_eq!(all.iter().map(|(.., count)| count).sum::<u64>(), 3);
        house.accept_many("f", 2).await;
        house.delete("f").await.unwrap();
        sleep(10 * MINUTE).await;
        let all = told(&mut ends);
        assert_eq!(all, [(None, End::Dead, Some("its function was deleted".to_owned()), 2)]);
    });
}
