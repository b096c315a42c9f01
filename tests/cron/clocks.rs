//! Clocks that are set.

use jiff::SignedDuration;

use crate::house::{House, MORNING, minutes};

#[tokio::test(start_paused = true)]
async fn a_jump_back_of_two_hours_fires_nothing_twice() {
    let house = House::at(MORNING);
    house.scheduled("often", "*/10 * * * *").await;
    house.pass(60).await;
    assert_eq!(house.due("often"), minutes("10:10", "11:00", 10));
    house.set_clock(SignedDuration::from_hours(-2));
    house.pass(115).await;
    assert_eq!(house.due("often"), minutes("10:10", "11:00", 10), "the clock has not come to where it was");
    house.pass(20).await;
    assert_eq!(house.due("often"), minutes("10:10", "11:10", 10));
    assert!((house.metric("actord_cron_clock_jumps_total") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_jump_back_of_more_begins_anew() {
    let house = House::at(MORNING);
    house.scheduled("often", "*/10 * * * *").await;
    house.scheduled("every", "@every 15m").await;
    house.pass(60).await;
    house.calls.forget_calls();
    house.set_clock(SignedDuration::from_hours(-4));
    house.pass(31).await;
    assert_eq!(house.due("often"), minutes("07:10", "07:30", 10));
    assert_eq!(house.due("every").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_years_ahead_at_an_earlier_start_holds_up_nothing() {
    let mut house = House::at("2036-01-01T00:00:30Z");
    house.scheduled("often", "*/10 * * * *").await;
    house.pass(11).await;
    house.stop().await;
    house.calls.forget_calls();
    house.set_clock(MORNING.parse::<jiff::Timestamp>().unwrap().duration_since(house.now()));
    house.start();
    house.pass(20).await;
    assert_eq!(house.due("often"), minutes("10:10", "10:20", 10));
}

#[tokio::test(start_paused = true)]
async fn a_jump_forward_is_as_time_that_actord_was_down() {
    let house = House::at(MORNING);
    house.scheduled("often", "*/10 * * * *").await;
    house.pass(10).await;
    house.set_clock(SignedDuration::from_mins(55));
    house.pass(4).await;
    assert_eq!(house.due("often"), minutes("10:10", "10:10", 1));
    assert_eq!(house.listed()[0].missed, 5);
    house.pass(1).await;
    assert_eq!(house.due("often"), [minutes("10:10", "10:10", 1), minutes("11:10", "11:10", 1)].concat());
}

#[tokio::test(start_paused = true)]
async fn before_the_programs_date_nothing_fires() {
    let house = House::at("1970-01-01T00:00:00Z");
    house.scheduled("often", "* * * * *").await;
    house.pass(30).await;
    assert_eq!(house.calls.fired(), Vec::new());
    let listed = house.listed();
    assert!(
        listed[0].note.as_deref().is_some_and(|note| note.contains("clock")) && listed[0].next.is_none(),
        "{listed:?}"
    );
    house.set_clock(MORNING.parse::<jiff::Timestamp>().unwrap().duration_since(house.now()));
    house.pass(2).await;
    assert_eq!(house.due("often"), minutes("10:01", "10:02", 1), "and then from when it was set");
}
