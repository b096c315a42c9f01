//! Schedules that come, change and go with their functions, and what is told of them.

use actord::cron::MOST_COUNTED;
use actord::engine::{Engine as _, Mode};
use actord::function::{Missed, Overlap};

use crate::house::{House, MORNING, id, minutes};

#[tokio::test(start_paused = true)]
async fn an_update_takes_the_schedule_along_and_one_without_ends_it() {
    let house = House::at(MORNING);
    house.scheduled("often", "* * * * *; 30 12 * * *").await;
    house.pass(1).await;
    house.deploy(Mode::Update, "often", &[("schedule", "* * * * *"), ("schedule.overlap", "skip")]).await;
    house.calls.end_all();
    house.pass(1).await;
    assert_eq!(house.due("often"), minutes("10:01", "10:02", 1));
    assert_eq!(house.calls.known().len(), 1, "the one that is no longer there is forgotten");
    house.deploy(Mode::Update, "often", &[("topic", "payments")]).await;
    house.pass(5).await;
    assert_eq!(house.due("often"), minutes("10:01", "10:02", 1));
    assert!(house.calls.known().is_empty() && house.listed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn in_another_zone_it_owes_nothing_of_the_times_before() {
    let house = House::at(MORNING);
    house.scheduled("daily", "0 10 * * *").await;
    house.deploy(Mode::Update, "daily", &[("schedule", "CRON_TZ=Etc/UTC 0 10 * * *")]).await;
    house.pass(5).await;
    assert_eq!(house.calls.fired(), Vec::new());
    assert_eq!(house.listed()[0].next.map(|next| next.to_string()).as_deref(), Some("2026-11-28T10:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn a_list_tells_when_each_fires_and_what_it_fired_last() {
    let house = House::at(MORNING);
    house.deploy(Mode::Create, "b", &[("schedule", "*/5 * * * *; @every 1h"), ("schedule.missed", "run-once")]).await;
    house.deploy(Mode::Create, "a", &[("schedule", "@daily"), ("schedule.overlap", "skip")]).await;
    house.pass(5).await;
    let listed = house.listed();
    let told: Vec<_> = listed
        .iter()
        .map(|one| {
            let next = one.next.map(|next| next.strftime("%d %H:%M:%S").to_string());
            (one.function.name.to_string(), one.schedule.as_str(), next.unwrap_or_default(), one.last_call.as_deref())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("a".to_owned(), "@daily", "28 00:00:00".to_owned(), None),
            ("b".to_owned(), "*/5 * * * *", "27 10:10:00".to_owned(), Some("call-1")),
            ("b".to_owned(), "@every 1h", "27 11:00:30".to_owned(), None),
        ]
    );
    assert_eq!((listed[0].missed_rule, listed[0].overlap), (Missed::None, Overlap::Skip));
    assert_eq!((listed[1].missed_rule, listed[1].overlap), (Missed::RunOnce, Overlap::Allow));
    assert_eq!(listed[1].last.map(|last| last.strftime("%H:%M").to_string()).as_deref(), Some("10:05"));
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_the_machine_does_not_know_is_told_and_holds_up_no_other() {
    let house = House::at(MORNING);
    house.scheduled("lost", "CRON_TZ=Mars/Olympus * * * * *; * * * * *").await;
    house.pass(1).await;
    assert_eq!(house.due("lost"), minutes("10:01", "10:01", 1));
    let listed = house.listed();
    assert!(listed[0].note.as_deref().is_some_and(|note| note.contains("Mars/Olympus")), "{listed:?}");
    assert_eq!(listed[1].note, None);
}

#[tokio::test(start_paused = true)]
async fn the_series_of_a_function_go_with_it() {
    let house = House::at(MORNING);
    house.scheduled("often", "* * * * *").await;
    house.pass(3).await;
    assert!((house.metric("actord_cron_fired_total") - 3.0).abs() < f64::EPSILON);
    house.engine.delete(&id("often")).await.unwrap();
    house.pass_seconds(1).await;
    assert!(house.metric("actord_cron_fired_total").abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn more_than_a_thousand_that_were_missed_are_told_as_so_many_or_more() {
    let mut house = House::at(MORNING);
    house.scheduled("often", "* * * * *").await;
    house.stop().await;
    house.pass(3 * 24 * 60).await;
    house.start();
    house.pass_seconds(1).await;
    assert_eq!(house.listed()[0].missed, MOST_COUNTED);
    assert_eq!(house.due("often").len(), 2, "those of the last two minutes fire");
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_of_functions_that_went_while_actord_was_down_is_forgotten_an_hour_after_the_start() {
    for others in [true, false] {
        let mut house = House::at(MORNING);
        house.scheduled("gone", "* * * * *; @daily").await;
        if others {
            house.scheduled("stays", "0 12 * * *").await;
        }
        house.pass(1).await;
        house.stop().await;
        house.engine.delete(&id("gone")).await.unwrap();
        house.start();
        house.pass(59).await;
        assert_eq!(house.calls.known().len(), 2 + usize::from(others), "it might have come back");
        house.pass(2).await;
        let known = house.calls.known();
        assert!(known.iter().all(|known| known.key.function == id("stays")), "{known:?}");
        assert_eq!(known.len(), usize::from(others));
        house.pass(120).await;
        house.calls.forget_calls();
        house.scheduled("gone", "* * * * *; @daily").await;
        house.pass(2).await;
        assert_eq!(house.due("gone").len(), 2, "and begins anew when it is deployed again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_of_a_function_that_comes_back_within_the_hour_goes_on() {
    let mut house = House::at(MORNING);
    house.deploy(Mode::Create, "back", &[("schedule", "* * * * *"), ("schedule.missed", "run-once")]).await;
    house.pass(1).await;
    house.stop().await;
    house.engine.delete(&id("back")).await.unwrap();
    house.start();
    house.pass(30).await;
    house.deploy(Mode::Create, "back", &[("schedule", "* * * * *"), ("schedule.missed", "run-once")]).await;
    house.pass(60).await;
    // Of thirty that came meanwhile the last two fire as they are, and one for all others.
    assert_eq!((house.listed()[0].missed, house.calls.known().len()), (30 - 3, 1));
}
