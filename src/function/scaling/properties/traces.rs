//! Days of a function in simulated time, with the loop closed: what is decided becomes what serves. Bounds on replicas, on
//! changes and on the time to react.

use super::config::Config;
use super::world::World;
use crate::function::scaling::tests::scaling;

/// A function that answers one call at a time, 20 ms each; a start takes 300 ms.
fn one_at_a_time(keys: &[(&str, &str)]) -> Config {
    Config { scaling: scaling(keys), service: 0.02, slots: 1.0, cost: 0.01, every: 1_000, start: 300, lag: 100 }
}

const ONE_EACH: [(&str, &str); 3] = [("type", "capacity"), ("target", "1"), ("max", "12")];

/// So many seconds with calls a second that a function of the second gives; what served at the end of each.
fn run(world: &mut World, seconds: u32, rate: impl Fn(f64) -> f64) -> Vec<u32> {
    let second = |at: u32| {
        world.rate = rate(f64::from(at));
        world.live(1_000).unwrap();
        world.ready
    };
    (0..seconds).map(second).collect()
}

#[test]
fn a_ramp_up_and_down_is_followed_both_ways_and_no_caller_waits_for_long() {
    let mut world = World::new(one_at_a_time(&ONE_EACH));
    run(&mut world, 10, |_| 0.0);
    let mut longest = 0.0_f64;
    for second in 0..60 {
        run(&mut world, 1, |_| 400.0 * f64::from(second) / 60.0);
        longest = longest.max(world.backlog);
    }
    let top = run(&mut world, 30, |_| 400.0);
    assert!(top.iter().all(|ready| (9..=12).contains(ready)), "{top:?}");
    assert!(longest < 60.0, "{longest} callers waited");
    let down = run(&mut world, 60, |second| 400.0 - 400.0 * second / 60.0);
    let after = run(&mut world, 90, |_| 0.0);
    assert!(down.windows(2).chain(after.windows(2)).all(|pair| pair[0] >= pair[1]), "{down:?} {after:?}");
    assert_eq!(after.last(), Some(&1));
    assert!(world.changes.len() <= 30, "{:?}", world.changes);
}

#[test]
fn a_spike_has_its_replicas_after_three_seconds_and_gives_them_back_after_the_window() {
    let mut world = World::new(one_at_a_time(&[("type", "rps"), ("target", "20"), ("max", "12")]));
    run(&mut world, 30, |_| 10.0);
    let spike = run(&mut world, 20, |_| 190.0);
    assert!(spike[..3].iter().all(|ready| *ready <= 11) && spike[3..].iter().all(|ready| *ready == 11), "{spike:?}");
    let after = run(&mut world, 80, |_| 10.0);
    let kept = after.iter().filter(|ready| **ready == 11).count();
    assert!((55..=66).contains(&kept), "{kept}: {after:?}");
    assert_eq!(after.last(), Some(&1));
    assert!(world.changes.len() <= 9, "{:?}", world.changes);
}

#[test]
fn a_square_wave_that_is_shorter_than_the_window_is_answered_by_one_number() {
    let mut world = World::new(one_at_a_time(&[("type", "rps"), ("target", "20"), ("max", "12")]));
    let wave = |second: f64| if second % 60.0 < 30.0 { 190.0 } else { 10.0 };
    run(&mut world, 60, wave);
    let changes = world.changes.len();
    let hour = run(&mut world, 3_600, wave);
    assert!(hour.iter().all(|ready| *ready == 11));
    assert_eq!(world.changes.len(), changes, "no change in an hour");
    // One that is longer costs two crossings a period, of a few changes each.
    let mut world = World::new(one_at_a_time(&[("type", "rps"), ("target", "20"), ("max", "12")]));
    run(&mut world, 3_600, |second| if second % 600.0 < 300.0 { 190.0 } else { 10.0 });
    assert!((12..=100).contains(&world.changes.len()), "{}", world.changes.len());
}

