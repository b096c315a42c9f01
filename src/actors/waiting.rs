//! Callers that wait for what becomes of a generation.

use tokio::sync::oneshot;

use crate::engine::Refused;
use crate::function::{Generation, Lifecycle, Outcome};

/// The answer to a caller, given once. A caller that went away is no matter.
pub(super) type Reply = oneshot::Sender<Result<(), Refused>>;

/// The most callers that wait for one function; more are told to come back.
pub(super) const WAITERS_MAX: usize = 256;

struct Waiter {
    number: u64,
    generation: Generation,
    /// Whether this caller's request made the function: if it fails now, nothing of it is kept.
    created: bool,
    reply: Reply,
}

/// The callers of one function.
#[derive(Default)]
pub(super) struct Waiting {
    waiters: Vec<Waiter>,
    last: u64,
}

/// What settling the waiters came to.
#[derive(Default)]
pub(super) struct Settled {
    /// A create failed while its caller waited: the function is withdrawn, then these are answered.
    pub(super) withdraw: Vec<(Reply, Refused)>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiters.len() >= WAITERS_MAX
    }

    /// Adds a caller and returns the number by which its time ends.
    pub(super) fn add(&mut self, generation: Generation, created: bool, reply: Reply) -> u64 {
        self.last += 1;
        self.waiters.push(Waiter { number: self.last, generation, created, reply });
        self.last
    }

    /// The wait is over: what was accepted stays accepted, so this is a success.
    pub(super) fn give_up(&mut self, number: u64) {
        let over = self.waiters.extract_if(.., |waiter| waiter.number == number);
        for waiter in over {
            let _ = waiter.reply.send(Ok(()));
        }
    }

    /// Answers everybody whose generation came to something.
    pub(super) fn settle(&mut self, life: &Lifecycle) -> Settled {
        let mut settled = Settled::default();
        for waiter in std::mem::take(&mut self.waiters) {
            match life.outcome(waiter.generation) {
                Outcome::Pending => self.waiters.push(waiter),
                Outcome::Ready | Outcome::Superseded => drop(waiter.reply.send(Ok(()))),
                Outcome::Failed(reason) if waiter.created => {
                    settled.withdraw.push((waiter.reply, Refused::Unrunnable(reason)));
                }
                Outcome::Failed(reason) => drop(waiter.reply.send(Err(Refused::Unrunnable(reason)))),
            }
        }
        settled
    }
}
