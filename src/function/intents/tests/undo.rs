//! What becomes of an update that is refused.

use super::*;

#[test]
fn a_refused_update_is_undone_in_one_write_and_then_all_its_callers_are_told() {
    let mut owner = Owner::serving();
    let before = owner.life.desired().unwrap().clone();
    owner.update(1, "b");
    owner.update(2, "c");
    owner.drain();
    owner.update(3, "c");
    assert_eq!(owner.next(), None, "it is on its way already");
    owner.fail_last();
    let Some(Write::Put(restored)) = owner.next() else { panic!("it is put back") };
    assert_eq!(Desired { refused: None, ..restored.clone() }, before);
    let refusal = restored.refused.unwrap();
    assert_eq!((refusal.generation, refusal.image.as_str()), (Generation(2), "c"));
    assert_eq!((refusal.reason.as_str(), refusal.at.as_str()), ("no such image", NOW));
    assert_eq!(owner.answers, [], "not before it is durable");
    owner.committed(Ok(()));
    assert_eq!(owner.answers, [(1, refused()), (2, refused()), (3, refused())]);
    assert_eq!((owner.next(), owner.asked_for()), (None, (1, "a", 1)));
}

#[test]
fn a_refused_update_that_is_asked_for_again_is_tried_again_under_a_new_number() {
    let mut owner = Owner::serving();
    for (caller, generation) in [(1, 2), (2, 3)] {
        owner.update(caller, "b");
        assert_eq!(owner.drain(), ["b x 1"]);
        assert_eq!(owner.asked_for().0, generation);
        owner.fail_last();
        assert_eq!(owner.drain(), ["a x 1"]);
    }
    assert_eq!(owner.answers, [(1, refused()), (2, refused())]);
    assert_eq!(owner.life.desired().unwrap().refused.as_ref().unwrap().generation, Generation(3));
}

#[test]
fn a_scale_that_came_behind_a_refused_update_stays_and_what_the_update_asked_for_itself_does_not() {
    let at_least_three = |image: &str| {
        let labels = [("com.openfaas.scale.min".to_owned(), "3".to_owned())].into();
        Spec::try_from(SpecDraft { image: image.to_owned(), labels, ..SpecDraft::default() }).unwrap()
    };
    for (scales, replicas) in [(&[][..], 1), (&[5], 5), (&[3], 3), (&[4, 2], 2)] {
        let mut owner = Owner::serving();
        owner.intents.ask(Command::Apply { spec: Box::new(at_least_three("b")), must_exist: true }, 1);
        assert_eq!(owner.drain(), ["b x 3"]);
        for scale in scales {
            owner.intents.ask(Command::Scale(*scale), 2);
        }
        owner.drain();
        owner.fail_last();
        owner.drain();
        assert_eq!(owner.asked_for(), (1, "a", replicas), "scaled to {scales:?}");
    }
}

#[test]
fn what_was_stopped_or_woken_behind_a_refused_update_stays_so() {
    let mut owner = Owner::serving();
    owner.intents.ask(Command::Scale(0), 1);
    owner.drain();
    owner.update(2, "b");
    owner.drain();
    owner.intents.ask(Command::Scale(0), 3);
    owner.drain();
    owner.feed(Event::Wake);
    owner.drain();
    owner.answers.clear();
    owner.update(4, "c");
    owner.drain();
    owner.intents.ask(Command::KeepDown(true), 5);
    assert!(owner.next().is_some());
    owner.fail_last();
    owner.committed(Ok(()));
    owner.drain();
    let now = owner.life.desired().unwrap();
    assert_eq!((now.spec.image.as_str(), now.replicas, now.kept_down), ("b", 1, true));
}

#[test]
fn what_is_queued_behind_a_refused_update_goes_on_from_what_is_put_back() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    owner.drain();
    owner.intents.ask(Command::Scale(2), 2);
    assert!(owner.next().is_some(), "a write under way");
    owner.update(3, "c");
    owner.fail_last();
    assert_eq!(owner.next(), None);
    owner.committed(Ok(()));
    assert_eq!(owner.drain(), ["a x 2", "c x 2"]);
    owner.fail_last();
    assert_eq!(owner.drain(), ["a x 2"]);
    assert_eq!(owner.answers, [(2, Ok(())), (1, refused()), (3, refused())]);
}

#[test]
fn an_update_that_was_being_written_when_the_one_before_it_was_refused_is_undone_to_what_was_before_both() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    owner.drain();
    owner.update(2, "c");
    assert!(owner.next().is_some());
    owner.fail_last();
    assert_eq!(owner.next(), None);
    owner.committed(Ok(()));
    assert_eq!(owner.drain(), Vec::<String>::new());
    owner.fail_last();
    assert_eq!(owner.drain(), ["a x 1"]);
    assert_eq!(owner.answers, [(1, refused()), (2, refused())]);
}

#[test]
fn an_update_of_a_refused_create_is_undone_to_nothing() {
    let mut owner = Owner::new();
    owner.create(1, "a");
    owner.drain();
    owner.update(2, "b");
    owner.fail_last();
    assert_eq!(owner.drain(), ["b x 1"]);
    owner.fail_last();
    assert_eq!(owner.drain(), ["-"]);
    assert_eq!(owner.answers, [(1, refused()), (2, refused())]);
}

