//! The requests that are parked for one function, in the order in which they came.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::NoEndpoint;
use super::endpoint::Taken;

pub(super) type Answer = Result<Taken, NoEndpoint>;

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<(u64, oneshot::Sender<Answer>)>,
    last: u64,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The last place, by the number that gives it back.
    pub(super) fn enter(&mut self) -> (u64, oneshot::Receiver<Answer>) {
        self.last += 1;
        let (answered, answer) = oneshot::channel();
        self.waiting.push_back((self.last, answered));
        (self.last, answer)
    }

    pub(super) fn leave(&mut self, place: u64) {
        self.waiting.retain(|(number, _)| *number != place);
    }

    /// Answers one after the other, until there is no answer for the next.
    pub(super) fn answer(&mut self, next: impl Fn() -> Option<Answer>) {
        while !self.waiting.is_empty() {
            let Some(answer) = next() else { return };
            if let Some((_, answered)) = self.waiting.pop_front() {
                // A client that went away a moment ago gives its lease back.
                let _ = answered.send(answer);
            }
        }
    }
}
