//! Requests that wait: for an instance, in one queue a function, or for the thaw of one that is frozen. Both are answered in
//! the order in which they came.
//!
//! ```text
//! no instance ready -> park -> publish: leases, first come first served, before any request that comes later
//!                           -> an outlook that is nothing to wait for, or a deletion: all are told
//!                           -> its time is over, or its client is gone: it leaves the queue
//! one that is frozen -> lease -> thaw: it goes on
//!                             -> retracted before its thaw: it looks for another instance
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::endpoint::{Lease, Taken};
use super::function::Function;
use super::no_endpoint::NoEndpoint;
use super::queue::Answer;
use super::route_entry::RouteEntry;
use crate::function::Outlook;

#[cfg(test)]
mod tests;

/// A place in the queue, which is given back whatever ends the wait.
#[derive(Debug)]
struct Place<'a> {
    function: &'a Function,
    number: u64,
    answer: oneshot::Receiver<Answer>,
    /// How long it may be held.
    patience: Duration,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.function.last_use.note();
        self.function.queue().leave(self.number);
    }
}

/// What a request gets that finds no instance awake: what there is to wait for, or nothing.
#[derive(Debug)]
pub struct Wait<'a> {
    function: &'a Function,
    what: What<'a>,
}

#[derive(Debug)]
enum What<'a> {
    Thaw(Lease),
    Instance(Place<'a>),
    Nothing(NoEndpoint),
}

impl Wait<'_> {
    /// Where the instance listens whose thaw is waited for, if it is that.
    #[must_use]
    pub fn thawing(&self) -> Option<SocketAddr> {
        match &self.what {
            What::Thaw(lease) => Some(lease.address()),
            What::Instance(_) | What::Nothing(_) => None,
        }
    }

    /// Waits for an instance within the bounds of [`super::Parking`].
    ///
    /// # Errors
    /// [`NoEndpoint`] says why there is none.
    pub async fn end(self) -> Result<Lease, NoEndpoint> {
        let Self { function, mut what } = self;
        let thawed_by = Instant::now() + function.parking.waking;
        loop {
            let lease = match what {
                What::Nothing(why) => return Err(why),
                What::Thaw(lease) => lease,
                What::Instance(place) => match place.answered().await? {
                    Taken::Awake(lease) => return Ok(lease),
                    Taken::Frozen(lease) => lease,
                },
            };
            match timeout_at(thawed_by, lease.awake()).await {
                Ok(true) => return Ok(lease),
                Ok(false) => {}
                // It may have been thawed at the last moment.
                Err(_) if lease.is_awake() => return Ok(lease),
                Err(_) => return Err(NoEndpoint::NotReady(function.id.clone(), function.parking.waking)),
            }
            drop(lease);
            what = match function.take() {
                Ok(lease) => return Ok(lease),
                Err(wait) => wait.what,
            };
        }
    }
}

impl Place<'_> {
    async fn answered(mut self) -> Answer {
        let began = Instant::now();
        loop {
            if let Ok(Ok(answer)) = timeout_at(began + self.patience, &mut self.answer).await {
                return answer;
            }
            // It may have gone to rest meanwhile: then it is being woken, and that is worth a longer wait.
            let patience = self.function.state.borrow().patience(self.function.parking);
            if patience <= self.patience {
                break;
            }
            self.patience = patience;
        }
        self.function.queue().leave(self.number);
        // It may have been answered at the last moment.
        self.answer.try_recv().unwrap_or_else(|_| Err(NoEndpoint::NotReady(self.function.id.clone(), self.patience)))
    }
}

impl Function {
    /// Gives the parked requests what a changed entry has for them.
    pub(super) fn settle(&self, state: &RouteEntry) {
        let mut queue = self.queue();
        if queue.len() == 0 {
            return;
        }
        let refusal = state.refusal(&self.id, self.parking);
        queue.answer(|| match self.take_of(state) {
            Some(taken) => Some(Ok(taken)),
            None => refusal.clone().map(Err),
        });
    }

    /// A lease on an instance that is awake, or what there is to wait for. Decided while the entry is held: what is
    /// published after this look finds the place.
    pub(super) fn take(&self) -> Result<Lease, Wait<'_>> {
        let state = self.state.borrow();
        let what = match self.take_of(&state) {
            Some(Taken::Awake(lease)) => return Ok(lease),
            Some(Taken::Frozen(lease)) => What::Thaw(lease),
            None => self.park(&state).map_or_else(What::Nothing, What::Instance),
        };
        Err(Wait { function: self, what })
    }

    fn park(&self, state: &RouteEntry) -> Result<Place<'_>, NoEndpoint> {
        if let Some(why) = state.refusal(&self.id, self.parking) {
            // It was called all the same.
            self.last_use.note();
            return Err(why);
        }
        let mut queue = self.queue();
        if queue.len() >= self.parking.requests {
            return Err(NoEndpoint::QueueFull(self.id.clone(), queue.len()));
        }
        let (number, answer) = queue.enter();
        drop(queue);
        if state.outlook == Outlook::AtZero {
            self.demand.notify_waiters();
        }
        Ok(Place { function: self, number, answer, patience: state.patience(self.parking) })
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
