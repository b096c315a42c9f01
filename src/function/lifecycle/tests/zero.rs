//! Down to no instance and back: by a number, by hand, by a call; and what a request can expect meanwhile.

use super::*;

fn labelled(image: &str, min: &str) -> Spec {
    let labels = [("com.openfaas.scale.min".to_owned(), min.to_owned())].into();
    Spec::try_from(SpecDraft { image: image.into(), labels, ..SpecDraft::default() }).unwrap()
}

impl Heart {
    /// A heart whose function served and is scaled to zero, with nothing left of its instance.
    fn at_zero() -> Self {
        let (mut heart, ids) = Self::serving("a", 1);
        heart.on(Event::Scale(0));
        heart.on(Event::Drained(ids[0].clone()));
        heart.removed(&ids[0]);
        heart
    }

    fn outlook(&self) -> Outlook {
        self.life.outlook(self.now).unwrap()
    }
}

#[test]
fn a_call_at_zero_starts_as_many_as_the_function_has_at_least_and_the_number_is_recorded() {
    for (min, expected) in [("0", 1), ("1", 1), ("3", 3)] {
        let mut heart = Heart::new();
        let next = heart.life.accept(labelled("a", min), "then");
        heart.on(Event::Apply(next));
        heart.on(Event::Scale(0));
        assert_eq!(heart.outlook(), Outlook::AtZero);
        let effects = heart.on(Event::Wake);
        assert_eq!(brought_up(&effects).len(), expected, "min {min}");
        assert_eq!(recorded(&effects).unwrap().replicas as usize, expected);
        assert_eq!(heart.outlook(), Outlook::Waking);
    }
}

#[test]
fn a_call_that_comes_late_wakes_nothing_twice() {
    let mut heart = Heart::at_zero();
    assert_eq!(brought_up(&heart.on(Event::Wake)).len(), 1);
    assert_eq!(heart.on(Event::Wake), []);
    heart.on(Event::Scale(3));
    assert_eq!(heart.on(Event::Wake), []);
    heart.on(Event::Delete);
    assert_eq!(heart.on(Event::Wake), []);
}

#[test]
fn the_first_instance_since_zero_is_awaited_longer_whatever_asked_for_it_and_the_next_one_is_not() {
    for event in [Event::Wake, Event::Scale(1)] {
        let mut heart = Heart::at_zero();
        heart.on(event);
        assert_eq!(heart.outlook(), Outlook::Waking);
        let id = heart.starting();
        heart.fail(&id, not_now());
        heart.wait(1);
        assert_eq!(heart.outlook(), Outlook::Waking, "also at its second try");
        let id = heart.starting();
        heart.start(&id);
        assert_eq!(heart.outlook(), Outlook::Coming);
        heart.wait(60);
        heart.crash(&id);
        assert_eq!(heart.outlook(), Outlook::Coming);
    }
}

#[test]
fn a_start_that_failed_once_is_due_again_soon_and_one_that_can_not_succeed_is_told_so() {
    for (error, permanent) in [(not_now(), false), (hopeless(), true)] {
        let mut heart = Heart::at_zero();
        heart.on(Event::Wake);
        let id = heart.starting();
        heart.fail(&id, error.clone());
        let Outlook::BackingOff { until, is_permanent, reason } = heart.outlook() else { panic!("{error}") };
        assert_eq!((is_permanent, reason), (permanent, error.to_string()));
        assert!(until > heart.now && until <= heart.now.after(Duration::from_secs(1)));
        assert_eq!(brought_up(&heart.wait(1)).len(), 1, "it is tried again all the same");
        assert_eq!(heart.outlook(), Outlook::Waking);
        // A crash soon after a start that went well is another matter.
        let id = heart.starting();
        heart.start(&id);
        heart.crash(&id);
        assert!(matches!(heart.outlook(), Outlook::BackingOff { is_permanent: false, .. }));
    }
}

