//! A due time makes one call, whatever ends in between.

use actord::engine::{Engine as _, Mode};

use crate::house::{House, MORNING, id, minutes};
use crate::kept::Disk;

#[tokio::test(start_paused = true)]
async fn a_schedule_fires_at_its_times_from_its_deploy_on() {
    let house = House::at(MORNING);
    house.scheduled("often", "*/5 * * * *").await;
    house.scheduled("hourly", "@hourly").await;
    house.scheduled("every", "@every 20m").await;
    house.pass(60).await;
    assert_eq!(house.due("often"), minutes("10:05", "11:00", 5));
    assert_eq!(house.due("hourly"), minutes("11:00", "11:00", 60));
    assert_eq!(house.due("every"), ["2026-11-27T10:20:30Z", "2026-11-27T10:40:30Z", "2026-11-27T11:00:30Z"]);
}

#[tokio::test(start_paused = true)]
async fn each_due_time_fires_once_over_restarts() {
    let mut house = House::at(MORNING);
    house.scheduled("often", "* * * * *").await;
    house.scheduled("every", "@every 7s").await;
    for round in 0..40 {
        house.pass_seconds(13 + round * 3).await;
        house.stop().await;
        house.pass_seconds(round * 2).await;
        house.start();
    }
    house.pass_seconds(60).await;
    let now = house.now().strftime("%H:%M").to_string();
    assert_eq!(house.due("often"), minutes("10:01", &now, 1));
    let every = house.due("every");
    let seconds = house.now().as_second() - "2026-11-27T10:00:30Z".parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(every.len() as i64, seconds / 7);
    assert!(every.windows(2).all(|pair| pair[0] < pair[1]), "each later than the one before");
    assert!(house.calls.known().iter().all(|known| known.missed == 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_kept_while_nobody_was_told_is_made_once() {
    let mut house = House::at(MORNING);
    house.scheduled("often", "* * * * *").await;
    house.calls.disk(Disk::LosesAnswers);
    house.pass(1).await;
    assert_eq!(house.due("often"), minutes("10:01", "10:01", 1));
    house.stop().await;
    house.calls.disk(Disk::Well);
    house.start();
    house.pass(1).await;
    assert_eq!(house.due("often"), minutes("10:01", "10:02", 1));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_kept_fires_late_and_once() {
    let house = House::at(MORNING);
    house.scheduled("often", "* * * * *").await;
    house.calls.disk(Disk::Full);
    house.pass_seconds(60).await;
    assert_eq!(house.due("often"), Vec::<String>::new());
    assert_eq!(house.listed()[0].note.as_deref(), Some("the disk is full"));
    house.calls.disk(Disk::Well);
    house.pass_seconds(2).await;
    assert_eq!(house.due("often"), minutes("10:01", "10:01", 1));
    assert_eq!(house.listed()[0].note, None);
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_it_goes_on_from_what_is_remembered() {
    let house = House::at(MORNING);
    house.scheduled("often", "* * * * *").await;
    house.pass(1).await;
    house.calls.disk(Disk::Panics);
    house.pass(2).await;
    assert_eq!(house.due("often"), minutes("10:01", "10:03", 1));
    assert!((house.metric("actord_cron_restarts_total") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn many_functions_that_are_due_in_the_same_minute_all_fire() {
    let house = House::at(MORNING);
    for number in 0..200 {
        house.scheduled(&format!("f{number}"), "*/2 * * * *").await;
    }
    house.calls.forget_calls();
    house.pass(4).await;
    assert_eq!(house.calls.fired().len(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_deleted_and_made_anew_fires_nothing_twice() {
    let house = House::at(MORNING);
    house.scheduled("often", "* * * * *").await;
    house.pass_seconds(31).await;
    house.engine.delete(&id("often")).await.unwrap();
    house.pass_seconds(1).await;
    assert!(house.calls.known().is_empty(), "what is gone is forgotten");
    house.deploy(Mode::Create, "often", &[("schedule", "* * * * *")]).await;
    house.pass(1).await;
    assert_eq!(house.due("often"), minutes("10:01", "10:02", 1));
}
