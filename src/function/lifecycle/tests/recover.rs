//! Taking over after a restart or a panic.

use super::*;

fn found(id: &str, generation: u64, state: ObservedState) -> Observed {
    Observed { id: id.parse().unwrap(), generation: Generation(generation), state }
}

fn recover(desired: Option<Desired>, observed: Vec<Observed>) -> (Heart, Vec<Effect>) {
    let now = Uptime(Duration::from_secs(1));
    let (life, effects) = Lifecycle::recover(&"f".parse().unwrap(), 2, desired, observed, now);
    (Heart { life, now }, effects)
}

#[test]
fn what_runs_is_adopted_and_not_started_again() {
    let desired = Heart::serving("a", 2).0.desired().clone();
    let running = vec![found("f-1", 1, ObservedState::Running), found("f-2", 1, ObservedState::Running)];
    let (mut heart, effects) = recover(Some(desired.clone()), running);
    assert_eq!(effects.len(), 2);
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Adopt(_, Generation(1), _))), "{effects:?}");
    assert_eq!(heart.desired(), &desired);
    assert_eq!(heart.outcome(), Outcome::Pending, "nobody looked at them yet");
    for id in heart.in_phase(InstancePhase::Adopting) {
        assert_eq!(heart.start(&id), [Effect::Publish(id, address())]);
    }
    assert_eq!(heart.outcome(), Outcome::Ready);
}

#[test]
fn what_is_missing_is_started() {
    let desired = Heart::serving("a", 2).0.desired().clone();
    let (_, effects) = recover(Some(desired), vec![found("f-1", 1, ObservedState::Running)]);
    assert_eq!(brought_up(&effects), [Generation(1)]);
}

#[test]
fn remains_are_torn_down_and_replaced() {
    let desired = Heart::serving("a", 1).0.desired().clone();
    let (_, effects) = recover(Some(desired), vec![found("f-1", 1, ObservedState::Remains)]);
    let id: InstanceId = "f-1".parse().unwrap();
    assert_eq!(effects[..2], [Effect::Retract(id.clone()), Effect::TearDown(id)]);
    assert_eq!(brought_up(&effects), [Generation(1)]);
}

#[test]
fn strangers_are_drained_and_then_torn_down() {
    let (mut heart, effects) = recover(None, vec![found("f-1", 7, ObservedState::Running)]);
    let id: InstanceId = "f-1".parse().unwrap();
    assert_eq!(effects, [Effect::Retract(id.clone()), Effect::Drain(id.clone())]);
    assert_eq!(heart.on(Event::Drained(id.clone())), [Effect::TearDown(id.clone())]);
    assert_eq!(brought_up(&heart.apply("a")), [Generation(8)], "a number that no stranger carries");
    heart.on(Event::Delete);
    heart.removed(&id);
}

#[test]
fn an_instance_that_died_before_it_was_adopted_is_replaced_after_the_backoff() {
    let desired = Heart::serving("a", 1).0.desired().clone();
    let (mut heart, _) = recover(Some(desired), vec![found("f-1", 1, ObservedState::Running)]);
    let id: InstanceId = "f-1".parse().unwrap();
    let effects = heart.fail(&id, not_now());
    assert_eq!(effects[..2], [Effect::Retract(id.clone()), Effect::TearDown(id)]);
    assert_eq!(brought_up(&heart.wait(1)), [Generation(1)]);
}

#[test]
fn in_the_middle_of_an_update_the_old_serves_until_the_new_does() {
    let (mut before, _) = Heart::serving("a", 1);
    before.apply("b");
    let running = vec![found("f-1", 1, ObservedState::Running), found("f-2", 2, ObservedState::Running)];
    let (mut heart, effects) = recover(Some(before.desired().clone()), running);
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::Adopt(..))).count(), 2);
    let (old, new): (InstanceId, InstanceId) = ("f-1".parse().unwrap(), "f-2".parse().unwrap());
    heart.start(&old);
    assert_eq!(heart.in_phase(InstancePhase::Ready), std::slice::from_ref(&old));
    heart.start(&new);
    assert_eq!(heart.in_phase(InstancePhase::Draining), [old]);
}

#[test]
fn in_the_middle_of_rolling_replicas_what_serves_is_adopted_old_or_new() {
    let (mut before, _) = Heart::serving("a", 2);
    before.apply("b");
    let first = before.starting();
    before.start(&first);
    let running = vec![found("f-1", 1, ObservedState::Running), found("f-2", 2, ObservedState::Running)];
    let (heart, effects) = recover(Some(before.desired().clone()), running);
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Adopt(..))), "{effects:?}");
    assert_eq!(heart.in_phase(InstancePhase::Adopting).len(), 2);
}

#[test]
fn a_failed_update_stays_failed_and_the_last_good_one_is_started() {
    let (mut before, _) = Heart::serving("a", 1);
    before.apply("b");
    let id = before.starting();
    before.fail(&id, hopeless());
    let (heart, effects) = recover(Some(before.desired().clone()), vec![]);
    assert_eq!(brought_up(&effects), [Generation(1)]);
    assert_eq!(heart.status().phase, Phase::Failed);
    assert_eq!(heart.status().failure.unwrap().reason, "no such image");
}

#[test]
fn a_function_at_zero_stays_at_zero() {
    let (mut before, _) = Heart::serving("a", 1);
    before.on(Event::Scale(0));
    let (heart, effects) = recover(Some(before.desired().clone()), vec![]);
    assert_eq!((effects, heart.status().phase), (vec![], Phase::Stopped));
}