#[test]
fn an_update_that_failed_after_a_caller_was_told_that_it_is_accepted_is_kept() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    assert!(owner.next().is_some());
    let wait = owner.intents.committed(Ok(()), &owner.life);
    owner.feed(wait.event.unwrap());
    let accepted = owner.intents.wait_over(wait.wait.unwrap());
    assert_eq!(accepted, [(1, Ok(()))]);
    owner.update(2, "b");
    owner.drain();
    owner.fail_last();
    owner.drain();
    assert_eq!((owner.answers.as_slice(), owner.asked_for()), (&[(2, refused())][..], (2, "b", 1)));
    assert!(owner.life.desired().unwrap().failed.is_some());
    // Refused, one that takes its place is undone to that.
    owner.update(3, "c");
    owner.drain();
    owner.fail_last();
    owner.drain();
    assert_eq!((owner.answers[1].clone(), owner.asked_for()), ((3, refused()), (2, "b", 1)));
    assert!(owner.life.desired().unwrap().failed.is_some());
}

#[test]
fn an_update_that_took_the_place_of_one_on_trial_and_is_refused_puts_that_back_on_trial() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    owner.drain();
    owner.update(2, "c");
    owner.drain();
    assert_eq!(owner.answers, [(1, Ok(()))], "a newer one took its place");
    owner.fail_last();
    assert_eq!(owner.drain(), ["b x 1"]);
    assert_eq!(owner.asked_for(), (2, "b", 1));
    owner.start_last();
    owner.drain();
    let now = owner.life.desired().unwrap();
    assert!(now.has_served && now.refused.as_ref().is_some_and(|refused| refused.generation == Generation(3)));
}

#[test]
fn a_refused_update_that_cannot_be_undone_counts_as_one_that_failed_after_it_was_accepted() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    owner.drain();
    owner.fail_last();
    assert!(owner.next().is_some());
    owner.committed(Err("full"));
    assert_eq!(owner.answers, [(1, Err(Refusal::NotWritten("full")))]);
    assert!(matches!(owner.next(), Some(Write::Put(desired)) if desired.failed.is_some() && desired.spec.image == "b"));
    owner.committed(Ok(()));
    assert_eq!(owner.life.desired().unwrap().serving_spec().image, "a");
}

#[test]
fn a_function_that_is_deleted_while_its_update_is_refused_is_gone() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    owner.drain();
    owner.intents.ask(Command::Delete, 2);
    assert_eq!(owner.next(), Some(Write::Delete));
    owner.fail_last();
    assert_eq!(owner.next(), None);
    owner.committed(Ok(()));
    assert_eq!(owner.drain(), Vec::<String>::new());
    assert_eq!(owner.answers, [(2, Ok(())), (1, refused())]);
    assert!(owner.life.desired().is_none());
}

fn no_room() -> Result<(), Refusal<&'static str>> {
    Err(Refusal::NoRoom("the disk is full".into()))
}

#[test]
fn what_finds_a_disk_full_is_undone_before_its_callers_are_told() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    owner.drain();
    owner.find_no_room();
    let Some(Write::Put(restored)) = owner.next() else { panic!("it is put back") };
    let refusal = restored.refused.unwrap();
    assert_eq!((refusal.generation, refusal.reason.as_str()), (Generation(2), "the disk is full"));
    assert_eq!(owner.answers, [], "not before it is durable");
    owner.committed(Ok(()));
    assert_eq!((owner.answers.clone(), owner.asked_for()), (vec![(1, no_room())], (1, "a", 1)));

    let mut owner = Owner::new();
    owner.create(1, "a");
    owner.drain();
    owner.find_no_room();
    assert_eq!(owner.drain(), ["-"]);
    assert_eq!((owner.answers.clone(), owner.life.desired()), (vec![(1, no_room())], None));
}

#[test]
fn who_asks_for_the_same_while_it_is_being_undone_is_told_the_same() {
    let mut owner = Owner::new();
    owner.create(1, "a");
    owner.drain();
    owner.intents.ask(Command::Scale(2), 2);
    let Some(Write::Put(_)) = owner.next() else { panic!("a write is under way") };
    owner.update(3, "a");
    owner.find_no_room();
    assert_eq!(owner.next(), None);
    owner.committed(Ok(()));
    assert_eq!(owner.drain(), ["-"]);
    assert_eq!(owner.answers, [(2, Ok(())), (1, no_room()), (3, no_room())]);
    assert_eq!(owner.life.desired(), None);
}

#[test]
fn what_was_accepted_is_kept_however_full_the_disk_is_and_a_later_caller_waits_for_the_next_start() {
    let mut owner = Owner::new();
    owner.create(1, "a");
    let wait = {
        let Some(Write::Put(_)) = owner.next() else { panic!("it is written") };
        let done = owner.intents.committed(Ok(()), &owner.life);
        owner.feed(done.event.unwrap());
        done.wait.unwrap()
    };
    assert_eq!(owner.intents.wait_over(wait), [(1, Ok(()))]);
    owner.find_no_room();
    owner.update(2, "a");
    assert_eq!((owner.drain(), owner.answers.len()), (Vec::<String>::new(), 0), "not told of a start before it came");
    assert_eq!(owner.asked_for(), (1, "a", 1));
}
