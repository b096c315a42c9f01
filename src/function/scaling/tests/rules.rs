//! From load to a number: targets, several of them, steps, bounds, the way down.

use std::time::Duration;

use super::*;

#[test]
fn a_load_that_lasts_is_followed_at_the_second_look_and_one_that_does_not_counts_for_a_fifth() {
    let mut function = Function::new(&[("type", "capacity"), ("target", "2"), ("target-proportion", "1")], 1);
    function.in_flight(1, 10);
    assert_eq!(function.in_flight(20, 3), [3, 10, 10]);
    assert_eq!(function.reason(), "20 requests in flight, 2 a replica wanted");
    let mut function = Function::new(&[("type", "capacity"), ("target", "2")], 1);
    function.in_flight(0, 10);
    function.in_flight(8, 1);
    assert_eq!(function.in_flight(0, 10), [1; 10]);
}

#[test]
fn each_type_has_its_own_unit_and_the_usual_target_is_fifty_of_which_nine_tenths_are_planned_with() {
    let mut function = Function::new(&[("type", "rps")], 1);
    function.calls(0, 5);
    assert_eq!(function.calls(450, 6).last(), Some(&10));
    assert_eq!(function.reason(), "450 calls a second, 45 a replica wanted");

    let mut function = Function::new(&[("type", "cpu"), ("target", "700"), ("target-proportion", "1")], 1);
    for second in 0..20 {
        function.seen.counters.cpu = Some(Duration::from_millis(2_000 * second));
        function.look();
    }
    assert_eq!(function.seen.running, 3);
    assert_eq!(function.last.unwrap().load.map(|load| (load.total, load.each)), Some((2000.0, 700.0)));
}

#[test]
fn requests_that_wait_for_an_instance_count_as_those_in_flight() {
    let mut function = Function::new(&[("type", "capacity"), ("target", "5"), ("target-proportion", "1")], 1);
    function.seen.counters.parked = 60;
    assert_eq!(function.in_flight(0, 6).last(), Some(&12));
}

#[test]
fn of_several_types_the_one_that_wants_the_most_holds() {
    let keys = [("type", "rps,capacity"), ("target", "10,1"), ("target-proportion", "1")];
    let mut function = Function::new(&keys, 1);
    function.seen.counters.in_flight = 3;
    function.calls(10, 10);
    assert_eq!((function.seen.running, function.reason()), (3, "3 requests in flight, 1 a replica wanted".to_owned()));
    function.calls(70, 10);
    assert_eq!((function.seen.running, function.reason()), (7, "70 calls a second, 10 a replica wanted".to_owned()));
}

#[test]
fn no_load_goes_beyond_the_bounds() {
    let mut function = Function::new(&[("type", "capacity"), ("target", "1"), ("min", "2"), ("max", "6")], 2);
    assert_eq!(function.in_flight(1_000_000, 10).last(), Some(&6));
    assert_eq!(function.in_flight(0, 200).last(), Some(&2));
}

#[test]
fn replicas_go_when_no_more_were_needed_for_the_whole_window() {
    let mut function = Function::new(&[("type", "capacity"), ("target", "1"), ("target-proportion", "1")], 1);
    function.in_flight(8, 10);
    let down = function.in_flight(3, 80);
    let kept = down.iter().filter(|running| **running == 8).count();
    assert_eq!((kept, down.last()), (59, Some(&3)), "{down:?}");
    assert_eq!(function.reason(), "3 requests in flight, 1 a replica wanted");

    // A load that comes back within the window finds its replicas.
    function.in_flight(8, 10);
    for _ in 0..20 {
        assert_eq!(function.in_flight(0, 50), [8; 50]);
        assert_eq!(function.in_flight(8, 5), [8; 5]);
    }
}

#[test]
fn a_function_may_have_a_window_of_its_own_also_none() {
    for (window, most) in [("5s", 10), ("0", 6)] {
        let keys = [("type", "capacity"), ("target", "1"), ("target-proportion", "1"), ("down.window", window)];
        let mut function = Function::new(&keys, 1);
        function.in_flight(8, 10);
        let down = function.in_flight(0, 30);
        assert!(down.iter().position(|running| *running == 1).unwrap() <= most, "{window}: {down:?}");
    }
}

#[test]
fn without_a_target_a_step_is_made_above_five_calls_a_second_each_and_it_falls_back_after_half_a_minute() {
    let mut function = Function::new(&[("min", "1"), ("max", "2")], 1);
    function.calls(0, 30);
    let up = function.calls(10, 60);
    assert!(up.iter().position(|running| *running == 2).unwrap() < 15, "{up:?}");
    assert_eq!(up.last(), Some(&2), "five each are not more than five, and too many for one alone");
    let down = function.calls(0, 60);
    let kept = down.iter().filter(|running| **running == 2).count();
    assert!((30..45).contains(&kept), "{down:?}");
    assert_eq!(down.last(), Some(&1));
}

#[test]
fn steps_are_of_the_factor_and_end_at_the_usual_most() {
    let mut function = Function::new(&[("min", "1"), ("max", "20"), ("factor", "25")], 1);
    let mut sizes = function.calls(1_000, 60);
    sizes.dedup();
    assert_eq!(sizes, [1, 6, 11, 16, 20]);
    let mut function = Function::new(&[("min", "2"), ("max", "5")], 2);
    let mut sizes = function.calls(22, 90);
    sizes.dedup();
    assert_eq!(sizes, [2, 3, 4, 5]);
}

#[test]
fn the_same_fewest_and_most_switch_it_off_and_so_does_having_no_key() {
    for keys in [
        &[("min", "2"), ("max", "2"), ("type", "capacity"), ("target", "1")][..],
        &[("min", "2")],
        &[("type", "queue")],
    ] {
        let mut function = Function::new(keys, 3);
        assert_eq!(function.in_flight(100, 100), [3; 100], "{keys:?}");
        assert_eq!(function.last, None);
    }
}

#[test]
fn cpu_that_can_not_be_read_takes_nothing_away_and_adds_nothing() {
    let mut function = Function::new(&[("type", "cpu"), ("target", "100")], 3);
    assert_eq!(function.calls(1_000, 200), [3; 200]);
    assert!(Autoscaler::needs_cpu(&function.scaling) && !Autoscaler::needs_cpu(&scaling(&[("type", "rps")])));
}
