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
    /// Whether this caller's request made the function: if it fails now, nothing of it is kept.
    created: bool,
    caller: C,
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
    pub(super) fn add(&mut self, generation: Generation, created: bool, callers: Vec<C>) -> WaitNumber {
        self.last += 1;
        let number = WaitNumber(self.last);
        self.waiters.extend(callers.into_iter().map(|caller| Waiter { number, generation, created, caller }));
        number
    }

    /// Takes the callers of a wait that took too long.
    pub(super) fn end(&mut self, number: WaitNumber) -> Vec<C> {
        let over = self.waiters.extract_if(.., |waiter| waiter.number == number);
        over.map(|waiter| waiter.caller).collect()
    }

    /// Takes the callers whose generation came to something: those who can be told now, with the reason of a failure, and
    /// those whose create failed.
    #[expect(clippy::type_complexity, reason = "two lists, named where they are taken")]
    pub(super) fn settle(&mut self, life: &Lifecycle) -> (Vec<(C, Option<String>)>, Vec<(C, String)>) {
        let (mut told, mut failed) = (Vec::new(), Vec::new());
        for waiter in std::mem::take(&mut self.waiters) {
            match life.outcome(waiter.generation) {
                Outcome::Pending => self.waiters.push(waiter),
                Outcome::Ready | Outcome::Superseded => told.push((waiter.caller, None)),
                Outcome::Failed(reason) if waiter.created => failed.push((waiter.caller, reason)),
                Outcome::Failed(reason) => told.push((waiter.caller, Some(reason))),
            }
        }
        (told, failed)
    }
}
