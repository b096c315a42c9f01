//! Tiers of idleness and numbers that the load asks for.

use super::*;
use crate::function::lifecycle::{Adjusted, Tier};

fn adjust(replicas: u32) -> Event {
    Event::Adjust(Adjusted { replicas, reason: format!("{replicas} needed") })
}

fn frozen(effects: &[Effect]) -> Vec<InstanceId> {
    let of = |effect: &Effect| if let Effect::Freeze(id) = effect { Some(id.clone()) } else { None };
    effects.iter().filter_map(of).collect()
}

impl Heart {
    /// Lets all that is asked to freeze do so.
    fn freeze(&mut self) -> Vec<InstanceId> {
        let ids = frozen(&self.on(Event::Rest(Tier::Frozen)));
        for id in &ids {
            self.on(Event::Frozen(id.clone()));
        }
        ids
    }

    fn idle() -> Self {
        let (mut heart, ids) = Self::serving("a", 2);
        heart.on(Event::Rest(Tier::Stopped));
        for id in &ids {
            heart.on(Event::Drained(id.clone()));
            heart.removed(id);
        }
        heart
    }
}

#[test]
fn what_serves_freezes_and_counts_as_serving_until_a_call_thaws_it() {
    let (mut heart, ids) = Heart::serving("a", 2);
    let served = heart.status();
    assert_eq!(heart.freeze(), ids);
    heart.wait(5);
    let status = heart.status();
    assert_eq!((status.phase, status.ready, status.frozen), (Phase::Frozen, 2, 2));
    assert!(status.since > served.since);
    assert_eq!((status.serving, heart.outcome()), (served.serving, Outcome::Ready));
    assert_eq!(heart.on(Event::Thawed(ids[0].clone())), []);
    let status = heart.status();
    assert_eq!((status.phase, status.ready, status.frozen, status.since), (Phase::Ready, 2, 1, heart.now));
    assert_eq!(frozen(&heart.on(Event::Rest(Tier::Frozen))), ids[..1]);
}

#[test]
fn only_what_is_ready_is_asked_to_freeze() {
    let (mut heart, ids) = Heart::serving("a", 2);
    heart.on(Event::Unready(ids[0].clone(), "busy".into()));
    heart.on(Event::Scale(3));
    assert_eq!(frozen(&heart.on(Event::Rest(Tier::Frozen))), ids[1..]);
    heart.on(Event::KeepDown(true));
    assert_eq!(heart.on(Event::Rest(Tier::Frozen)), []);
}

#[test]
fn a_word_of_freezing_that_comes_late_changes_nothing() {
    let (mut heart, ids) = Heart::serving("a", 1);
    heart.on(Event::Scale(0));
    for event in [Event::Frozen(ids[0].clone()), Event::Thawed(ids[0].clone())] {
        assert_eq!(heart.on(event), []);
        assert_eq!(heart.in_phase(InstancePhase::Draining), ids);
    }
}

#[test]
fn a_frozen_version_is_replaced_as_any_other_and_goes_once_the_new_one_answers() {
    let (mut heart, ids) = Heart::serving("a", 1);
    heart.freeze();
    let effects = heart.apply("b");
    assert_eq!(brought_up(&effects), [Generation(2)]);
    assert!(!effects.contains(&Effect::Retract(ids[0].clone())));
    let new = heart.starting();
    let effects = heart.start(&new);
    assert!(effects.contains(&Effect::Drain(ids[0].clone())), "{effects:?}");
}

#[test]
fn a_frozen_instance_that_ends_or_can_not_be_thawed_is_replaced() {
    for event in [(|id| Event::Exited(id, Exit::Signal(9))) as fn(InstanceId) -> Event, |id| {
        Event::Unhealthy(id, "can't be thawed".into())
    }] {
        let (mut heart, ids) = Heart::serving("a", 1);
        heart.freeze();
        let effects = heart.on(event(ids[0].clone()));
        assert!(effects.contains(&Effect::TearDown(ids[0].clone())), "{effects:?}");
        assert_eq!((brought_up(&effects).len(), heart.status().restarts), (1, 1));
    }
}

