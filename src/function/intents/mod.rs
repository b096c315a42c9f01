//! What was asked of a function and is not durable yet: pure, it plans what to write and says who is answered what.
//!
//! ```text
//! ask, record -> queue -> next: a write, one at a time -> committed: an event for the lifecycle, and
//!                                                         an answer, or a place among the waiting
//! next: a waiting caller's generation came to something -> an answer; it was refused -> PutBack -> queue
//! ```
//! The owner keeps the callers' channels, writes, and feeds the lifecycle; `C` stands for a caller, `E` for a failed write.
//!
//! An Apply that the next one in the queue replaces is never written: its caller gets the outcome of the one that replaced
//! it. Only neighbours are merged, so nothing overtakes a Scale or a Delete.
//!
//! A generation that fails for good, or finds a disk full, before any of its callers was told a success is refused: what
//! stood before it is put back (`undo`), and then its callers are told why.

mod plan;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod undo;
mod waiting;

use std::collections::VecDeque;

use self::undo::Undo;
pub use self::waiting::WaitNumber;
use self::waiting::{Cause, Settled, WAITERS_MAX, Waiting};
use super::lifecycle::{Desired, Event, Generation, Lifecycle};
use super::spec::Spec;

/// The most callers whose intents wait for one function's store; more are told to come back.
pub const INTENTS_MAX: usize = 256;

/// What a caller asks of a function.
#[derive(Debug, Clone)]
pub enum Command {
    /// Be this.
    Apply {
        /// What the function is asked to be.
        spec: Box<Spec>,
        /// Whether the function has to exist (an update), or must not (a create).
        must_exist: bool,
    },
    /// Be again what it was in this generation; without one, in the newest good one before the one that is asked for. Which
    /// that is, is looked up when its turn comes.
    Rollback(Option<Generation>),
    /// Run so many instances.
    Scale(u32),
    /// Stay down whatever is called, or no longer.
    KeepDown(bool),
    /// Be gone.
    Delete,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal<E> {
    /// Too much is waiting already.
    Busy,
    /// There is no such function.
    NotFound,
    /// There is such a function already.
    Exists,
    /// There is no such generation to go back to.
    NotKept {
        /// The one that was named, if one was.
        to: Option<Generation>,
        /// Those that there are, newest first.
        kept: Vec<Generation>,
    },
    /// It failed for this reason, which does not heal by itself. Nothing was kept of it, unless another caller was told
    /// before that it is accepted.
    Unrunnable(String),
    /// A disk has no room for it, as this says. Nothing was kept of it, as above.
    NoRoom(String),
    /// It could not be made durable.
    NotWritten(E),
}

/// What a caller is told, once.
pub type Answer<C, E> = (C, Result<(), Refusal<E>>);

/// What has to be made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// This record.
    Put(Desired),
    /// That there is no record.
    Delete,
}

/// What follows from a look at the queue.
#[derive(Debug)]
pub struct Next<C, E> {
    /// To be made durable; [`Intents::committed`] is owed for it.
    pub write: Option<Write>,
    /// Callers to answer.
    pub answers: Vec<Answer<C, E>>,
    /// Waits that begin now; [`Intents::wait_over`] is owed for each.
    pub waits: Vec<WaitNumber>,
}

/// What follows from the end of a write, in this order.
#[derive(Debug)]
pub struct Committed<C, E> {
    /// To be told to the lifecycle first.
    pub event: Option<Event>,
    /// Callers to answer.
    pub answers: Vec<Answer<C, E>>,
    /// A wait that begins now.
    pub wait: Option<WaitNumber>,
    /// What the lifecycle learnt could not be written: [`Intents::record`] is due again after a while.
    pub record_again: Option<E>,
}

/// The queue, the write under way and the waiting callers of one function.
#[derive(Debug)]
pub struct Intents<C, E> {
    queue: VecDeque<Intent<C>>,
    /// Whether the lifecycle learnt something that the store should know. Every record that is written carries it, so a
    /// write of its own waits until nothing else is queued.
    record: bool,
    /// Whether the last such write failed, so that the store may lack what the lifecycle learnt.
    unrecorded: bool,
    committing: Option<Commit<C>>,
    waiting: Waiting<C>,
    /// What a refusal of the newest generation puts back, as long as none of its callers was told a success.
    undo: Option<Undo>,
    /// Answers that are due with the next look.
    due: Vec<Answer<C, E>>,
}

#[derive(Debug)]
enum Intent<C> {
    Asked(Command, C),
    /// A generation was refused: what stood before it is put back, then these callers are told why.
    PutBack {
        generation: Generation,
        callers: Vec<(C, Cause)>,
    },
}

/// What is being written: what the lifecycle is told afterwards, and which callers.
#[derive(Debug)]
struct Commit<C> {
    event: Option<Event>,
    then: Then<C>,
    /// Whether it carries what the lifecycle learnt.
    carries_record: bool,
}

#[derive(Debug)]
enum Then<C> {
    /// Nothing: the lifecycle learnt it, no caller asked.
    Recorded,
    /// A success.
    Accept(C),
    /// What becomes of the generation.
    Await { generation: Generation, callers: Vec<C> },
    /// That a generation was refused, for these reasons.
    PutBack(Vec<(C, Cause)>),
}

