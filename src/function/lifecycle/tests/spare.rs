//! Spares: when they stand by, take over, and go.

use super::*;
use crate::function::lifecycle::spare::NEXT_SPARE;
use crate::function::lifecycle::{Adjusted, Tier};

fn with_spares(image: &str, spares: u32) -> Spec {
    let annotations = [("actord.spare".to_owned(), spares.to_string())].into();
    Spec::try_from(SpecDraft { image: image.into(), annotations, ..SpecDraft::default() }).unwrap()
}

fn promoted(effects: &[Effect]) -> Vec<InstanceId> {
    let of = |effect: &Effect| if let Effect::Promote(id, _) = effect { Some(id.clone()) } else { None };
    effects.iter().filter_map(of).collect()
}

impl Heart {
    fn apply_spec(&mut self, spec: Spec) -> Vec<Effect> {
        let next = self.life.accept(spec, "then");
        self.on(Event::Apply(next))
    }

    /// Starts all that is being started, and all that follows from that.
    fn start_all(&mut self) {
        while let [id, ..] = &*self.in_phase(InstancePhase::Starting) {
            self.start(id);
        }
    }

    fn spares(&self) -> Vec<InstanceId> {
        self.in_phase(InstancePhase::Spare)
    }

    fn serving_ids(&self) -> Vec<InstanceId> {
        self.in_phase(InstancePhase::Ready)
    }

    /// A heart whose function serves with so many replicas and spares, for a minute.
    fn with_spares(replicas: u32, spares: u32) -> Self {
        let mut heart = Self::new();
        heart.apply_spec(with_spares("a", spares));
        heart.on(Event::Scale(replicas));
        heart.start_all();
        heart.wait(60);
        assert_eq!((heart.serving_ids().len(), heart.spares().len()), (replicas as usize, spares as usize));
        heart
    }
}

#[test]
fn a_spare_is_started_once_all_that_is_asked_for_serves_and_stands_by() {
    let mut heart = Heart::new();
    assert_eq!(brought_up(&heart.apply_spec(with_spares("a", 1))), [Generation(1)]);
    let first = heart.starting();
    let effects = heart.start(&first);
    assert_eq!((brought_up(&effects), heart.outcome()), (vec![Generation(1)], Outcome::Ready));
    let second = heart.starting();
    assert_eq!(heart.start(&second), [Effect::StandBy(second.clone())]);
    let status = heart.status();
    assert_eq!((status.phase, status.ready, status.spares), (Phase::Ready, 1, 1));
    assert_eq!(heart.wait(3600), []);
}

#[test]
fn a_spare_takes_over_at_once_when_what_serves_dies_and_another_is_started_a_moment_later() {
    let mut heart = Heart::with_spares(1, 1);
    let (serving, spare) = (heart.serving_ids().remove(0), heart.spares().remove(0));
    let effects = heart.crash(&serving);
    assert_eq!(
        effects[..3],
        [
            Effect::Retract(serving.clone()),
            Effect::TearDown(serving.clone()),
            Effect::Promote(spare.clone(), address())
        ]
    );
    assert_eq!((brought_up(&effects), retry(&effects)), (vec![], Some(NEXT_SPARE)));
    let status = heart.status();
    assert_eq!((status.phase, status.ready, status.spares, status.restarts), (Phase::Ready, 1, 0, 1));
    assert_eq!(brought_up(&heart.on(Event::RetryDue)), [], "another timer");
    assert_eq!(brought_up(&heart.wait(1)), [Generation(1)]);
    let next = heart.starting();
    heart.start(&next);
    assert_eq!((heart.serving_ids(), heart.spares()), (vec![spare], vec![next]));
}

#[test]
fn what_is_asked_for_does_not_wait_for_the_moment_after_a_promotion() {
    let mut heart = Heart::with_spares(1, 1);
    let serving = heart.serving_ids().remove(0);
    heart.crash(&serving);
    assert_eq!(brought_up(&heart.on(Event::Scale(3))), [Generation(1), Generation(1)]);
    heart.start_all();
    assert_eq!((heart.serving_ids().len(), heart.spares().len()), (3, 0));
    assert_eq!(brought_up(&heart.wait(1)), [Generation(1)], "the spare");
}

