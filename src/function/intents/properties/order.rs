//! Commands have their turn in the order in which they were asked, each once: written, or answered as the function stands.

use std::collections::BTreeSet;

use super::undo::scale;
use super::{Caller, World};
use crate::function::Event;
use crate::function::intents::{Answer, Command, Refusal, Then, Write};

impl World {
    pub(super) fn told(&mut self, answers: Vec<Answer<Caller, ()>>) {
        for (caller, answer) in answers {
            match answer {
                // Refused by how the function stands on the disk, in the order in which it was asked.
                Err(Refusal::Exists | Refusal::NotFound | Refusal::NotKept { .. }) => {
                    if self.asked.front().is_some_and(|(first, _)| *first != caller) {
                        self.take_unwritten(None, Some(caller));
                    }
                    let (first, command) = self.asked.pop_front().expect("a refusal of what was not asked");
                    assert_eq!(first, caller, "answered out of order");
                    if let (Command::Rollback(to), Some(newest)) = (&command, self.life.desired()) {
                        assert_eq!(self.known.target(newest.generation, *to), None, "refused, and it is kept");
                        assert_eq!(answer, Err(Refusal::NotKept { to: *to, kept: self.known.kept() }));
                        assert!(self.answers.insert(caller, answer).is_none(), "caller {caller} was answered twice");
                        continue;
                    }
                    let create = matches!(command, Command::Apply { must_exist: false, .. });
                    assert_eq!(answer, Err(if create { Refusal::Exists } else { Refusal::NotFound }));
                    assert_eq!(create, self.durable.is_some(), "refused for what is not so");
                }
                Ok(()) if !self.accepted.contains_key(&caller) => {
                    self.take_unwritten(Some(caller), None);
                    assert!(self.accepted.contains_key(&caller), "accepted, and neither written nor as it was");
                }
                Ok(()) => assert!(self.accepted[&caller], "accepted although it was not written"),
                Err(Refusal::Unrunnable(_) | Refusal::NoRoom(_)) => {
                    assert!(self.accepted[&caller], "it was never written");
                    let refused = self.generations[&caller];
                    let there = self.durable.as_ref().is_some_and(|durable| durable.generation == refused);
                    assert!(!there || self.kept.contains(&refused), "told before it was undone");
                }
                // Of a create that could not be undone, this is told although it was written.
                Err(Refusal::NotWritten(())) => assert!(self.accepted.contains_key(&caller), "it was never tried"),
                Err(Refusal::Busy) => panic!("the queue is not full"),
            }
            if matches!(answer, Ok(()) | Err(Refusal::NotWritten(()))) && self.accepted[&caller] {
                self.kept.extend(self.generations.get(&caller));
            }
            assert!(self.answers.insert(caller, answer).is_none(), "caller {caller} was answered twice");
        }
    }

    /// Takes commands from the head that change nothing on the disk: until that of `last` is among them, and none from
    /// that of `before` on. What else may be one row with them is the queue's to say, since two may ask for the same.
    pub(super) fn take_unwritten(&mut self, last: Option<Caller>, before: Option<Caller>) {
        while let Some(there) = self.life.desired().cloned() {
            let at = |caller: Caller| self.asked.iter().position(|(asked, _)| *asked == caller);
            let fits = |count: &usize| match &self.asked[count - 1].1 {
                Command::Apply { spec, .. } => self.life.accept((**spec).clone(), "") == there,
                Command::Rollback(to) => {
                    let target = self.known.target(there.generation, *to);
                    target.is_some_and(|target| self.life.accept((**target).clone(), "") == there)
                }
                Command::Scale(replicas) => *replicas == there.replicas,
                Command::KeepDown(down) => *down == there.kept_down,
                Command::Delete => false,
            };
            let least = last.and_then(at).map_or(1, |at| at + 1);
            let most = before.and_then(at).map_or(self.longest_row(), |at| self.longest_row().min(at));
            let run = match last {
                Some(_) if least <= most => (least..=most).find(fits),
                _ => (1..=most).rev().find(fits),
            };
            let Some(run) = run else { return };
            let mut taken = Vec::new();
            for (caller, command) in self.asked.drain(..run) {
                match command {
                    Command::Apply { .. } | Command::Rollback(_) => {
                        self.generations.insert(caller, there.generation);
                    }
                    Command::Scale(replicas) => scale(&mut self.before, there.generation, replicas),
                    Command::KeepDown(_) | Command::Delete => {}
                }
                taken.push(caller);
            }
            self.accepted.extend(taken.iter().map(|caller| (*caller, true)));
            if last.is_some_and(|last| taken.contains(&last)) {
                return;
            }
        }
    }

