//! One lock per name: two pulls that share a layer fetch and unpack it once.

use std::sync::{Arc, Weak};

use dashmap::DashMap;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks by name; a name that nobody holds or waits for takes no room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks(Arc<DashMap<String, Weak<Mutex<()>>>>);

impl Locks {
    /// Waits until nobody else holds `name`, then holds it until the guard is dropped.
    pub(crate) async fn lock(&self, name: &str) -> OwnedMutexGuard<()> {
        let mutex = {
            // Before the entry is taken: both lock the shard.
            self.0.retain(|_, mutex| mutex.strong_count() > 0);
            let mut entry = self.0.entry(name.to_owned()).or_default();
            let mutex = entry.upgrade().unwrap_or_default();
            *entry = Arc::downgrade(&mutex);
            mutex
        };
        mutex.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_name_is_held_once_and_other_names_do_not_wait() {
        let locks = Locks::default();
        let held = locks.lock("a").await;
        let _other = locks.lock("b").await;
        let waiting = tokio::spawn({
            let locks = locks.clone();
            async move { drop(locks.lock("a").await) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_name_that_nobody_holds_takes_no_room() {
        let locks = Locks::default();
        for name in ["a", "b", "c"] {
            drop(locks.lock(name).await);
        }
        assert_eq!(locks.0.len(), 1);
    }
}
