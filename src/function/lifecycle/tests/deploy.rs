//! Deploying and updating.

use super::*;

#[test]
fn a_first_deploy_brings_one_instance_up_and_publishes_it_when_it_is_ready() {
    let mut heart = Heart::new();
    let effects = heart.apply("a");
    assert_eq!(brought_up(&effects), [Generation(1)]);
    assert_eq!((heart.outcome(), heart.status().phase), (Outcome::Pending, Phase::Starting));

    let id = heart.starting();
    let effects = heart.start(&id);
    assert_eq!(effects[0], Effect::Publish(id, address()));
    assert!(recorded(&effects).unwrap().has_served);
    assert_eq!((heart.outcome(), heart.status().phase), (Outcome::Ready, Phase::Ready));
}

#[test]
fn an_update_starts_the_new_beside_the_old_and_retires_the_old_only_once_the_new_is_ready() {
    let (mut heart, old) = Heart::serving("a", 1);
    let effects = heart.apply("b");
    assert_eq!(brought_up(&effects), [Generation(2)]);
    assert_eq!(effects.len(), 2, "a start and the progress deadline, nothing else: {effects:?}");
    assert_eq!(heart.status().serving, Some(Generation(1)));

    let new = heart.starting();
    let effects = heart.start(&new);
    assert_eq!(effects[0], Effect::Publish(new, address()));
    assert_eq!(effects[2..], [Effect::Retract(old[0].clone()), Effect::Drain(old[0].clone())]);
    assert_eq!(heart.outcome(), Outcome::Ready);

    assert_eq!(heart.on(Event::Drained(old[0].clone())), [Effect::TearDown(old[0].clone())]);
    assert_eq!(heart.removed(&old[0]), []);
    assert_eq!(heart.life.instances().count(), 1);
}

#[test]
fn replicas_roll_one_by_one() {
    let (mut heart, _) = Heart::serving("a", 3);
    heart.apply("b");
    for rolled in 1..=3 {
        let starting = heart.starting();
        assert_eq!(heart.in_phase(InstancePhase::Ready).len(), 3, "never fewer, before the {rolled}th");
        heart.start(&starting);
        assert_eq!(heart.in_phase(InstancePhase::Ready).len(), 3, "nor more, after it");
    }
    assert_eq!(heart.in_phase(InstancePhase::Starting), []);
    assert_eq!(heart.outcome(), Outcome::Ready);
}

#[test]
fn a_hopeless_create_has_failed_at_once_and_runs_nothing() {
    let mut heart = Heart::new();
    heart.apply("a");
    let id = heart.starting();
    let effects = heart.fail(&id, hopeless());
    assert_eq!(effects[0], Effect::TearDown(id.clone()));
    assert_eq!(heart.outcome(), Outcome::Failed("no such image".into()));
    heart.removed(&id);
    assert_eq!(heart.wait(3600), []);
    assert_eq!(heart.life.instances().count(), 0);
}

#[test]
fn a_hopeless_update_leaves_the_old_serving_and_the_status_shows_both() {
    let (mut heart, old) = Heart::serving("a", 1);
    heart.apply("b");
    let new = heart.starting();
    let effects = heart.fail(&new, hopeless());
    assert_eq!(effects[0], Effect::TearDown(new));
    assert_eq!(recorded(&effects).unwrap().failed.as_deref(), Some("no such image"));
    let status = heart.status();
    assert_eq!((status.phase, status.ready, status.serving), (Phase::Failed, 1, Some(Generation(1))));
    assert_eq!(status.failure.unwrap().generation, Generation(2));
    let desired = status.desired.unwrap();
    assert_eq!((desired.spec.image.as_str(), desired.last_good().unwrap().spec.image.as_str()), ("b", "a"));

    let effects = heart.crash(&old[0]);
    assert_eq!(brought_up(&effects), [Generation(1)], "the old one is looked after as before");
}

#[test]
fn an_update_that_may_heal_is_tried_again_after_the_backoff() {
    let (mut heart, _) = Heart::serving("a", 1);
    heart.apply("b");
    let first = heart.starting();
    let effects = heart.fail(&first, not_now());
    assert_eq!(brought_up(&effects), []);
    assert!(matches!(heart.status().phase, Phase::BackingOff { .. }));
    let wait = retry(&effects).unwrap();
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(brought_up(&heart.wait(1)), [Generation(2)]);
    assert_ne!(heart.starting(), first);
}