#[test]
fn a_first_deploy_that_failed_for_good_has_nothing_to_wait_for_at_zero_either() {
    let mut heart = Heart::new();
    heart.apply("a");
    let id = heart.starting();
    heart.fail(&id, hopeless());
    let failed = Outlook::Failed(hopeless().to_string());
    assert_eq!(heart.outlook(), failed);
    heart.on(Event::Scale(0));
    assert_eq!(heart.outlook(), failed);
    heart.on(Event::Wake);
    assert_eq!((heart.outlook(), heart.in_phase(InstancePhase::Starting).len()), (failed, 0));
}

#[test]
fn an_update_that_failed_leaves_the_last_good_one_to_be_woken() {
    let (mut heart, _) = Heart::serving("a", 1);
    heart.apply("b");
    let id = heart.starting();
    heart.fail(&id, hopeless());
    heart.on(Event::Scale(0));
    assert_eq!(heart.outlook(), Outlook::AtZero);
    assert_eq!(brought_up(&heart.on(Event::Wake)), [Generation(1)]);
}

#[test]
fn an_update_at_zero_proves_itself_with_an_instance() {
    let mut heart = Heart::at_zero();
    assert_eq!(brought_up(&heart.apply("b")), [Generation(2)]);
    assert_eq!((heart.outlook(), heart.outcome()), (Outlook::Waking, Outcome::Pending));
    let id = heart.starting();
    heart.start(&id);
    assert_eq!((heart.outcome(), heart.desired().replicas), (Outcome::Ready, 1));
}

#[test]
fn what_is_kept_down_drains_politely_and_neither_calls_nor_numbers_nor_updates_start_it() {
    let (mut heart, ids) = Heart::serving("a", 2);
    let effects = heart.on(Event::KeepDown(true));
    for id in &ids {
        assert!(effects.contains(&Effect::Drain(id.clone())), "{effects:?}");
    }
    let stopped = |heart: &Heart| {
        assert_eq!(
            (heart.status().phase, heart.outlook(), heart.outcome()),
            (Phase::Stopped, Outlook::KeptDown, Outcome::Ready)
        );
        assert!(heart.in_phase(InstancePhase::Starting).is_empty());
    };
    stopped(&heart);
    assert_eq!(heart.desired().replicas, 2, "what was asked for is kept");
    for event in [Event::Wake, Event::Scale(0), Event::Wake, Event::Scale(3), Event::KeepDown(true)] {
        heart.on(event);
        stopped(&heart);
    }
    heart.apply("b");
    stopped(&heart);
    assert_eq!(heart.wait(3600), [], "and it does not fail for having been down");
    assert_eq!(brought_up(&heart.on(Event::KeepDown(false))), [Generation(2); 3]);
    assert_eq!((heart.status().phase, heart.outlook()), (Phase::Starting, Outlook::Waking));
    assert_eq!(heart.on(Event::KeepDown(false)), []);
}

#[test]
fn a_function_that_is_stopped_while_it_backs_off_or_has_failed_is_stopped() {
    for error in [not_now(), hopeless()] {
        let mut heart = Heart::new();
        heart.apply("a");
        let id = heart.starting();
        heart.fail(&id, error);
        heart.on(Event::KeepDown(true));
        assert_eq!((heart.status().phase, heart.outlook()), (Phase::Stopped, Outlook::KeptDown));
        assert_eq!(brought_up(&heart.wait(600)), []);
    }
}

#[test]
fn what_was_kept_down_stays_so_after_a_restart_and_what_still_runs_drains() {
    let (mut heart, ids) = Heart::serving("a", 1);
    heart.on(Event::KeepDown(true));
    let desired = heart.desired().clone();
    let found = Observed { id: ids[0].clone(), generation: Generation(1), state: ObservedState::Running };
    let now = heart.now;
    let (life, effects) = Lifecycle::recover(&"f".parse().unwrap(), 2, Some(desired), vec![found], now);
    let mut heart = Heart { life, now };
    assert!(effects.contains(&Effect::Drain(ids[0].clone())), "{effects:?}");
    assert_eq!(brought_up(&effects), []);
    assert_eq!(heart.outlook(), Outlook::KeptDown);
    assert_eq!(brought_up(&heart.on(Event::KeepDown(false))).len(), 1);
}