#[test]
fn of_too_many_the_frozen_ones_go_first() {
    let (mut heart, ids) = Heart::serving("a", 3);
    heart.freeze();
    heart.on(Event::Thawed(ids[2].clone()));
    let effects = heart.on(Event::Scale(1));
    for id in &ids[..2] {
        assert!(effects.contains(&Effect::Drain(id.clone())), "{effects:?}");
    }
    assert_eq!(heart.in_phase(InstancePhase::Ready), ids[2..]);
}

#[test]
fn idleness_stops_all_and_keeps_what_was_asked_for() {
    let (mut heart, ids) = Heart::serving("a", 2);
    heart.freeze();
    let effects = heart.on(Event::Rest(Tier::Stopped));
    for id in &ids {
        assert!(effects.contains(&Effect::Drain(id.clone())), "{effects:?}");
    }
    assert!(recorded(&effects).unwrap().idle);
    let desired = heart.desired();
    assert_eq!((desired.replicas, desired.running_replicas()), (2, 0));
    assert_eq!((heart.status().phase, heart.outlook_of_a_call()), (Phase::Idle, Outlook::AtZero));
    assert_eq!(heart.on(Event::Rest(Tier::Stopped)), []);
    assert_eq!(heart.wait(3600), []);
}

impl Heart {
    fn outlook_of_a_call(&self) -> Outlook {
        self.life.outlook(self.now).unwrap()
    }
}

#[test]
fn a_call_a_number_an_apply_and_a_start_by_hand_end_idleness() {
    for event in [Event::Wake, Event::Scale(2), Event::Rest(Tier::Ready)] {
        let mut heart = Heart::idle();
        let effects = heart.on(event.clone());
        assert_eq!(brought_up(&effects).len(), 2, "{event:?}");
        assert!(!heart.desired().idle);
        assert_eq!(
            recorded(&effects).is_some(),
            !matches!(event, Event::Scale(_)),
            "a number is durable before it is told"
        );
        assert_eq!(heart.outlook_of_a_call(), Outlook::Waking);
    }
    for image in ["a", "b"] {
        let mut heart = Heart::idle();
        assert_eq!(brought_up(&heart.apply(image)).len(), 2, "{image}");
    }
    let mut heart = Heart::idle();
    heart.on(Event::KeepDown(true));
    heart.on(Event::Wake);
    assert_eq!(heart.status().phase, Phase::Stopped);
    assert_eq!(brought_up(&heart.on(Event::KeepDown(false))).len(), 2);
    let mut heart = Heart::idle();
    heart.on(Event::Scale(0));
    assert_eq!((heart.desired().idle, heart.status().phase), (false, Phase::Stopped));
}

#[test]
fn what_is_being_woken_comes_before_it_may_rest_again() {
    let mut heart = Heart::idle();
    heart.on(Event::Wake);
    assert_eq!(heart.on(Event::Rest(Tier::Stopped)), []);
    for id in heart.in_phase(InstancePhase::Starting) {
        heart.fail(&id, not_now());
    }
    heart.on(Event::Rest(Tier::Stopped));
    assert!(heart.desired().idle, "what backs off may");
    heart.on(Event::Wake);
    heart.wait(2);
    let id = heart.in_phase(InstancePhase::Starting)[0].clone();
    heart.start(&id);
    heart.on(Event::Rest(Tier::Stopped));
    assert!(heart.desired().idle);
}

