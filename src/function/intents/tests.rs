//! What is asked of a function, in sentences.

mod rollback;
mod undo;

use super::{Answer, Command, INTENTS_MAX, Intents, Next, Refusal, Write};
use crate::function::{Desired, Effect, Event, Generation, InstanceId, Lifecycle, Spec, SpecDraft, StartError, Uptime};

const NOW: &str = "2026-01-01T00:00:00Z";

fn spec(image: &str) -> Spec {
    SpecDraft { image: image.to_owned(), ..SpecDraft::default() }.try_into().unwrap()
}

/// A function whose store is this test.
struct Owner {
    intents: Intents<u32, &'static str>,
    life: Lifecycle,
    answers: Vec<Answer<u32, &'static str>>,
    brought_up: Vec<(InstanceId, String)>,
}

impl Owner {
    fn new() -> Self {
        let life = Lifecycle::new(&"f".parse().unwrap(), 1);
        Self { intents: Intents::default(), life, answers: Vec::new(), brought_up: Vec::new() }
    }

    /// A function that was created by caller 0 and serves.
    fn serving() -> Self {
        let mut owner = Self::new();
        owner.create(0, "a");
        owner.drain();
        owner.start_last();
        owner.drain();
        owner.answers.clear();
        owner
    }

    fn create(&mut self, caller: u32, image: &str) {
        self.intents.ask(Command::Apply { spec: Box::new(spec(image)), must_exist: false }, caller);
    }

    fn update(&mut self, caller: u32, image: &str) {
        self.intents.ask(Command::Apply { spec: Box::new(spec(image)), must_exist: true }, caller);
    }

    fn next(&mut self) -> Option<Write> {
        let Next { write, answers, .. } = self.intents.next(&self.life, NOW);
        self.answers.extend(answers);
        write
    }

    fn committed(&mut self, result: Result<(), &'static str>) {
        let done = self.intents.committed(result, &self.life);
        if let Some(event) = done.event {
            self.feed(event);
        }
        self.answers.extend(done.answers);
    }

    fn feed(&mut self, event: Event) {
        for effect in self.life.on(event, Uptime::default()) {
            match effect {
                Effect::BringUp(id, _, spec) => self.brought_up.push((id, spec.image.clone())),
                Effect::Record(_) => self.intents.record(),
                _ => {}
            }
        }
    }

    /// Writes all there is to write; returns it, records of what was learnt apart.
    fn drain(&mut self) -> Vec<String> {
        let mut written = Vec::new();
        while let Some(write) = self.next() {
            let before = self.life.desired().cloned();
            match write {
                Write::Delete => written.push("-".to_owned()),
                Write::Put(desired) if before.as_ref() == Some(&desired) => {}
                Write::Put(desired) => written.push(format!("{} x {}", desired.spec.image, desired.replicas)),
            }
            self.committed(Ok(()));
        }
        written
    }

    fn start_last(&mut self) {
        let id = self.brought_up.last().unwrap().0.clone();
        self.feed(Event::Started(id, "10.0.0.2:8080".parse().unwrap()));
    }

    fn fail_last(&mut self) {
        let id = self.brought_up.last().unwrap().0.clone();
        self.feed(Event::StartFailed(id, StartError::Image("no such image".into())));
    }

    fn find_no_room(&mut self) {
        let id = self.brought_up.last().unwrap().0.clone();
        self.feed(Event::StartFailed(id, StartError::NoRoom("the disk is full".into())));
    }

    /// What is asked for, in short.
    fn asked_for(&self) -> (u64, &str, u32) {
        let Desired { generation, spec, replicas, .. } = self.life.desired().unwrap();
        (generation.0, &spec.image, *replicas)
    }

    fn answered(&self) -> Vec<u32> {
        let mut callers: Vec<u32> = self.answers.iter().map(|(caller, _)| *caller).collect();
        callers.sort_unstable();
        callers
    }
}

#[test]
fn an_update_that_its_neighbour_replaces_is_never_written_and_both_callers_get_one_outcome() {
    let mut owner = Owner::serving();
    for (caller, image) in [(1, "b"), (2, "c"), (3, "d")] {
        owner.update(caller, image);
    }
    assert_eq!(owner.drain(), ["d x 1"]);
    assert!(owner.answers.is_empty());
    owner.start_last();
    owner.drain();
    assert_eq!(owner.answered(), [1, 2, 3]);
    assert!(owner.answers.iter().all(|(_, answer)| answer.is_ok()));
    assert_eq!(owner.brought_up.iter().map(|(_, image)| image.as_str()).collect::<Vec<_>>(), ["a", "d"]);
}

#[test]
fn an_update_that_is_being_written_is_not_replaced() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    assert!(matches!(owner.next(), Some(Write::Put(desired)) if desired.spec.image == "b"));
    owner.update(2, "c");
    assert_eq!(owner.next(), None, "one write at a time");
    owner.committed(Ok(()));
    assert_eq!(owner.drain(), ["c x 1"]);
}

#[test]
fn nothing_is_merged_across_a_scale_or_a_delete() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    owner.intents.ask(Command::Scale(3), 2);
    owner.update(3, "c");
    owner.intents.ask(Command::Delete, 4);
    owner.create(5, "d");
    assert_eq!(owner.drain(), ["b x 1", "b x 3", "c x 3", "-", "d x 1"]);
}

#[test]
fn a_create_and_the_update_behind_it_are_one_create_with_the_newer_spec() {
    let mut owner = Owner::new();
    owner.create(1, "a");
    owner.update(2, "b");
    assert_eq!(owner.drain(), ["b x 1"]);
    owner.fail_last();
    assert_eq!(owner.drain(), ["-"], "it is rolled back");
    let refused = || Err(Refusal::Unrunnable("no such image".into()));
    assert_eq!(owner.answers, [(1, refused()), (2, refused())]);
}