#[test]
fn of_several_spares_the_one_that_stands_by_longest_takes_over() {
    let mut heart = Heart::new();
    heart.apply_spec(with_spares("a", 2));
    let first = heart.starting();
    heart.start(&first);
    let (early, late) = match &*heart.in_phase(InstancePhase::Starting) {
        [a, b] => (b.clone(), a.clone()),
        other => panic!("{other:?}"),
    };
    heart.start(&early);
    heart.wait(1);
    heart.start(&late);
    assert_eq!(promoted(&heart.crash(&first)), [early]);
}

#[test]
fn what_was_to_be_a_spare_serves_if_it_is_ready_when_one_is_missing() {
    let mut heart = Heart::new();
    heart.apply_spec(with_spares("a", 1));
    let first = heart.starting();
    heart.start(&first);
    let second = heart.starting();
    assert_eq!(brought_up(&heart.crash(&first)), [], "one is on its way, and the crash came soon");
    let effects = heart.start(&second);
    assert!(effects.contains(&Effect::Publish(second, address())), "{effects:?}");
    assert_eq!(brought_up(&heart.wait(1)), [Generation(1)]);
}

#[test]
fn a_spare_that_dies_is_replaced_after_the_backoff_and_callers_are_told_nothing() {
    let mut heart = Heart::with_spares(1, 1);
    let first = heart.spares().remove(0);
    assert_eq!(brought_up(&heart.crash(&first)), [Generation(1)], "it stood by for a minute");
    let second = heart.starting();
    heart.start(&second);
    let effects = heart.crash(&second);
    assert_eq!((brought_up(&effects), retry(&effects).is_some()), (vec![], true));
    let status = heart.status();
    assert_eq!((status.phase, status.ready, status.spares, status.restarts), (Phase::Ready, 1, 0, 0));
    assert_eq!((heart.outcome(), heart.life.outlook(heart.now)), (Outcome::Ready, Some(Outlook::Coming)));
    assert_eq!(brought_up(&heart.wait(1)), [Generation(1)]);
    heart.start_all();
    assert_eq!(heart.status().failure, None);
}

#[test]
fn a_spare_that_can_not_be_started_fails_nothing_and_is_tried_again() {
    let mut heart = Heart::new();
    heart.apply_spec(with_spares("a", 1));
    let first = heart.starting();
    heart.start(&first);
    let second = heart.starting();
    heart.fail(&second, hopeless());
    assert_eq!((heart.status().phase, heart.outcome()), (Phase::Ready, Outcome::Ready));
    assert_eq!(brought_up(&heart.wait(1)), [Generation(1)]);
}

#[test]
fn one_that_is_not_ready_is_stood_in_for_and_is_the_next_spare_when_it_is() {
    let mut heart = Heart::with_spares(1, 1);
    let (serving, spare) = (heart.serving_ids().remove(0), heart.spares().remove(0));
    let effects = heart.on(Event::Unready(serving.clone(), "busy".into()));
    assert_eq!(effects, [Effect::Retract(serving.clone()), Effect::Promote(spare.clone(), address())]);
    assert_eq!(heart.status().phase, Phase::Ready);
    assert_eq!(heart.on(Event::Ready(serving.clone(), address())), [Effect::StandBy(serving.clone())]);
    assert_eq!((heart.serving_ids(), heart.spares()), (vec![spare], vec![serving]));
}

#[test]
fn a_spare_that_says_that_it_is_not_ready_takes_nothing_over_until_it_is() {
    let mut heart = Heart::with_spares(1, 1);
    let (serving, spare) = (heart.serving_ids().remove(0), heart.spares().remove(0));
    assert_eq!(heart.on(Event::Unready(spare.clone(), "busy".into())), []);
    assert_eq!(heart.status().failure, None);
    assert_eq!(promoted(&heart.crash(&serving)), []);
    let effects = heart.on(Event::Ready(spare.clone(), address()));
    assert!(effects.contains(&Effect::Publish(spare, address())), "{effects:?}");
}