#[test]
fn what_never_served_does_not_go_idle_and_what_failed_behind_a_good_version_does() {
    let mut heart = Heart::new();
    heart.apply("a");
    assert_eq!(heart.on(Event::Rest(Tier::Stopped)), []);
    let (mut heart, _) = Heart::serving("a", 1);
    heart.apply("b");
    assert_eq!(heart.on(Event::Rest(Tier::Stopped)), []);
    let id = heart.starting();
    heart.fail(&id, hopeless());
    heart.on(Event::Rest(Tier::Stopped));
    assert!(heart.desired().idle);
    assert_eq!(brought_up(&heart.on(Event::Wake)), [Generation(1)]);
}

#[test]
fn a_restart_starts_nothing_of_an_idle_function_and_drains_what_still_runs() {
    let (mut heart, ids) = Heart::serving("a", 1);
    heart.on(Event::Rest(Tier::Stopped));
    let (desired, now) = (heart.desired().clone(), heart.now);
    for found in
        [vec![], vec![Observed { id: ids[0].clone(), generation: Generation(1), state: ObservedState::Running }]]
    {
        let drains = !found.is_empty();
        let (life, effects) = Lifecycle::recover(&"f".parse().unwrap(), 2, Some(desired.clone()), found, now);
        assert_eq!(brought_up(&effects), []);
        assert_eq!(effects.contains(&Effect::Drain(ids[0].clone())), drains);
        assert_eq!(life.outlook(now), Some(Outlook::AtZero));
    }
}

#[test]
fn the_load_changes_how_many_run_and_not_what_was_asked_for() {
    let (mut heart, _) = Heart::serving("a", 2);
    let effects = heart.on(adjust(4));
    assert_eq!(brought_up(&effects).len(), 2);
    assert_eq!(recorded(&effects).unwrap().adjusted.unwrap().reason, "4 needed");
    assert_eq!((heart.desired().replicas, heart.desired().running_replicas()), (2, 4));
    assert_eq!(heart.status().phase, Phase::Starting);
    assert_eq!(heart.on(adjust(4)), []);
    heart.on(adjust(1));
    assert_eq!((heart.status().ready, heart.status().phase), (1, Phase::Ready));
    assert_eq!(heart.desired().replicas, 2);
}

#[test]
fn the_load_neither_wakes_nor_ends_anything() {
    let mut heart = Heart::idle();
    assert_eq!(heart.on(adjust(3)), []);
    let (mut heart, _) = Heart::serving("a", 1);
    assert_eq!(heart.on(adjust(0)), []);
    heart.on(Event::Scale(0));
    assert_eq!(heart.on(adjust(3)), []);
}

#[test]
fn a_number_by_hand_stands_in_place_of_what_the_load_asked_for() {
    let (mut heart, _) = Heart::serving("a", 1);
    heart.on(adjust(4));
    heart.on(Event::Scale(2));
    assert_eq!((heart.desired().running_replicas(), &heart.desired().adjusted), (2, &None));
}

#[test]
fn an_update_runs_with_the_number_that_the_load_asked_for_within_its_own_bounds() {
    let labels: [&[(&str, &str)]; 4] = [
        &[("com.openfaas.scale.max", "10")],
        &[("com.openfaas.scale.max", "2")],
        &[("com.openfaas.scale.min", "5"), ("com.openfaas.scale.type", "rps")],
        &[],
    ];
    for (labels, expected) in labels.into_iter().zip([3, 2, 5, 1]) {
        let (mut heart, _) = Heart::serving("a", 1);
        heart.on(adjust(3));
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let spec = Spec::try_from(SpecDraft { image: "b".into(), labels, ..SpecDraft::default() }).unwrap();
        let next = heart.life.accept(spec, "then");
        heart.on(Event::Apply(next));
        assert_eq!(heart.desired().running_replicas(), expected, "{:?}", heart.desired());
    }
}

#[test]
fn idleness_keeps_the_number_that_the_load_asked_for_until_the_next_call() {
    let (mut heart, _) = Heart::serving("a", 1);
    heart.on(adjust(2));
    heart.on(Event::Rest(Tier::Stopped));
    heart.on(Event::Wake);
    assert_eq!(heart.desired().running_replicas(), 2);
}
