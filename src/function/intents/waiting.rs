//! Callers that wait for what becomes of a generation.

use crate::function::lifecycle::{Generation, Lifecycle, Outcome};

/// The most callers that wait for one function; more are told to come back.
pub(super) const WAITERS_MAX: usize = 256;

/// Names a wait, so that its time can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaitNumber(u64);

#[derive(Debug)]
struct Waiter<C> {
    number: WaitNumber,
    generation: Generation,
    /// How many starts of it had found no room when the caller came.
    no_room: u32,
    caller: C,
}

/// Why a generation came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// It will not heal by itself.
    Unrunnable(String),
    /// A disk is full.
    NoRoom(String),
}

impl Cause {
    pub(super) fn words(&self) -> &str {
        let (Self::Unrunnable(words) | Self::NoRoom(words)) = self;
        words
    }
}

/// A caller whose generation came to something.
#[derive(Debug)]
pub(super) struct Settled<C> {
    pub(super) generation: Generation,
    pub(super) caller: C,
    /// Or why it failed.
    pub(super) result: Result<(), Cause>,
}

/// The waiting callers of one function.
#[derive(Debug)]
pub(super) struct Waiting<C> {
    waiters: Vec<Waiter<C>>,
    last: u64,
}

impl<C> Default for Waiting<C> {
    fn default() -> Self {
        Self { waiters: Vec::new(), last: 0 }
    }
}

impl<C> Waiting<C> {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Takes all callers that wait for this generation.
    pub(super) fn take(&mut self, generation: Generation) -> Vec<C> {
        let taken = self.waiters.extract_if(.., |waiter| waiter.generation == generation);
        taken.map(|waiter| waiter.caller).collect()
    }

    /// Adds callers, who wait together.
    pub(super) fn add(&mut self, generation: Generation, callers: Vec<C>, life: &Lifecycle) -> WaitNumber {
        self.last += 1;
        let number = WaitNumber(self.last);
        let no_room = match life.outcome(generation) {
            Outcome::NoRoom { times, .. } => times,
            _ => 0,
        };
        self.waiters.extend(callers.into_iter().map(|caller| Waiter { number, generation, no_room, caller }));
        number
    }

    /// Takes the callers of a wait that took too long.
    pub(super) fn end(&mut self, number: WaitNumber) -> Vec<(Generation, C)> {
        let over = self.waiters.extract_if(.., |waiter| waiter.number == number);
        over.map(|waiter| (waiter.generation, waiter.caller)).collect()
    }

    /// Takes the callers whose generation came to something.
    pub(super) fn settle(&mut self, life: &Lifecycle) -> Vec<Settled<C>> {
        let mut settled = Vec::new();
        for Waiter { number, generation, no_room, caller } in std::mem::take(&mut self.waiters) {
            let result = match life.outcome(generation) {
                Outcome::NoRoom { reason, times } if times > no_room => Err(Cause::NoRoom(reason)),
                outcome @ (Outcome::Pending | Outcome::NoRoom { .. }) => {
                    // Starts in a row are counted anew after one that failed otherwise.
                    let no_room = if outcome == Outcome::Pending { 0 } else { no_room };
                    self.waiters.push(Waiter { number, generation, no_room, caller });
                    continue;
                }
                Outcome::Ready | Outcome::Looping | Outcome::Superseded => Ok(()),
                Outcome::Failed(reason) => Err(Cause::Unrunnable(reason)),
            };
            settled.push(Settled { generation, caller, result });
        }
        settled
    }
}
