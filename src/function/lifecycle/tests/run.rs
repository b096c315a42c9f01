//! Running: crashes, scaling, deletion, and tear-downs that fail.

use super::*;

#[test]
fn a_crash_after_a_stable_run_is_answered_at_once() {
    let (mut heart, ids) = Heart::serving("a", 1);
    let effects = heart.crash(&ids[0]);
    assert_eq!(effects[..2], [Effect::Retract(ids[0].clone()), Effect::TearDown(ids[0].clone())]);
    assert_eq!(brought_up(&effects), [Generation(1)]);
    assert_eq!(heart.status().restarts, 1);
}

#[test]
fn a_crash_soon_after_the_start_waits_for_the_backoff() {
    let mut heart = Heart::new();
    heart.apply("a");
    let id = heart.starting();
    heart.start(&id);
    let effects = heart.crash(&id);
    assert_eq!(effects[..2], [Effect::Retract(id.clone()), Effect::TearDown(id)]);
    assert_eq!(brought_up(&effects), []);
    assert_eq!(heart.status().failure.unwrap().reason, "the process exited with code 1");
    assert!(retry(&effects).is_some());
    assert_eq!(brought_up(&heart.wait(1)), [Generation(1)]);
}

#[test]
fn an_exit_that_overtakes_its_start_is_a_failed_start() {
    let mut heart = Heart::new();
    heart.apply("a");
    let id = heart.starting();
    assert_eq!(heart.crash(&id)[0], Effect::TearDown(id.clone()));
    let late = heart.start(&id);
    assert!(!late.contains(&Effect::Publish(id, address())), "{late:?}");
}

#[test]
fn a_timer_that_comes_too_early_is_set_again() {
    let mut heart = Heart::new();
    heart.apply("a");
    let id = heart.starting();
    heart.fail(&id, not_now());
    let effects = heart.on(Event::RetryDue);
    assert!(retry(&effects).is_some(), "{effects:?}");
    assert_eq!(brought_up(&effects), []);
}

#[test]
fn one_timer_is_enough() {
    let mut heart = Heart::new();
    heart.apply("a");
    let id = heart.starting();
    heart.fail(&id, not_now());
    assert_eq!(retry(&heart.removed(&id)), None);
    assert_eq!(retry(&heart.on(Event::Scale(2))), None);
}

#[test]
fn scaling_up_starts_what_is_missing_and_scaling_down_drains_the_youngest() {
    let (mut heart, old) = Heart::serving("a", 1);
    assert_eq!(brought_up(&heart.on(Event::Scale(3))).len(), 2);
    for id in heart.in_phase(InstancePhase::Starting) {
        heart.start(&id);
    }
    assert_eq!(heart.outcome(), Outcome::Ready);
    heart.on(Event::Scale(1));
    assert_eq!(heart.in_phase(InstancePhase::Ready), old);
    assert_eq!(heart.in_phase(InstancePhase::Draining).len(), 2);
}

#[test]
fn scaling_down_gives_up_starts_before_it_touches_what_serves() {
    let (mut heart, old) = Heart::serving("a", 1);
    heart.on(Event::Scale(2));
    let starting = heart.starting();
    assert_eq!(heart.on(Event::Scale(1)), [Effect::TearDown(starting)]);
    assert_eq!(heart.in_phase(InstancePhase::Ready), old);
}

#[test]
fn scaling_to_zero_drains_all_and_is_no_failure() {
    let (mut heart, ids) = Heart::serving("a", 2);
    heart.on(Event::Scale(0));
    assert_eq!(heart.in_phase(InstancePhase::Draining).len(), 2);
    assert_eq!((heart.status().phase, heart.outcome()), (Phase::Stopped, Outcome::Ready));
    heart.crash(&ids[0]);
    assert_eq!(heart.wait(600), [], "a draining instance that dies is not replaced");
}

#[test]
fn a_draining_instance_that_exits_is_torn_down_once() {
    let (mut heart, ids) = Heart::serving("a", 1);
    heart.on(Event::Scale(0));
    assert_eq!(heart.crash(&ids[0]), [Effect::TearDown(ids[0].clone())]);
    assert_eq!(heart.on(Event::Drained(ids[0].clone())), []);
}

