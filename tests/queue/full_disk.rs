//! A disk that takes nothing loses no answer.

use actord::queue::fake::Step;
use actord::queue::{Deadline, New, NotAccepted, State};
use tokio::time::sleep;

use crate::house::{House, MINUTE, SECOND, call};
use crate::platform::{id, simulate};

#[test]
fn a_full_disk_loses_no_answer_and_no_call_is_sent_twice() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.always("f", Step::answers(200).after(10 * SECOND));
        let ids = house.accept_many("f", 40).await;
        house.when("some are under way", async |house| house.functions.in_flight(&id("f")) == 16).await;
        house.calls.refuse_writes(true).await.unwrap();
        sleep(MINUTE).await;
        assert_eq!(house.began("f").len(), 16, "nothing is sent that could not be written down");
        assert_eq!(house.functions.in_flight(&id("f")), 0, "and no lease is kept");
        assert!(matches!(house.queue.accept(call("f")).await, Err(NotAccepted::Full(_))));
        assert!(house.queue.faults()[0].starts_with("queue: "), "{:?}", house.queue.faults());
        house.calls.refuse_writes(false).await.unwrap();
        for one in &ids {
            house.until_state(*one, State::Done).await;
        }
        assert_eq!((house.began("f").len(), house.functions.answered().len()), (40, 40));
        assert_eq!(house.queue.faults(), Vec::<String>::new());
        house.accept("f").await;
    });
}

#[test]
fn what_was_answered_in_time_is_done_however_late_the_disk_takes_it() {
    simulate(async {
        for _ in 0..5 {
            let house = House::start().await;
            house.serve("f", &[]).await;
            house.always("f", Step::answers(200).after(10 * SECOND));
            let within = Some(Deadline::In(30 * SECOND));
            let mut ids = Vec::new();
            for _ in 0..16 {
                ids.push(house.queue.accept(New { deadline: within, ..call("f") }).await.unwrap());
            }
            let waits = house.queue.accept(New { deadline: within, ..call("f") }).await.unwrap();
            house.when("all have a place", async |house| house.functions.in_flight(&id("f")) == 16).await;
            house.calls.refuse_writes(true).await.unwrap();
            sleep(MINUTE).await;
            house.calls.refuse_writes(false).await.unwrap();
            for one in ids {
                house.until_state(one, State::Done).await;
            }
            house.until_state(waits, State::Dead).await;
        }
    });
}