#[test]
fn an_update_that_never_answers_is_given_up_after_five_minutes() {
    let (mut heart, _) = Heart::serving("a", 1);
    assert_eq!(retry(&heart.apply("b")), Some(Duration::from_secs(300)));
    assert_eq!(heart.wait(299), [Effect::RetryAfter(Duration::from_secs(1))]);
    let new = heart.starting();
    let effects = heart.wait(1);
    assert!(effects.contains(&Effect::TearDown(new)));
    assert!(recorded(&effects).unwrap().failed.unwrap().contains("not ready within 300 s"));
    assert_eq!((heart.status().phase, heart.status().serving), (Phase::Failed, Some(Generation(1))));
}

#[test]
fn a_function_that_never_served_is_tried_for_ever() {
    let mut heart = Heart::new();
    assert_eq!(retry(&heart.apply("a")), None);
    for _ in 0..50 {
        let id = heart.starting();
        heart.fail(&id, not_now());
        heart.removed(&id);
        heart.wait(64);
    }
    assert_eq!(heart.outcome(), Outcome::Pending);
}

#[test]
fn the_time_that_an_update_spends_at_zero_replicas_does_not_count() {
    let (mut heart, _) = Heart::serving("a", 1);
    heart.on(Event::Scale(0));
    heart.apply("b");
    heart.on(Event::Scale(0));
    heart.wait(1000);
    heart.on(Event::Scale(1));
    assert_eq!(heart.outcome(), Outcome::Pending);
}

#[test]
fn what_serves_is_restarted_while_its_update_stumbles() {
    let (mut heart, old) = Heart::serving("a", 1);
    heart.apply("b");
    let effects = heart.crash(&old[0]);
    assert_eq!(brought_up(&effects), [Generation(1)], "the update is still starting, and may never serve");
    let ids = heart.in_phase(InstancePhase::Starting);
    let new = ids.iter().find(|id| heart.life.instances[*id].generation == Generation(2)).unwrap();
    let effects = heart.start(new);
    let left = ids.iter().find(|id| *id != new).unwrap();
    assert!(effects.contains(&Effect::TearDown(left.clone())), "once the update serves it is not needed any more");
}

#[test]
fn a_burst_of_applies_ends_with_the_last() {
    let mut heart = Heart::new();
    let mut last = Vec::new();
    for image in ["a", "b", "c", "d"] {
        last = heart.apply(image);
    }
    assert_eq!(brought_up(&last), [Generation(4)]);
    assert_eq!(heart.life.outcome(Generation(3)), Outcome::Superseded);
    assert_eq!(heart.in_phase(InstancePhase::Removing).len(), 3);
    let id = heart.starting();
    heart.start(&id);
    assert_eq!(heart.status().serving, Some(Generation(4)));
}

#[test]
fn a_start_that_was_superseded_and_succeeds_all_the_same_is_torn_down() {
    let mut heart = Heart::new();
    heart.apply("a");
    let first = heart.starting();
    heart.apply("b");
    assert_eq!(heart.start(&first), [], "its tear-down is under way");
    assert_eq!(heart.removed(&first), [Effect::TearDown(first.clone())], "and may have come too early");
    assert_eq!(heart.removed(&first), []);
    assert_eq!(heart.start(&first), [Effect::TearDown(first)], "and so later, when nobody knows it any more");
}

#[test]
fn applying_the_same_spec_again_does_nothing() {
    let (heart, _) = Heart::serving("a", 2);
    assert_eq!(&heart.life.accept(spec("a"), "later"), heart.desired());
}

#[test]
fn applying_the_same_spec_to_a_function_at_zero_wakes_it() {
    let (mut heart, _) = Heart::serving("a", 1);
    heart.on(Event::Scale(0));
    let effects = heart.apply("a");
    assert_eq!(brought_up(&effects), [Generation(1)]);
}

#[test]
fn applying_a_failed_spec_again_is_a_new_attempt() {
    let mut heart = Heart::new();
    heart.apply("a");
    let id = heart.starting();
    heart.fail(&id, hopeless());
    assert_eq!(brought_up(&heart.apply("a")), [Generation(2)]);
}

#[test]
fn what_was_learnt_while_a_spec_was_being_committed_is_kept() {
    let mut heart = Heart::new();
    heart.apply("a");
    let next = heart.life.accept(spec("b"), "then");
    let id = heart.starting();
    heart.start(&id);
    let effects = heart.on(Event::Apply(next));
    assert_eq!(recorded(&effects).unwrap().last_good().unwrap().generation, Generation(1), "it served meanwhile");
}

#[test]
fn what_was_learnt_while_more_replicas_were_being_committed_is_kept() {
    let mut heart = Heart::new();
    heart.apply("a");
    heart.on(Event::Scale(0));
    let next = heart.life.accept(spec("a"), "then");
    heart.on(Event::Scale(1));
    let id = heart.starting();
    heart.start(&id);
    heart.on(Event::Apply(next));
    assert!(heart.desired().has_served);
}

