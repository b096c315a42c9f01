//! What is accepted, and what is refused in words.

use std::time::Duration;

use actord::queue::fake::Step;
use actord::queue::{Deadline, New, NotAccepted, NotFound, Settings, State};

use crate::house::{House, ONE, SECOND, call, usual};
use crate::platform::{id, simulate};

#[test]
fn a_call_is_on_the_disk_when_it_is_accepted_and_reaches_its_function_as_it_came() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.always("f", Step::answers(200).with(b"answer"));
        let own = house.accept("f").await;
        assert!(house.queue.call(own).await.unwrap().is_some());
        let ended = house.until_state(own, State::Done).await;
        let sent = house.began("f").remove(0).sent;
        assert_eq!((sent.id, sent.function, sent.method.as_str()), (own, id("f"), "POST"));
        assert_eq!(
            (sent.path_and_query.as_str(), &sent.body[..], sent.head),
            ("/path?query", &b"body"[..], call("f").head)
        );
        let answer = ended.answer.unwrap();
        assert_eq!((answer.status, &answer.body[..], answer.total), (200, &b"answer"[..], 6));
        assert_eq!((ended.call.called, ended.attempts.len()), (1, 1));
        assert_eq!(house.began("f").len(), 1, "once");
    });
}

#[test]
fn a_call_is_found_by_its_own_id_and_by_its_callers_where_only_one_has_that() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        let one = house.accept("f").await;
        assert_eq!(house.queue.find("callers", |_| true).await, Ok(one));
        assert_eq!(house.queue.find(&one.to_string(), |_| true).await, Ok(one));
        let two = house.accept("f").await;
        let Err(NotFound::Several(mut several)) = house.queue.find("callers", |_| true).await else {
            panic!("one of two")
        };
        several.sort();
        assert_eq!(several, [one, two]);
        assert_eq!(
            house.queue.find("callers", |_| false).await,
            Err(NotFound::None),
            "nor are there others' to who asks"
        );
        assert_eq!(house.queue.find("another", |_| true).await, Err(NotFound::None));
        assert_eq!(house.queue.find("018f2f6e-7c1a-7b3c-8d4e-5f6071829304", |_| true).await, Err(NotFound::None));
    });
}

#[test]
fn no_more_calls_of_one_function_wait_than_may_and_others_are_accepted() {
    simulate(async {
        let house = House::start_with(Settings { max_calls: 3, ..usual() }).await;
        house.serve("f", &[ONE]).await;
        house.serve("g", &[]).await;
        house.always("f", Step::hangs());
        house.accept_many("f", 3).await;
        let refused = house.queue.accept(call("f")).await.unwrap_err();
        assert!(matches!(refused, NotAccepted::TooMany { waiting: 3, .. }), "{refused:?}");
        assert!(refused.to_string().contains("queue-max-calls"), "{refused}");
        assert!(house.queue.may_accept(&id("f")).is_err() && house.queue.may_accept(&id("g")).is_ok());
        house.accept("g").await;
    });
}

#[test]
fn no_more_is_kept_than_the_disk_may_give() {
    simulate(async {
        let house = House::start_with(Settings { max_bytes: Some(20_000), ..usual() }).await;
        house.serve("f", &[ONE]).await;
        house.always("f", Step::hangs());
        let large = || New { body: vec![7; 5_000].into(), ..call("f") };
        let mut accepted = 0;
        let refused = loop {
            match house.queue.accept(large()).await {
                Ok(_) => accepted += 1,
                Err(refused) => break refused,
            }
        };
        assert!((2..=4).contains(&accepted), "{accepted}");
        assert!(
            matches!(refused, NotAccepted::Full(_)) && refused.to_string().contains("queue-max-bytes"),
            "{refused}"
        );
    });
}

#[test]
fn a_call_whose_deadline_has_passed_is_refused() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        for deadline in [Deadline::In(Duration::ZERO), Deadline::At(house.queue.moment().wall - 1)] {
            let refused = house.queue.accept(New { deadline: Some(deadline), ..call("f") }).await;
            assert_eq!(refused, Err(NotAccepted::Late));
        }
        let soon = Some(Deadline::At(house.queue.moment().wall + 60_000));
        house.queue.accept(New { deadline: soon, ..call("f") }).await.unwrap();
        house.queue.accept(New { deadline: Some(Deadline::In(SECOND)), ..call("f") }).await.unwrap();
    });
}