#[test]
fn one_that_can_not_be_thawed_is_replaced_as_one_that_crashed() {
    let mut heart = Heart::with_spares(1, 2);
    let (serving, spares) = (heart.serving_ids().remove(0), heart.spares());
    let first = promoted(&heart.crash(&serving)).remove(0);
    let effects = heart.on(Event::Unhealthy(first.clone(), "can't be thawed".into()));
    assert!(effects.contains(&Effect::TearDown(first.clone())), "{effects:?}");
    let second = promoted(&effects);
    assert!(second.len() == 1 && second[0] != first && spares.contains(&second[0]), "{effects:?}");
}

#[test]
fn an_update_has_no_spare_until_it_serves_and_that_of_the_version_before_stays_so_long() {
    let mut heart = Heart::with_spares(1, 1);
    let (old, old_spare) = (heart.serving_ids().remove(0), heart.spares().remove(0));
    assert_eq!(brought_up(&heart.apply_spec(with_spares("b", 1))), [Generation(2)]);
    let new = heart.starting();
    assert_eq!(heart.spares(), std::slice::from_ref(&old_spare));
    // What serves dies meanwhile.
    assert_eq!(promoted(&heart.crash(&old)), std::slice::from_ref(&old_spare));
    heart.wait(1);
    let effects = heart.start(&new);
    assert!(effects.contains(&Effect::Publish(new.clone(), address())), "{effects:?}");
    assert!(effects.contains(&Effect::Drain(old_spare)), "{effects:?}");
    assert_eq!(brought_up(&effects), [Generation(2)]);
    heart.start_all();
    assert_eq!((heart.serving_ids(), heart.spares().len()), (vec![new], 1));
}

#[test]
fn the_spare_of_the_version_before_goes_when_the_new_one_serves() {
    let mut heart = Heart::with_spares(2, 1);
    let spare = heart.spares().remove(0);
    heart.apply_spec(with_spares("b", 0));
    let first = heart.starting();
    assert!(!heart.start(&first).contains(&Effect::Drain(spare.clone())), "one of two");
    let second = heart.starting();
    assert!(heart.start(&second).contains(&Effect::Drain(spare)));
    assert_eq!((heart.serving_ids().len(), heart.spares().len()), (2, 0));
}

#[test]
fn an_update_that_fails_leaves_spare_and_serving_as_they_are() {
    let mut heart = Heart::with_spares(1, 1);
    let (serving, spares) = (heart.serving_ids(), heart.spares());
    heart.apply_spec(with_spares("b", 2));
    let new = heart.starting();
    let effects = heart.fail(&new, hopeless());
    assert_eq!(brought_up(&effects), []);
    assert_eq!((heart.serving_ids(), heart.spares()), (serving, spares));
}

#[test]
fn more_by_hand_or_load_takes_the_spare_first() {
    for event in [Event::Scale(2), Event::Adjust(Adjusted { replicas: 2, reason: "load".into() })] {
        let mut heart = Heart::with_spares(1, 1);
        let spare = heart.spares().remove(0);
        let effects = heart.on(event);
        assert_eq!((promoted(&effects), brought_up(&effects)), (vec![spare], vec![]));
        assert_eq!(heart.status().phase, Phase::Ready);
        assert_eq!(brought_up(&heart.wait(1)), [Generation(1)]);
        heart.start_all();
        assert_eq!((heart.serving_ids().len(), heart.spares().len()), (2, 1));
    }
}