impl<C, E> Default for Intents<C, E> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            record: false,
            unrecorded: false,
            committing: None,
            waiting: Waiting::default(),
            undo: None,
            due: Vec::new(),
        }
    }
}

impl<C, E: Clone> Intents<C, E> {
    /// Puts a command into the queue; where that is full, the answer is due with the next look.
    pub fn ask(&mut self, command: Command, caller: C) {
        let queued = self.queue.iter().filter(|intent| matches!(intent, Intent::Asked(..))).count();
        if queued >= INTENTS_MAX || self.waiting.len() >= WAITERS_MAX {
            self.due.push((caller, Err(Refusal::Busy)));
        } else {
            self.queue.push_back(Intent::Asked(command, caller));
        }
    }

    /// The lifecycle learnt something that the store should know: what it is, is looked up when it is written.
    pub fn record(&mut self) {
        self.record = true;
    }

    /// Answers what can be answered as the function stands, and takes the next write from the queue, if none is under way.
    /// Owed after every event, command and end of a write. `now` becomes `created_at` of a create.
    pub fn next(&mut self, life: &Lifecycle, now: &str) -> Next<C, E> {
        let mut next = Next { write: None, answers: std::mem::take(&mut self.due), waits: Vec::new() };
        self.settle(life, &mut next.answers);
        while self.committing.is_none()
            && let Some(intent) = self.queue.pop_front()
        {
            self.plan(intent, life, now, &mut next);
            self.settle(life, &mut next.answers);
        }
        if self.committing.is_none()
            && std::mem::take(&mut self.record)
            && let Some(desired) = life.desired()
        {
            self.write(Write::Put(desired.clone()), None, Then::Recorded, &mut next);
        }
        next
    }

    /// The write that [`Intents::next`] asked for succeeded or failed. `life` does not know of it yet.
    pub fn committed(&mut self, result: Result<(), E>, life: &Lifecycle) -> Committed<C, E> {
        let mut done = Committed { event: None, answers: Vec::new(), wait: None, record_again: None };
        let Some(Commit { event, then, carries_record }) = self.committing.take() else { return done };
        match result {
            Ok(()) => {
                self.unrecorded = false;
                if let Some(event) = &event {
                    self.note_undo(event, life);
                }
                done.event = event;
                match then {
                    Then::Recorded => {}
                    Then::Accept(caller) => done.answers.push((caller, Ok(()))),
                    Then::Await { generation, callers } => {
                        done.wait = Some(self.waiting.add(generation, callers, life));
                    }
                    Then::PutBack(callers) => done.answers.extend(callers.into_iter().map(came_to_nothing)),
                }
            }
            Err(error) => {
                let callers = match then {
                    Then::Recorded => {
                        self.unrecorded = true;
                        done.record_again = Some(error);
                        return done;
                    }
                    Then::Accept(caller) => vec![caller],
                    Then::Await { callers, .. } => callers,
                    Then::PutBack(callers) => callers.into_iter().map(|(caller, _)| caller).collect(),
                };
                self.record |= carries_record;
                let refused = |caller| (caller, Err(Refusal::NotWritten(error.clone())));
                done.answers.extend(callers.into_iter().map(refused));
            }
        }
        done
    }

    /// A wait took too long: what was accepted stays accepted, so this is a success.
    pub fn wait_over(&mut self, number: WaitNumber) -> Vec<Answer<C, E>> {
        let over = self.waiting.end(number);
        over.into_iter().map(|(generation, caller)| self.succeeded(generation, caller)).collect()
    }

    /// Whether nothing is queued, being written or waited for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && !self.record
            && self.committing.is_none()
            && self.waiting.len() == 0
            && self.due.is_empty()
    }

    /// Answers the callers whose generation came to something. Those who are refused are told once it is undone.
    fn settle(&mut self, life: &Lifecycle, answers: &mut Vec<Answer<C, E>>) {
        let mut refused = Vec::new();
        for Settled { generation, caller, result } in self.waiting.settle(life) {
            match result {
                Ok(()) => answers.push(self.succeeded(generation, caller)),
                Err(cause) if self.can_undo(generation) => refused.push((caller, cause)),
                Err(cause) => answers.push(came_to_nothing((caller, cause))),
            }
        }
        if !refused.is_empty() {
            self.put_back(refused);
        }
    }

    /// Tells a caller a success: from now on what it asked for is kept, whatever becomes of it.
    fn succeeded(&mut self, generation: Generation, caller: C) -> Answer<C, E> {
        self.undo.take_if(|undo| undo.generation == generation);
        (caller, Ok(()))
    }
}

fn came_to_nothing<C, E>((caller, cause): (C, Cause)) -> Answer<C, E> {
    let refusal = match cause {
        Cause::Unrunnable(reason) => Refusal::Unrunnable(reason),
        Cause::NoRoom(reason) => Refusal::NoRoom(reason),
    };
    (caller, Err(refusal))
}