#[test]
fn a_second_create_is_refused_and_replaces_nothing() {
    let mut owner = Owner::new();
    owner.create(1, "a");
    owner.create(2, "b");
    owner.update(3, "c");
    assert_eq!(owner.drain(), ["a x 1", "c x 1"]);
    assert_eq!(owner.answers[0], (2, Err(Refusal::Exists)));
}

#[test]
fn a_second_create_goes_on_where_the_first_could_not_be_written() {
    let mut owner = Owner::new();
    owner.create(1, "a");
    owner.create(2, "b");
    assert!(owner.next().is_some());
    owner.committed(Err("full"));
    assert_eq!(owner.drain(), ["b x 1"]);
    assert_eq!(owner.answers, [(1, Err(Refusal::NotWritten("full")))]);
}

#[test]
fn all_whose_applies_were_merged_are_told_that_the_write_failed() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    owner.update(2, "c");
    assert!(owner.next().is_some());
    owner.committed(Err("full"));
    let refused = || Err(Refusal::NotWritten("full"));
    assert_eq!(owner.answers, [(1, refused()), (2, refused())]);
    assert_eq!(owner.life.desired().unwrap().spec.image, "a");
}

#[test]
fn what_is_asked_of_a_function_that_is_not_there_is_refused() {
    let mut owner = Owner::new();
    owner.update(1, "a");
    owner.intents.ask(Command::Scale(2), 2);
    owner.intents.ask(Command::Delete, 3);
    assert_eq!(owner.drain(), Vec::<String>::new());
    assert_eq!(owner.answered(), [1, 2, 3]);
    assert!(owner.answers.iter().all(|(_, answer)| *answer == Err(Refusal::NotFound)));
}

#[test]
fn updates_that_end_where_the_function_is_already_write_nothing() {
    let mut owner = Owner::serving();
    owner.update(1, "b");
    owner.update(2, "a");
    assert_eq!(owner.drain(), Vec::<String>::new());
    assert_eq!(owner.answers, [(1, Ok(())), (2, Ok(()))]);
}

#[test]
fn a_create_that_was_updated_before_it_failed_is_not_rolled_back() {
    let mut owner = Owner::new();
    owner.create(1, "a");
    owner.drain();
    owner.update(2, "b");
    owner.fail_last();
    assert_eq!(owner.drain(), ["b x 1"]);
    assert_eq!(owner.answers[0], (1, Err(Refusal::Unrunnable("no such image".into()))));
    assert!(owner.life.desired().is_some());
}

#[test]
fn what_could_not_be_recorded_is_asked_for_again_and_no_caller_hears_of_it() {
    let mut owner = Owner::new();
    owner.create(1, "a");
    owner.drain();
    owner.start_last();
    assert!(matches!(owner.next(), Some(Write::Put(desired)) if desired.has_served));
    let done = owner.intents.committed(Err("full"), &owner.life);
    assert_eq!((done.record_again, done.answers, done.event), (Some("full"), Vec::new(), None));
}

#[test]
fn a_stop_is_written_before_it_is_told_and_the_number_that_was_asked_for_stays() {
    let mut owner = Owner::serving();
    owner.intents.ask(Command::KeepDown(true), 1);
    assert!(matches!(owner.next(), Some(Write::Put(desired)) if desired.kept_down && desired.replicas == 1));
    assert!(owner.answers.is_empty() && !owner.life.desired().unwrap().kept_down);
    owner.committed(Ok(()));
    assert_eq!(owner.answers, [(1, Ok(()))]);
    assert!(owner.life.desired().unwrap().kept_down);
    owner.intents.ask(Command::KeepDown(true), 2);
    assert_eq!(owner.next(), None, "it is so already");
    owner.update(3, "b");
    owner.intents.ask(Command::Scale(4), 4);
    assert_eq!(owner.drain(), ["b x 1", "b x 4"]);
    assert_eq!(owner.answered(), [1, 2, 3, 4], "none waits for what will not start");
    assert!(owner.life.desired().unwrap().kept_down);
    owner.intents.ask(Command::KeepDown(false), 5);
    owner.drain();
    assert_eq!(owner.brought_up.iter().filter(|(_, image)| image == "b").count(), 4);
}

#[test]
fn a_number_that_a_call_woke_is_written_before_a_caller_hears_that_it_is_so() {
    let mut owner = Owner::serving();
    owner.intents.ask(Command::Scale(0), 1);
    owner.drain();
    owner.feed(Event::Wake);
    owner.intents.ask(Command::Scale(1), 2);
    assert!(matches!(owner.next(), Some(Write::Put(desired)) if desired.replicas == 1));
    assert_eq!(owner.answered(), [1]);
    owner.committed(Ok(()));
    assert_eq!(owner.answered(), [1, 2]);
    // The same where the record of a wake could not be written.
    owner.intents.ask(Command::Scale(0), 3);
    owner.drain();
    owner.feed(Event::Wake);
    assert!(owner.next().is_some());
    owner.committed(Err("full"));
    owner.intents.ask(Command::Scale(1), 4);
    assert!(owner.next().is_some() && !owner.answered().contains(&4));
}

#[test]
fn more_than_the_queue_holds_are_told_to_come_back() {
    let mut owner = Owner::serving();
    owner.update(0, "b");
    assert!(owner.next().is_some(), "the write that all others wait for");
    for caller in 1..=u32::try_from(INTENTS_MAX).unwrap() + 1 {
        owner.update(caller, "c");
    }
    owner.next();
    assert_eq!(owner.answers, [(257, Err(Refusal::Busy))]);
}

fn refused<E>() -> Result<(), Refusal<E>> {
    Err(Refusal::Unrunnable("no such image".into()))
}
