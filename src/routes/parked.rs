//! Requests that wait for an instance: one queue a function, answered in the order in which they came.
//!
//! ```text
//! no instance ready -> park -> publish: leases, first come first served, before any request that comes later
//!                           -> an outlook that is nothing to wait for, or a deletion: all are told
//!                           -> its time is over, or its client is gone: it leaves the queue
//! ```

use std::collections::VecDeque;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Function, Lease, NoEndpoint, RouteEntry};
use crate::function::Outlook;

#[cfg(test)]
mod tests;

type Answer = Result<Lease, NoEndpoint>;

/// The parked requests of one function.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<(u64, oneshot::Sender<Answer>)>,
    last: u64,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// A place in the queue, which is given back whatever ends the wait.
struct Place<'a> {
    function: &'a Function,
    number: u64,
    answer: oneshot::Receiver<Answer>,
}

/// What a request gets that looks for an instance.
enum Found<'a> {
    Lease(Lease),
    /// A place in the queue, and how long it may be held.
    Place(Place<'a>, Duration),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.function.queue().waiting.retain(|(number, _)| *number != self.number);
    }
}

impl Function {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the entry, and gives the parked requests what follows for them before any other sees the change.
    pub(super) fn change(&self, change: impl FnOnce(&mut RouteEntry) -> bool) {
        self.state.send_if_modified(|state| {
            let changed = change(state);
            if changed {
                self.settle(state);
            }
            changed
        });
    }

    fn settle(&self, state: &RouteEntry) {
        let mut queue = self.queue();
        if queue.waiting.is_empty() {
            return;
        }
        let refusal = state.refusal(&self.id, self.parking);
        while let Some((number, answer)) = queue.waiting.pop_front() {
            let given = match (self.take_of(state), &refusal) {
                (Some(lease), _) => Ok(lease),
                (None, Some(why)) => Err(why.clone()),
                (None, None) => return queue.waiting.push_front((number, answer)),
            };
            // A client that went away a moment ago gives its lease back.
            let _ = answer.send(given);
        }
    }

    /// Decided while the entry is held: what is published after this look finds the place.
    fn enter(&self) -> Result<Found<'_>, NoEndpoint> {
        let state = self.state.borrow();
        if let Some(lease) = self.take_of(&state) {
            return Ok(Found::Lease(lease));
        }
        if let Some(why) = state.refusal(&self.id, self.parking) {
            return Err(why);
        }
        let mut queue = self.queue();
        if queue.len() >= self.parking.requests {
            return Err(NoEndpoint::QueueFull(self.id.clone(), queue.len()));
        }
        queue.last += 1;
        let (number, (answered, answer)) = (queue.last, oneshot::channel());
        queue.waiting.push_back((number, answered));
        drop(queue);
        if state.outlook == Outlook::AtZero {
            self.demand.notify_waiters();
        }
        Ok(Found::Place(Place { function: self, number, answer }, state.patience(self.parking)))
    }

    /// Waits for an instance within the bounds of [`super::Parking`].
    pub(super) async fn park(&self) -> Result<Lease, NoEndpoint> {
        let (mut place, patience) = match self.enter()? {
            Found::Lease(lease) => return Ok(lease),
            Found::Place(place, patience) => (place, patience),
        };
        if let Ok(Ok(answer)) = timeout(patience, &mut place.answer).await {
            return answer;
        }
        self.queue().waiting.retain(|(number, _)| *number != place.number);
        // It may have been answered at the last moment.
        place.answer.try_recv().unwrap_or_else(|_| Err(NoEndpoint::NotReady(self.id.clone(), patience)))
    }

    /// Returns true when a request waits although no instance is asked for, false when the function is deleted.
    pub(super) async fn demand(&self) -> bool {
        let mut state = self.state.subscribe();
        loop {
            let parked = self.demand.notified();
            tokio::pin!(parked);
            parked.as_mut().enable();
            {
                let state = state.borrow_and_update();
                if state.forgotten || state.outlook == Outlook::AtZero && self.queue().len() > 0 {
                    return !state.forgotten;
                }
            }
            tokio::select! {
                () = parked => {}
                changed = state.changed() => if changed.is_err() { return false },
            }
        }
    }
}
