//! The last events, each with its number.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::event::{Event, What};
use super::id::EventId;
use crate::function::FunctionId;

/// How many are kept: with the texts that they carry at most some megabytes.
pub(super) const KEPT: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Ring {
    boot: u32,
    kept: Mutex<VecDeque<Arc<Event>>>,
    last: watch::Sender<u64>,
}

/// What comes after a number.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Event(Arc<Event>),
    /// Nothing happened since.
    Nothing,
    /// What came then is not kept any more.
    Lost,
}

impl Ring {
    /// `boot` is that of this process.
    pub(super) fn new(boot: u32) -> Self {
        Self { boot, kept: Mutex::default(), last: watch::Sender::new(0) }
    }

    pub(super) fn boot(&self) -> u32 {
        self.boot
    }

    /// Tells all who listen.
    pub(super) fn push(&self, function: Option<FunctionId>, what: What) {
        let mut kept = self.kept();
        let number = *self.last.borrow() + 1;
        if kept.len() == KEPT {
            kept.pop_front();
        }
        let id = EventId { boot: self.boot, number };
        kept.push_back(Arc::new(Event { id, at: Instant::now(), function, what }));
        // Told while the ring is held, so that numbers and places in it agree.
        self.last.send_replace(number);
    }

    /// What comes after the event with this number.
    pub(super) fn after(&self, number: u64) -> Found {
        let kept = self.kept();
        let Some(oldest) = kept.front().map(|event| event.id.number) else { return Found::Nothing };
        match (number + 1).checked_sub(oldest) {
            None => Found::Lost,
            Some(at) => {
                let event = usize::try_from(at).ok().and_then(|at| kept.get(at));
                event.map_or(Found::Nothing, |event| Found::Event(event.clone()))
            }
        }
    }

    /// The number of the last event; 0 if there was none.
    pub(super) fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// Is told when something happens.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(found: &Found) -> Option<u64> {
        if let Found::Event(event) = found { Some(event.id.number) } else { None }
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_found_by_their_number_for_as_long_as_they_are_kept() {
        let ring = Ring::new(7);
        assert_eq!((ring.after(0), ring.last()), (Found::Nothing, 0));
        for _ in 0..KEPT as u64 + 10 {
            ring.push(None, What::Paused(true));
        }
        assert_eq!([0, 9].map(|seen| ring.after(seen)), [Found::Lost, Found::Lost]);
        let last = KEPT as u64 + 10;
        assert_eq!([10, last - 1].map(|seen| number(&ring.after(seen))), [Some(11), Some(last)]);
        assert_eq!((ring.after(last), ring.last()), (Found::Nothing, last));
    }
}