#[test]
fn an_update_keeps_the_number_of_replicas_and_the_day_of_creation() {
    let (mut heart, _) = Heart::serving("a", 3);
    heart.apply("b");
    assert_eq!((heart.desired().replicas, heart.desired().created_at.as_str()), (3, "then"));
}

/// The function as the owner puts it back: what was asked for before its newest generation.
fn put_back(heart: &mut Heart, before: &Desired) -> Vec<Effect> {
    let failed = heart.desired().clone();
    let refused = RefusedUpdate {
        generation: failed.generation,
        image: failed.spec.image.clone(),
        reason: failed.failed.unwrap(),
        at: "then".into(),
    };
    heart.on(Event::PutBack(Desired { refused: Some(refused.into()), ..before.clone() }))
}

#[test]
fn after_a_refused_update_what_served_is_what_is_asked_for_and_nothing_of_it_is_touched() {
    let (mut heart, old) = Heart::serving("a", 1);
    let before = heart.desired().clone();
    heart.apply("b");
    let new = heart.starting();
    heart.fail(&new, hopeless());
    assert_eq!(put_back(&mut heart, &before), []);
    let status = heart.status();
    assert_eq!((status.phase, status.ready, status.serving), (Phase::Ready, 1, Some(Generation(1))));
    assert_eq!((heart.desired().spec.image.as_str(), &status.failure), ("a", &None));
    assert_eq!(heart.in_phase(InstancePhase::Ready), old);
}

#[test]
fn the_number_of_a_refused_update_is_not_used_again_also_after_a_restart() {
    let (mut heart, _) = Heart::serving("a", 1);
    let before = heart.desired().clone();
    heart.apply("b");
    let new = heart.starting();
    heart.fail(&new, hopeless());
    put_back(&mut heart, &before);
    assert_eq!(heart.life.accept(spec("b"), "then").generation, Generation(3));
    let stored = Some(heart.desired().clone());
    let (again, _) = Lifecycle::recover(&"f".parse().unwrap(), 2, stored, Vec::new(), Uptime::default());
    assert_eq!(again.accept(spec("b"), "then").generation, Generation(3));
}

#[test]
fn an_update_on_trial_that_is_put_back_is_tried_again_and_has_its_whole_time() {
    let (mut heart, _) = Heart::serving("a", 1);
    heart.apply("b");
    let before = heart.desired().clone();
    heart.wait(200);
    heart.apply("c");
    let newest = heart.starting();
    heart.fail(&newest, hopeless());
    assert_eq!(brought_up(&put_back(&mut heart, &before)), [Generation(2)]);
    assert_eq!((heart.outcome(), heart.status().serving), (Outcome::Pending, Some(Generation(1))));
    heart.wait(299);
    assert_eq!(heart.outcome(), Outcome::Pending);
    heart.wait(1);
    assert_eq!((heart.status().phase, heart.status().serving), (Phase::Failed, Some(Generation(1))));
}

#[test]
fn a_failed_update_that_is_put_back_is_failed_for_its_own_reason() {
    let (mut heart, _) = Heart::serving("a", 1);
    heart.apply("b");
    let first = heart.starting();
    heart.fail(&first, hopeless());
    let before = heart.desired().clone();
    heart.apply("c");
    let second = heart.starting();
    heart.fail(&second, StartError::Spec("no such user".into()));
    assert_eq!(put_back(&mut heart, &before), []);
    let status = heart.status();
    assert_eq!((status.phase, status.serving), (Phase::Failed, Some(Generation(1))));
    assert_eq!(status.failure.unwrap(), Failure { generation: Generation(2), reason: "no such image".into() });
    assert_eq!(status.desired.unwrap().refused.as_ref().unwrap().reason, "no such user");
}

#[test]
fn what_is_put_back_is_not_started_sooner_than_its_own_failures_allow() {
    let mut heart = Heart::new();
    heart.apply("a");
    for _ in 0..6 {
        let id = heart.starting();
        heart.fail(&id, not_now());
        if heart.in_phase(InstancePhase::Starting).is_empty() {
            heart.wait(40);
        }
    }
    let id = heart.starting();
    heart.fail(&id, not_now());
    let before = heart.desired().clone();
    heart.apply("b");
    let new = heart.starting();
    heart.fail(&new, hopeless());
    assert_eq!(brought_up(&put_back(&mut heart, &before)), []);
    assert!(matches!(heart.status().phase, Phase::BackingOff { .. }));
    assert_eq!(brought_up(&heart.wait(64)), [Generation(1)]);
}