#[test]
fn fewer_replicas_keep_the_spare_and_what_starts_goes_first() {
    let mut heart = Heart::with_spares(2, 1);
    let spares = heart.spares();
    heart.on(Event::Scale(1));
    assert_eq!(
        (heart.serving_ids().len(), heart.spares(), heart.in_phase(InstancePhase::Draining).len()),
        (1, spares, 1)
    );
    let mut heart = Heart::with_spares(2, 1);
    let spare = heart.spares().remove(0);
    heart.crash(&spare);
    heart.on(Event::Scale(3));
    let starting = heart.in_phase(InstancePhase::Starting);
    assert_eq!(starting.len(), 1);
    heart.on(Event::Scale(2));
    assert_eq!(heart.in_phase(InstancePhase::Starting), starting, "it is the next spare");
}

#[test]
fn nothing_stands_by_for_what_is_idle_stopped_at_zero_or_deleted() {
    for event in [Event::Rest(Tier::Stopped), Event::KeepDown(true), Event::Scale(0), Event::Delete] {
        let mut heart = Heart::with_spares(1, 1);
        let spare = heart.spares().remove(0);
        let effects = heart.on(event.clone());
        assert!(effects.contains(&Effect::Drain(spare.clone())), "{event:?}: {effects:?}");
        assert_eq!(heart.status().spares, 0);
    }
    let mut heart = Heart::with_spares(1, 1);
    heart.on(Event::Rest(Tier::Stopped));
    assert_eq!(brought_up(&heart.on(Event::Wake)), [Generation(1)], "first what the call waits for");
    heart.start_all();
    assert_eq!((heart.serving_ids().len(), heart.spares().len()), (1, 1));
}

#[test]
fn what_serves_freezes_without_its_spare_which_takes_over_all_the_same() {
    let mut heart = Heart::with_spares(1, 1);
    let (serving, spare) = (heart.serving_ids().remove(0), heart.spares().remove(0));
    assert_eq!(heart.on(Event::Rest(Tier::Frozen)), [Effect::Freeze(serving.clone())]);
    heart.on(Event::Frozen(serving.clone()));
    assert_eq!((heart.status().phase, heart.status().frozen, heart.status().spares), (Phase::Frozen, 1, 1));
    assert_eq!(promoted(&heart.crash(&serving)), [spare]);
}

#[test]
fn after_a_restart_one_of_two_that_run_is_the_spare_again_and_gets_no_requests() {
    let before = Heart::with_spares(1, 1);
    let ids = [before.serving_ids(), before.spares()].concat();
    let found =
        ids.iter().map(|id| Observed { id: id.clone(), generation: Generation(1), state: ObservedState::Running });
    let desired = before.desired().clone();
    let (life, effects) = Lifecycle::recover(&"f".parse().unwrap(), 2, Some(desired), found.collect(), before.now);
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Adopt(..))), "{effects:?}");
    let mut heart = Heart { life, now: before.now };
    assert_eq!(heart.start(&ids[1]), [Effect::Publish(ids[1].clone(), address())]);
    // An actor before this one may have published it.
    assert_eq!(heart.start(&ids[0]), [Effect::Retract(ids[0].clone()), Effect::StandBy(ids[0].clone())]);
    assert_eq!((heart.serving_ids(), heart.spares()), (vec![ids[1].clone()], vec![ids[0].clone()]));
}

#[test]
fn while_memory_is_short_spares_go_what_serves_stays_and_they_come_back_afterwards() {
    let mut heart = Heart::with_spares(2, 1);
    let (serving, spare) = (heart.serving_ids(), heart.spares());
    assert_eq!(heart.on(Event::Lean(true)), [Effect::Drain(spare[0].clone())]);
    assert_eq!((heart.serving_ids(), heart.spares()), (serving.clone(), Vec::new()));
    assert_eq!(heart.on(Event::Lean(true)), []);
    // A crash is mended as where none was asked for.
    assert_eq!(brought_up(&heart.crash(&serving[0])), [Generation(1)]);
    heart.start_all();
    assert_eq!((heart.serving_ids().len(), heart.spares().len()), (2, 0));
    assert_eq!(brought_up(&heart.on(Event::Lean(false))), [Generation(1)]);
    heart.start_all();
    assert_eq!((heart.serving_ids().len(), heart.spares().len()), (2, 1));
}
