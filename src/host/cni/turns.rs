//! One act at a time for one instance: a detach that comes while an abandoned attach still runs waits for its end, and
//! so finds all that it made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::function::InstanceId;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The instances that something is being done to.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<InstanceId, Lock>>>);

/// The right to act on an instance, until it is dropped.
pub(super) struct Turn {
    id: InstanceId,
    turns: Turns,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    pub(super) async fn take(&self, id: &InstanceId) -> Turn {
        // Made before the wait, so that a waiter that goes away cleans up, too.
        let mut turn = Turn { id: id.clone(), turns: self.clone(), guard: None };
        let lock = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default().clone();
        turn.guard = Some(lock.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut locks = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard = None;
        // Every waiter holds the lock, too, and takes it only under the map's: a count of one means nobody is left.
        if locks.get(&self.id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_second_waits_for_the_first_and_others_do_not() {
        let turns = Turns::default();
        let (a, b): (InstanceId, InstanceId) = ("a-1".parse().unwrap(), "b-1".parse().unwrap());
        let first = turns.take(&a).await;
        let wait = |id: InstanceId| {
            let turns = turns.clone();
            async move { tokio::time::timeout(Duration::from_secs(1), turns.take(&id)).await }
        };
        assert!(wait(a.clone()).await.is_err());
        assert!(wait(b).await.is_ok());
        drop(first);
        drop(wait(a).await.ok().unwrap());
        assert!(turns.0.lock().unwrap().is_empty(), "nothing is kept of turns that are over");
    }
}
