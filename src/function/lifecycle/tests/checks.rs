//! Instances that are not ready for a while, and instances that are not well.

use super::*;

fn unready(heart: &mut Heart, id: &InstanceId) -> Vec<Effect> {
    heart.on(Event::Unready(id.clone(), "GET /ready: answered 503".into()))
}

fn ready(heart: &mut Heart, id: &InstanceId) -> Vec<Effect> {
    heart.on(Event::Ready(id.clone(), address()))
}

fn unhealthy(heart: &mut Heart, id: &InstanceId) -> Vec<Effect> {
    heart.on(Event::Unhealthy(id.clone(), "not well: GET /live: answered 500".into()))
}

#[test]
fn an_instance_that_is_not_ready_gets_no_requests_and_is_neither_drained_nor_replaced() {
    let (mut heart, ids) = Heart::serving("a", 1);
    assert_eq!(unready(&mut heart, &ids[0]), [Effect::Retract(ids[0].clone())]);
    let status = heart.status();
    assert_eq!((status.phase, status.ready, status.restarts), (Phase::Unready, 0, 0));
    assert_eq!(status.failure.unwrap().reason, "GET /ready: answered 503");
    assert_eq!(heart.outcome(), Outcome::Pending);
    assert_eq!(heart.wait(600), []);

    assert_eq!(ready(&mut heart, &ids[0]), [Effect::Publish(ids[0].clone(), address())]);
    assert_eq!((heart.status().phase, heart.status().failure), (Phase::Ready, None));
}

#[test]
fn readiness_that_is_told_twice_or_of_an_instance_in_another_phase_changes_nothing() {
    let (mut heart, ids) = Heart::serving("a", 1);
    assert_eq!(ready(&mut heart, &ids[0]), []);
    unready(&mut heart, &ids[0]);
    assert_eq!(unready(&mut heart, &ids[0]), []);
    heart.on(Event::Scale(0));
    assert_eq!(ready(&mut heart, &ids[0]), [], "it drains");
    assert_eq!(unready(&mut heart, &ids[0]), []);
    assert_eq!(unhealthy(&mut heart, &ids[0]), [], "its drain has a deadline");
    let stranger = "f-9".parse().unwrap();
    assert_eq!((ready(&mut heart, &stranger), unhealthy(&mut heart, &stranger)), (vec![], vec![]));
}

#[test]
fn an_instance_that_is_not_ready_finishes_its_requests_before_it_is_torn_down() {
    let (mut heart, ids) = Heart::serving("a", 1);
    unready(&mut heart, &ids[0]);
    assert_eq!(heart.on(Event::Delete), [Effect::Drain(ids[0].clone())]);
    assert_eq!(heart.on(Event::Drained(ids[0].clone())), [Effect::TearDown(ids[0].clone())]);
}

#[test]
fn an_update_does_not_go_on_while_what_it_brought_is_not_ready() {
    let (mut heart, old) = Heart::serving("a", 3);
    heart.apply("b");
    let first = heart.starting();
    heart.start(&first);
    let second = heart.starting();
    unready(&mut heart, &first);
    assert_eq!(heart.in_phase(InstancePhase::Ready).len(), 2, "two of the old ones");
    heart.fail(&second, not_now());
    assert_eq!(brought_up(&heart.wait(60)), [], "nothing more of what is not ready");
    assert_eq!(heart.in_phase(InstancePhase::Ready).len(), 2);
    let effects = ready(&mut heart, &first);
    assert_eq!(brought_up(&effects), [Generation(2)]);
    assert_eq!(heart.in_phase(InstancePhase::Ready).len(), 3);
    assert!(old.iter().any(|id| heart.in_phase(InstancePhase::Ready).contains(id)));
}

#[test]
fn scaling_down_lets_go_of_what_is_not_ready_first() {
    let (mut heart, ids) = Heart::serving("a", 3);
    unready(&mut heart, &ids[0]);
    heart.on(Event::Scale(2));
    assert_eq!(heart.in_phase(InstancePhase::Draining), [ids[0].clone()]);
    assert_eq!((heart.status().phase, heart.outcome()), (Phase::Ready, Outcome::Ready));
}

#[test]
fn a_crash_while_it_is_not_ready_is_a_crash_and_counts_from_when_it_first_served() {
    let (mut heart, ids) = Heart::serving("a", 1);
    unready(&mut heart, &ids[0]);
    let effects = heart.crash(&ids[0]);
    assert_eq!(effects[0], Effect::TearDown(ids[0].clone()));
    assert_eq!(brought_up(&effects), [Generation(1)], "at once: it had served for a minute");
    assert_eq!(heart.status().restarts, 1);
}

#[test]
fn an_instance_that_is_not_well_is_replaced_like_one_that_crashed() {
    let (mut heart, ids) = Heart::serving("a", 1);
    let effects = unhealthy(&mut heart, &ids[0]);
    assert_eq!(effects[..2], [Effect::Retract(ids[0].clone()), Effect::TearDown(ids[0].clone())]);
    assert_eq!(brought_up(&effects), [Generation(1)]);
    let status = heart.status();
    assert_eq!(status.restarts, 1);
    assert_eq!(status.failure.unwrap().reason, "not well: GET /live: answered 500");
    assert_eq!(heart.crash(&ids[0]), [], "its end is no second crash");
    assert_eq!(heart.status().restarts, 1);

    let second = heart.starting();
    heart.start(&second);
    assert_eq!(brought_up(&unhealthy(&mut heart, &second)), [], "soon after its start: the backoff");
    assert_eq!(brought_up(&heart.wait(1)), [Generation(1)]);
}

#[test]
fn an_adopted_instance_that_is_not_ready_is_left_running_until_it_is() {
    let desired = Heart::serving("a", 1).0.desired().clone();
    let id: InstanceId = "f-1".parse().unwrap();
    let found = Observed { id: id.clone(), generation: Generation(1), state: ObservedState::Running };
    let (life, _) = Lifecycle::recover(&"f".parse().unwrap(), 2, Some(desired), vec![found], Uptime::default());
    let mut heart = Heart { life, now: Uptime::default() };
    assert_eq!(unready(&mut heart, &id), [Effect::Retract(id.clone())]);
    assert_eq!(heart.status().phase, Phase::Unready);
    assert_eq!(ready(&mut heart, &id), [Effect::Publish(id, address())]);
    assert_eq!(heart.outcome(), Outcome::Ready);
}

#[test]
fn a_fresh_instance_beside_one_that_is_not_ready_serves_alone() {
    let (mut heart, ids) = Heart::serving("a", 1);
    unready(&mut heart, &ids[0]);
    heart.apply("b");
    let new = heart.starting();
    let effects = heart.start(&new);
    assert_eq!(effects[0], Effect::Publish(new, address()));
    assert!(effects.contains(&Effect::Drain(ids[0].clone())), "{effects:?}");
    assert_eq!(heart.outcome(), Outcome::Ready);
}
