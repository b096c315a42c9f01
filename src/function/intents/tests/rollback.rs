//! Going back to a generation that served before.

use super::*;

impl Owner {
    /// A function that served `a`, then `b`, and serves `c` as its third generation.
    fn third() -> Self {
        let mut owner = Self::serving();
        for image in ["b", "c"] {
            owner.update(0, image);
            owner.serve_last();
        }
        owner.answers.clear();
        owner
    }

    fn rollback(&mut self, caller: u32, to: Option<u64>) {
        self.intents.ask(Command::Rollback(to.map(Generation)), caller);
    }

    fn serve_last(&mut self) {
        self.drain();
        self.start_last();
        self.drain();
    }
}

fn not_kept(to: Option<u64>, kept: &[u64]) -> Result<(), Refusal<&'static str>> {
    Err(Refusal::NotKept { to: to.map(Generation), kept: kept.iter().map(|number| Generation(*number)).collect() })
}

#[test]
fn a_rollback_is_an_update_to_what_served_before_and_its_caller_hears_when_that_serves() {
    let mut owner = Owner::third();
    owner.rollback(1, None);
    assert_eq!(owner.drain(), ["b x 1"]);
    assert_eq!((owner.asked_for(), owner.answers.len()), ((4, "b", 1), 0));
    owner.start_last();
    owner.drain();
    assert_eq!(owner.answers, [(1, Ok(()))]);
    owner.rollback(2, Some(1));
    owner.serve_last();
    assert_eq!((owner.asked_for(), owner.answers.len()), ((5, "a", 1), 2));
}

#[test]
fn two_rollbacks_go_there_and_back_also_when_the_second_comes_before_the_first_serves() {
    for serves in [true, false] {
        let mut owner = Owner::third();
        owner.rollback(1, None);
        owner.drain();
        if serves {
            owner.start_last();
        }
        owner.rollback(2, None);
        assert_eq!(owner.drain(), ["c x 1"], "{serves}");
    }
    let mut owner = Owner::third();
    owner.rollback(1, None);
    owner.rollback(2, None);
    assert_eq!(owner.drain(), ["b x 1", "c x 1"]);
}

#[test]
fn where_it_goes_back_to_is_chosen_when_its_turn_comes() {
    let mut owner = Owner::third();
    owner.update(1, "d");
    owner.rollback(2, None);
    assert_eq!(owner.drain(), ["d x 1", "c x 1"], "to what serves instead of what never did");
    owner.serve_last();
    owner.intents.ask(Command::Delete, 3);
    owner.rollback(4, None);
    owner.create(5, "e");
    owner.rollback(6, None);
    assert_eq!(owner.drain(), ["-", "e x 1"]);
    assert_eq!(owner.answers[3..], [(4, Err(Refusal::NotFound)), (6, not_kept(None, &[]))]);
}

#[test]
fn an_update_that_failed_is_rolled_back_to_what_serves_and_is_forgotten() {
    let mut owner = Owner::third();
    owner.update(1, "d");
    assert!(owner.next().is_some());
    let wait = owner.intents.committed(Ok(()), &owner.life);
    owner.feed(wait.event.unwrap());
    owner.intents.wait_over(wait.wait.unwrap());
    owner.fail_last();
    owner.drain();
    assert!(owner.life.desired().unwrap().failed.is_some());
    owner.rollback(2, None);
    owner.serve_last();
    assert_eq!((owner.asked_for(), owner.answers.as_slice()), ((5, "c", 1), &[(2, Ok(()))][..]));
    assert_eq!(owner.life.desired().unwrap().failed, None);
}

#[test]
fn what_is_not_kept_is_refused_with_what_is() {
    let mut owner = Owner::serving();
    owner.rollback(1, None);
    owner.rollback(2, Some(7));
    assert_eq!(owner.drain(), Vec::<String>::new());
    assert_eq!(owner.answers, [(1, not_kept(None, &[1])), (2, not_kept(Some(7), &[1]))]);
    let mut owner = Owner::third();
    owner.rollback(1, Some(0));
    owner.rollback(2, Some(3));
    assert_eq!(owner.drain(), Vec::<String>::new());
    assert_eq!(owner.answers, [(1, not_kept(Some(0), &[3, 2, 1])), (2, Ok(()))], "what serves is there already");
}

#[test]
fn a_rollback_that_can_not_run_any_more_is_refused_and_undone_as_an_update_is() {
    let mut owner = Owner::third();
    let before = owner.life.desired().unwrap().clone();
    owner.rollback(1, None);
    owner.drain();
    owner.fail_last();
    assert_eq!(owner.drain(), ["c x 1"]);
    assert_eq!(owner.answers, [(1, refused())]);
    assert_eq!(Desired { refused: None, ..owner.life.desired().unwrap().clone() }, before);
    owner.rollback(2, Some(1));
    assert_eq!(owner.drain(), ["a x 1"]);
    assert_eq!(owner.asked_for().0, 5, "no number twice");
}

#[test]
fn a_rollback_keeps_the_number_and_that_it_is_kept_down() {
    let mut owner = Owner::third();
    owner.intents.ask(Command::Scale(3), 1);
    owner.intents.ask(Command::KeepDown(true), 2);
    owner.rollback(3, None);
    assert_eq!(owner.drain(), ["c x 3", "c x 3", "b x 3"]);
    assert!(owner.life.desired().unwrap().kept_down);
    assert_eq!(owner.answered(), [1, 2, 3], "none waits for what will not start");
}