#[test]
fn in_the_night_the_fewest_run_and_nothing_changes() {
    let mut world = World::new(one_at_a_time(&[("type", "rps"), ("target", "20"), ("min", "2"), ("max", "12")]));
    run(&mut world, 600, |_| 100.0);
    assert_eq!(world.ready, 6);
    let changes = world.changes.len();
    let night = run(&mut world, 8 * 3_600, |_| 0.0);
    assert!(night[70..].iter().all(|ready| *ready == 2));
    assert!(world.changes.len() - changes <= 6, "{:?}", &world.changes[changes..]);
    let morning = run(&mut world, 10, |_| 100.0);
    assert!(morning[3..].iter().all(|ready| *ready == 6), "{morning:?}");
}

/// Numbers between 0 and 1 that look random and are the same in every run.
fn noise(seed: u32) -> f64 {
    let mixed = seed.wrapping_mul(0x9E37_79B9) ^ (seed >> 3).wrapping_mul(0x85EB_CA6B);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0xC2B2_AE35);
    f64::from(mixed ^ (mixed >> 13)) / f64::from(u32::MAX)
}

#[test]
fn noise_around_a_load_makes_few_changes() {
    // 81 calls a second need 5 of 18 each; they come as 40 to 120 in each second.
    let mut world = World::new(one_at_a_time(&[("type", "rps"), ("target", "20"), ("max", "12")]));
    let noisy = |second: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let seed = second as u32;
        81.0 + 80.0 * (noise(seed) - 0.5)
    };
    run(&mut world, 120, noisy);
    let changes = world.changes.len();
    let hour = run(&mut world, 3_600, noisy);
    assert!(hour.iter().all(|ready| (5..=7).contains(ready)), "{:?}", hour.iter().max());
    assert!(world.changes.len() - changes <= 60, "{} changes in an hour", world.changes.len() - changes);
}

#[test]
fn calls_that_come_in_batches_are_no_reason_to_flap() {
    let mut world = World::new(one_at_a_time(&[("type", "rps"), ("target", "20"), ("max", "12")]));
    let batches = |second: f64| if second % 5.0 < 1.0 { 200.0 } else { 0.0 };
    run(&mut world, 120, batches);
    let changes = world.changes.len();
    let hour = run(&mut world, 3_600, batches);
    assert!(hour.iter().all(|ready| *ready == 3), "40 a second on average: {:?}", hour.iter().max());
    assert_eq!(world.changes.len(), changes);
}

#[test]
fn a_herd_that_waits_after_a_reboot_has_its_replicas_after_three_looks() {
    let mut world = World::new(Config { start: 4_000, ..one_at_a_time(&ONE_EACH) });
    world.ready = 0;
    world.backlog = 400.0;
    let herd = run(&mut world, 30, |_| 300.0);
    assert_eq!(herd[..4], [0; 4], "the first one starts");
    let all = herd.iter().position(|ready| *ready == 12).unwrap();
    assert!(all <= 8, "they were asked for while the first one started: {herd:?}");
    assert_eq!(herd.last(), Some(&12));
}

#[test]
fn two_callers_of_five_calls_a_second_each_reach_two_replicas_within_a_minute_and_it_falls_back() {
    // As the field's suite has it: labels min 1 and max 2 alone.
    let mut world = World::new(one_at_a_time(&[("min", "1"), ("max", "2")]));
    let up = run(&mut world, 60, |_| 10.0);
    assert!(up.contains(&2), "{up:?}");
    let down = run(&mut world, 60, |_| 0.0);
    assert_eq!(down.last(), Some(&1), "{down:?}");
    let mut world = World::new(one_at_a_time(&[("min", "2"), ("max", "2")]));
    assert_eq!(run(&mut world, 120, |_| 100.0), [2; 120], "the same fewest and most switch it off");
}

#[test]
fn cpu_that_grows_with_the_replicas_comes_to_rest() {
    let keys = [("type", "cpu"), ("target", "500"), ("max", "12")];
    let mut world = World::new(Config { start: 3_000, ..one_at_a_time(&keys) });
    // 180 calls of 10 ms of cpu: 1.8 cores, 4 replicas of 450; one alone answers 50.
    let up = run(&mut world, 600, |_| 180.0);
    assert!(up[30..].iter().all(|ready| (4..=6).contains(ready)), "{up:?}");
    assert!(up[200..].iter().all(|ready| *ready == 4), "{up:?}");
    assert!(world.changes.len() <= 6, "{:?}", world.changes);
}