    /// How many commands at the head may come to what the last of them is: one, or an Apply and the updates right behind
    /// it; none where it will be refused. (The undoing of a failed create that is queued between them ends the row, and is
    /// not seen here.)
    pub(super) fn longest_row(&self) -> usize {
        let update = |command: &Command| matches!(command, Command::Apply { must_exist: true, .. });
        match self.asked.front() {
            None => 0,
            Some((_, Command::Apply { must_exist, .. })) if *must_exist != self.life.desired().is_some() => 0,
            Some((_, Command::Apply { .. })) => {
                1 + self.asked.iter().skip(1).take_while(|(_, command)| update(command)).count()
            }
            Some(_) => 1,
        }
    }

    /// The callers whose commands a write stands for, which must be those that come next.
    pub(super) fn covered_by(&mut self, write: &Write) -> Vec<Caller> {
        // What the lifecycle learnt, and the undoing of a failed create, are asked by no caller.
        match self.intents.committing.as_ref().map(|commit| &commit.then) {
            Some(Then::Recorded) => {
                assert!(matches!(write, Write::Put(desired) if Some(desired) == self.life.desired()));
                self.take_unwritten(None, None);
                assert!(self.asked.is_empty(), "commands go first: {:?}", self.asked);
                return Vec::new();
            }
            Some(Then::PutBack(callers)) => {
                let told: BTreeSet<Caller> = callers.iter().map(|(caller, _)| *caller).collect();
                // Among them those who asked for the same as what is about to be undone.
                for caller in &told {
                    if !self.accepted.contains_key(caller) {
                        self.take_unwritten(Some(*caller), None);
                    }
                }
                self.check_undone(write, &told);
                return Vec::new();
            }
            _ => {}
        }
        let event = self.intents.committing.as_ref().and_then(|commit| commit.event.clone());
        let merged = match self.intents.committing.as_ref().map(|commit| &commit.then) {
            Some(Then::Await { callers, .. }) => callers.clone(),
            Some(Then::Accept(caller)) => vec![*caller],
            _ => panic!("{write:?} is of no caller"),
        };
        let comes_next = |world: &Self| world.asked.iter().map(|(caller, _)| caller).take(merged.len()).eq(&merged);
        if !comes_next(self) {
            self.take_unwritten(None, merged.first().copied());
        }
        assert!(comes_next(self) && merged.len() <= self.longest_row(), "{write:?} of {merged:?}: {:?}", self.asked);
        let fits = |command: &Command| match (write, command, &event) {
            (Write::Put(desired), Command::Apply { spec, .. }, Some(Event::Apply(_))) => *desired.spec == **spec,
            (Write::Put(desired), Command::Rollback(to), Some(Event::Apply(_))) => {
                let newest = self.life.desired().expect("rolled back, and it is not there");
                self.known.target(newest.generation, *to) == Some(&desired.spec)
            }
            (Write::Put(desired), Command::Scale(replicas), Some(Event::Scale(_))) => desired.replicas == *replicas,
            (Write::Put(desired), Command::KeepDown(down), Some(Event::KeepDown(_))) => desired.kept_down == *down,
            (Write::Delete, Command::Delete, _) => true,
            _ => false,
        };
        assert!(fits(&self.asked[merged.len() - 1].1), "{write:?} is not what the last of {merged:?} asked for");
        if let (Write::Put(desired), Some(Event::Apply(_))) = (write, &event) {
            self.known.accepted(desired);
            self.generations.extend(merged.iter().map(|caller| (*caller, desired.generation)));
        }
        self.asked.drain(..merged.len()).map(|(caller, _)| caller).collect()
    }
}
