//! Who else sets the number: operators, updates, restarts, zero, and a machine that can't carry it.

use std::time::Duration;

use super::*;

const ONE_EACH: [(&str, &str); 3] = [("type", "capacity"), ("target", "1"), ("target-proportion", "1")];

/// An operator sets the number.
fn scale(function: &mut Function, replicas: u32) {
    function.seen.asked = replicas;
    function.seen.running = replicas;
    function.seen.ready = replicas;
}

#[test]
fn a_number_that_is_set_by_hand_holds_for_the_window_up_and_down_and_the_load_counts_after_that() {
    for (by_hand, load, after) in [(9, 2, 2), (1, 6, 6), (30, 2, 2)] {
        let mut function = Function::new(&ONE_EACH, 2);
        function.in_flight(2, 100);
        scale(&mut function, by_hand);
        assert_eq!(function.in_flight(load, 60), [by_hand; 60], "{by_hand}");
        assert_eq!(function.reason(), "set by hand, the load counts again in 1 s");
        assert_eq!(function.in_flight(load, 1), [after], "{by_hand}");
    }
}

#[test]
fn setting_the_number_that_was_asked_for_before_is_setting_it_by_hand() {
    let mut function = Function::new(&ONE_EACH, 1);
    function.in_flight(6, 10);
    scale(&mut function, 1);
    assert_eq!(function.in_flight(6, 60), [1; 60]);
    assert_eq!(function.in_flight(6, 1), [6]);
}

#[test]
fn a_decision_that_is_not_carried_out_yet_is_no_operator() {
    let mut function = Function::new(&ONE_EACH, 1);
    function.in_flight(1, 10);
    function.seen.counters.in_flight = 4;
    for (load, running) in [(4, 1), (4, 1), (4, 1), (7, 1), (7, 4), (7, 4), (7, 7), (7, 7)] {
        function.seen.counters.in_flight = load;
        function.seen.running = running;
        function.look();
    }
    assert_eq!((function.seen.running, function.reason()), (7, "7 requests in flight, 1 a replica wanted".to_owned()));
    scale(&mut function, 4);
    function.look();
    assert!(function.reason().starts_with("set by hand"), "{}", function.reason());
}

#[test]
fn after_a_restart_what_runs_goes_on_within_the_bounds() {
    let mut function = Function::new(&ONE_EACH, 1);
    function.in_flight(8, 10);
    function.scaler = Autoscaler::default();
    assert_eq!(function.in_flight(3, 59), [8; 59]);
    assert_eq!(function.in_flight(3, 10).last(), Some(&3));
    let mut function = Function::new(&ONE_EACH, 30);
    assert_eq!(
        (function.in_flight(3, 1), function.reason()),
        (vec![20], "from 1 to 20 replicas are allowed".to_owned())
    );
}

#[test]
fn an_update_keeps_the_number_within_its_own_bounds() {
    let mut function = Function::new(&ONE_EACH, 1);
    function.in_flight(8, 10);
    function.seen.generation = Generation(2);
    function.seen.running = 1;
    function.seen.asked = 2;
    assert_eq!(function.in_flight(8, 10), [8; 10], "what a deploy asks for is no operator's number");
    function.seen.generation = Generation(3);
    function.scaling = scaling(&[("type", "capacity"), ("target", "1"), ("max", "5")]);
    assert_eq!((function.in_flight(8, 1), function.last.as_ref().unwrap().changed), (vec![5], true));
}

#[test]
fn what_is_at_zero_is_left_there_and_begins_anew_when_it_is_woken() {
    let mut function = Function::new(&ONE_EACH, 1);
    function.in_flight(8, 10);
    function.seen.running = 0;
    function.seen.ready = 0;
    assert_eq!(function.in_flight(8, 10), [0; 10]);
    assert_eq!(function.last, None);
    function.seen.running = 1;
    assert_eq!(function.in_flight(8, 4).last(), Some(&8));
}

#[test]
fn what_the_machine_can_not_carry_is_no_longer_asked_for_and_tried_again_later() {
    let mut function = Function::new(&ONE_EACH, 1);
    function.seen.counters.in_flight = 8;
    let mut asked = Vec::new();
    for second in 0..300 {
        if second == 120 {
            // There is room again.
            function.seen.failing = None;
        }
        function.look();
        let carried = if second < 120 { 3 } else { 100 };
        function.seen.ready = function.seen.running.min(carried);
        function.seen.failing =
            (function.seen.running > carried).then(|| "no address is left in 10.62.0.0/16".to_owned());
        asked.push(function.seen.running);
        if asked.ends_with(&[8, 3]) {
            let reason = function.reason();
            assert_eq!(reason, "no more can be started, tried again in 30 s: no address is left in 10.62.0.0/16");
        }
    }
    let beyond = asked[..120].iter().filter(|running| **running > 3).count();
    assert!((6..=20).contains(&beyond), "{asked:?}");
    assert_eq!(asked.last(), Some(&8), "{asked:?}");
}

#[test]
fn processes_that_are_busy_with_their_own_start_do_not_start_still_more() {
    let mut function = Function::new(&[("type", "cpu"), ("target", "500"), ("target-proportion", "1")], 1);
    let mut cpu = Duration::ZERO;
    let mut starting = 0;
    for second in 0..100 {
        // A second of a whole core each, when they start; then 600 milli-cores for the load.
        cpu += Duration::from_millis(600 + 2_000 * starting);
        function.seen.counters.cpu = Some(cpu);
        let ready = function.seen.running;
        function.look();
        starting = u64::from(function.seen.running.saturating_sub(ready));
        function.seen.ready = if starting > 0 { ready } else { function.seen.running };
        assert!(function.seen.running <= 2, "at {second}");
    }
    assert_eq!(function.seen.running, 2);
}