/// One instance in each phase that an instance can be in.
fn one_in_each_phase() -> Vec<(Heart, InstanceId)> {
    let starting = {
        let mut heart = Heart::new();
        heart.apply("a");
        let id = heart.starting();
        (heart, id)
    };
    let serving = |then: fn(&mut Heart, &InstanceId)| {
        let (mut heart, ids) = Heart::serving("a", 1);
        then(&mut heart, &ids[0]);
        (heart, ids[0].clone())
    };
    let ready = serving(|_, _| ());
    let draining = serving(|heart, _| drop(heart.on(Event::Scale(0))));
    let removing = serving(|heart, id| {
        heart.on(Event::Scale(0));
        heart.on(Event::Drained(id.clone()));
    });
    let adopting = {
        let (desired, id) = (serving(|_, _| ()).0.desired().clone(), "f-1".parse::<InstanceId>().unwrap());
        let found = Observed { id: id.clone(), generation: Generation(1), state: ObservedState::Running };
        let (life, _) = Lifecycle::recover(&"f".parse().unwrap(), 2, Some(desired), vec![found], Uptime::default());
        (Heart { life, now: Uptime::default() }, id)
    };
    vec![starting, ready, draining, removing, adopting]
}

#[test]
fn a_deletion_in_any_phase_ends_with_gone() {
    for (mut heart, id) in one_in_each_phase() {
        let mut effects = heart.on(Event::Delete);
        assert_eq!(heart.status().phase, Phase::Deleting);
        assert!(!effects.contains(&Effect::Gone));
        effects = heart.on(Event::Drained(id.clone()));
        assert!(!effects.contains(&Effect::Gone));
        assert_eq!(heart.removed(&id), [Effect::Gone]);
        assert_eq!(heart.wait(600), [], "and it is said once");
    }
}

#[test]
fn a_deletion_while_the_function_backs_off_is_gone_at_once() {
    let mut heart = Heart::new();
    heart.apply("a");
    let id = heart.starting();
    heart.fail(&id, not_now());
    heart.removed(&id);
    assert_eq!(heart.on(Event::Delete), [Effect::Gone]);
}

#[test]
fn a_name_is_free_while_its_old_instance_is_on_its_way_out() {
    for (mut heart, id) in one_in_each_phase() {
        heart.on(Event::Delete);
        let effects = heart.apply("a");
        assert_eq!(brought_up(&effects), [Generation(2)], "higher than what is on its way out");
        let new = heart.starting();
        heart.start(&new);
        heart.on(Event::Drained(id.clone()));
        assert_eq!(heart.removed(&id), [], "not gone: it was deployed again");
        assert_eq!(heart.in_phase(InstancePhase::Ready), [new]);
    }
}

#[test]
fn a_tear_down_that_fails_is_tried_again_with_growing_pauses() {
    let (mut heart, ids) = Heart::serving("a", 1);
    heart.on(Event::Delete);
    heart.on(Event::Drained(ids[0].clone()));
    for pause in [1, 2, 4, 8, 16, 32, 64, 64] {
        let effects = heart.on(Event::RemoveFailed(ids[0].clone(), "busy".into()));
        assert_eq!(effects, [Effect::RetryAfter(Duration::from_secs(pause))]);
        assert_eq!(heart.wait(pause), [Effect::TearDown(ids[0].clone())]);
    }
    assert_eq!(heart.removed(&ids[0]), [Effect::Gone]);
}

#[test]
fn what_nobody_knows_and_could_not_be_removed_is_torn_down_until_it_is() {
    let mut heart = Heart::new();
    let id: InstanceId = "f-1".parse().unwrap();
    heart.on(Event::RemoveFailed(id.clone(), "busy".into()));
    assert_eq!(heart.wait(1), [Effect::TearDown(id)]);
}

#[test]
fn news_told_twice_change_nothing_the_second_time() {
    let (mut heart, ids) = Heart::serving("a", 1);
    assert_eq!(heart.start(&ids[0]), []);
    heart.crash(&ids[0]);
    assert_eq!(heart.crash(&ids[0]), []);
    assert_eq!(heart.status().restarts, 1);
    heart.removed(&ids[0]);
    assert_eq!(heart.removed(&ids[0]), []);
    assert_eq!(heart.crash(&ids[0]), []);
}
