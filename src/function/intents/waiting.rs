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
    caller: C,
}

/// A caller whose generation came to something.
#[derive(Debug)]
pub(super) struct Settled<C> {
    pub(super) generation: Generation,
    pub(super) caller: C,
    /// Or why it failed.
    pub(super) result: Result<(), String>,
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

    /// Adds callers, who wait together.
    pub(super) fn add(&mut self, generation: Generation, callers: Vec<C>) -> WaitNumber {
        self.last += 1;
        let number = WaitNumber(self.last);
        self.waiters.extend(callers.into_iter().map(|caller| Waiter { number, generation, caller }));
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
        for Waiter { number, generation, caller } in std::mem::take(&mut self.waiters) {
            let result = match life.outcome(generation) {
                Outcome::Pending => {
                    self.waiters.push(Waiter { number, generation, caller });
                    continue;
                }
                Outcome::Ready | Outcome::Looping | Outcome::Superseded => Ok(()),
                Outcome::Failed(reason) => Err(reason),
            };
            settled.push(Settled { generation, caller, result });
        }
        settled
    }
}