fn ended(exit: Exit) -> StartError {
    StartError::Exited { exit, hint: Some("no config".into()) }
}

#[test]
fn a_command_that_cannot_be_executed_fails_for_good_and_one_that_served_before_is_tried_on() {
    for (exit, is_permanent) in [
        (Exit::Code(126), true),
        (Exit::Code(127), true),
        (Exit::Code(0), false),
        (Exit::Code(1), false),
        (Exit::Code(125), false),
        (Exit::Code(128), false),
        (Exit::Code(255), false),
        (Exit::Signal(9), false),
        (Exit::OutOfMemory, false),
        (Exit::Vanished, false),
    ] {
        let mut heart = Heart::new();
        heart.apply("a");
        let id = heart.starting();
        heart.fail(&id, ended(exit.clone()));
        assert_eq!(
            matches!(heart.outcome(), Outcome::Failed(reason) if reason.contains("no config")),
            is_permanent,
            "{exit}"
        );
        let (mut heart, old) = Heart::serving("a", 1);
        heart.crash(&old[0]);
        let id = heart.starting();
        heart.fail(&id, ended(exit.clone()));
        assert_eq!(heart.outcome(), Outcome::Pending, "{exit}: it served before");
        assert_eq!(brought_up(&heart.wait(1)), [Generation(1)]);
    }
}

#[test]
fn a_reason_is_a_sentence_however_the_process_ended() {
    for (exit, reason) in [
        (Exit::Code(3), "the process exited with code 3 before it was ready: no config"),
        (Exit::Signal(11), "the process was killed by signal 11 before it was ready: no config"),
        (Exit::OutOfMemory, "the process was killed: out of memory before it was ready: no config"),
        (Exit::Vanished, "the process vanished before it was ready: no config"),
    ] {
        assert_eq!(ended(exit).to_string(), reason);
    }
}

#[test]
fn a_process_that_ends_twice_alike_is_not_waited_for_and_tried_on() {
    for (first, second, loops) in [
        (Exit::Code(1), Exit::Code(1), true),
        (Exit::Code(0), Exit::Code(0), true),
        (Exit::Signal(11), Exit::Signal(11), true),
        (Exit::OutOfMemory, Exit::OutOfMemory, true),
        (Exit::Code(1), Exit::Code(2), false),
        (Exit::Code(9), Exit::Signal(9), false),
        (Exit::Vanished, Exit::Vanished, false),
    ] {
        let mut heart = Heart::new();
        heart.apply("a");
        let id = heart.starting();
        heart.fail(&id, ended(first.clone()));
        assert_eq!(heart.outcome(), Outcome::Pending, "it may heal");
        heart.wait(1);
        let id = heart.starting();
        heart.fail(&id, ended(second.clone()));
        let status = heart.status();
        assert_eq!(heart.outcome() == Outcome::Looping, loops, "{first}, then {second}");
        assert!(matches!(status.phase, Phase::BackingOff { .. }));
        assert_eq!(status.failure.unwrap().reason, format!("the process {second} before it was ready: no config"));
        heart.wait(2);
        let id = heart.starting();
        heart.start(&id);
        assert_eq!(heart.outcome(), Outcome::Ready);
    }
}

fn full() -> StartError {
    StartError::NoRoom("the disk is full".into())
}

#[test]
fn a_disk_that_is_full_is_told_to_who_waits_and_tried_on_and_never_fails_a_generation_for_good() {
    let mut heart = Heart::new();
    heart.apply("a");
    for (times, wait) in [(1, 1), (2, 2), (3, 4)] {
        let id = heart.starting();
        heart.fail(&id, full());
        heart.removed(&id);
        assert_eq!(heart.outcome(), Outcome::NoRoom { reason: "the disk is full".into(), times });
        assert_eq!(heart.desired().failed, None);
        assert_eq!(heart.starts_after(wait), 1);
    }
    let id = heart.starting();
    heart.fail(&id, not_now());
    assert_eq!(heart.outcome(), Outcome::Pending, "the last start had room");
    heart.wait(8);
    let id = heart.starting();
    heart.start(&id);
    assert_eq!(heart.outcome(), Outcome::Ready);
}

#[test]
fn a_generation_that_served_is_pending_while_a_disk_is_full() {
    let (mut heart, old) = Heart::serving("a", 1);
    heart.crash(&old[0]);
    let id = heart.starting();
    heart.fail(&id, full());
    assert_eq!(heart.outcome(), Outcome::Pending);
    assert_eq!(heart.starts_after(1), 1);
}
