//! Due times that passed while nothing could fire, and those that are left out.

use actord::engine::{Engine as _, Mode};

use crate::house::{House, MORNING, id, minutes};

const RUN_ONCE: (&str, &str) = ("schedule.missed", "run-once");

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_down_is_counted_and_runs_once_where_asked() {
    let mut house = House::at(MORNING);
    house.scheduled("counted", "0 * * * *").await;
    house.deploy(Mode::Create, "once", &[("schedule", "0 * * * *"), RUN_ONCE]).await;
    house.stop().await;
    house.pass(4 * 60 + 10).await;
    house.start();
    house.pass(1).await;
    assert_eq!(house.due("counted"), Vec::<String>::new());
    assert_eq!(house.due("once"), minutes("14:00", "14:00", 60));
    let missed: Vec<_> =
        house.listed().iter().map(|listed| (listed.function.name.to_string(), listed.missed)).collect();
    assert_eq!(missed, [("counted".to_owned(), 4), ("once".to_owned(), 3)]);
    assert!((house.metric("actord_cron_missed_total") - 7.0).abs() < f64::EPSILON);
    house.stop().await;
    house.start();
    house.pass(60).await;
    assert_eq!(house.due("counted"), minutes("15:00", "15:00", 60));
    assert_eq!(house.due("once"), minutes("14:00", "15:00", 60), "a second start owes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_a_minute_loses_nothing() {
    let mut house = House::at(MORNING);
    house.scheduled("nightly", "1 10 * * *").await;
    house.stop().await;
    house.pass_seconds(100).await;
    house.start();
    house.pass_seconds(1).await;
    assert_eq!(house.due("nightly"), minutes("10:01", "10:01", 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_fires_while_its_function_is_kept_down_and_it_counts_as_missed() {
    let house = House::at(MORNING);
    house.scheduled("often", "* * * * *").await;
    house.deploy(Mode::Create, "once", &[("schedule", "* * * * *"), RUN_ONCE]).await;
    for name in ["often", "once"] {
        house.engine.keep_down(&id(name), true).await.unwrap();
    }
    house.pass(10).await;
    assert_eq!(house.calls.fired(), Vec::new());
    let listed = house.listed();
    assert!(listed[0].note.as_deref().is_some_and(|note| note.contains("kept down")), "{listed:?}");
    for name in ["often", "once"] {
        house.engine.keep_down(&id(name), false).await.unwrap();
    }
    house.pass_seconds(1).await;
    assert_eq!(house.due("often"), minutes("10:09", "10:10", 1), "those of the last two minutes");
    assert_eq!(house.due("once"), minutes("10:08", "10:10", 1));
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_asks_for_it_leaves_out_what_is_due_while_its_last_call_goes_on() {
    let house = House::at(MORNING);
    house.deploy(Mode::Create, "long", &[("schedule", "* * * * *"), ("schedule.overlap", "skip")]).await;
    house.pass(3).await;
    assert_eq!(house.due("long"), minutes("10:01", "10:01", 1));
    assert_eq!(house.listed()[0].skipped, 2);
    house.calls.end_all();
    house.pass(1).await;
    assert_eq!(house.due("long"), [minutes("10:01", "10:01", 1), minutes("10:04", "10:04", 1)].concat());
    assert!((house.metric("actord_cron_skipped_total") - 2.0).abs() < f64::EPSILON);
}
