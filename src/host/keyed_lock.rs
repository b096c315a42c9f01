//! One lock per key: two acts on one instance, layer or image take turns, and acts on others do not wait for them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

type Held<K> = HashMap<K, Arc<tokio::sync::Mutex<()>>>;

/// Locks by key. Clones share them. A key that no task holds or waits for takes no room.
#[derive(Debug)]
pub(crate) struct KeyedLock<K>(Arc<Mutex<Held<K>>>);

/// The lock of one key, held until this is dropped.
#[derive(Debug)]
pub(crate) struct KeyGuard<K: Eq + Hash> {
    key: K,
    locks: KeyedLock<K>,
    /// None while it is waited for.
    held: Option<OwnedMutexGuard<()>>,
}

impl<K: Eq + Hash + Clone> KeyedLock<K> {
    /// Waits until no other task holds `key`, then holds it. Tasks that wait get it in the order in which they came.
    pub(crate) async fn lock(&self, key: impl Into<K>) -> KeyGuard<K> {
        let key = key.into();
        let lock = self.map().entry(key.clone()).or_default().clone();
        // Made before the wait, so that a waiting task that goes away cleans up, too.
        let mut guard = KeyGuard { key, locks: self.clone(), held: None };
        guard.held = Some(lock.lock_owned().await);
        guard
    }
}

impl<K> KeyedLock<K> {
    fn map(&self) -> MutexGuard<'_, Held<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for KeyGuard<K> {
    fn drop(&mut self) {
        let mut map = self.locks.map();
        self.held = None;
        // A task that waits holds the lock, too, and takes it only under the map's lock: a count of one means that no
        // other task is left. A key that others wait for must stay, or the next to come would make a second lock of it.
        if map.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            map.remove(&self.key);
        }
    }
}

impl<K> Clone for KeyedLock<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for KeyedLock<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    fn locks() -> KeyedLock<String> {
        KeyedLock::default()
    }

    #[tokio::test]
    async fn a_key_is_held_once_and_other_keys_do_not_wait() {
        let locks = locks();
        let held = locks.lock("a").await;
        let mut waiting = pin!(locks.lock("a"));
        assert!(poll!(&mut waiting).is_pending());
        assert!(poll!(pin!(locks.lock("b"))).is_ready());
        drop(held);
        assert!(poll!(&mut waiting).is_ready());
    }

    #[tokio::test]
    async fn a_key_that_a_task_waits_for_is_not_given_to_the_next_to_come_as_well() {
        let locks = locks();
        let first = locks.lock("a").await;
        let mut second = pin!(locks.lock("a"));
        assert!(poll!(&mut second).is_pending());
        drop(first);
        // The key is free for a moment, and the second has not run yet.
        let mut third = pin!(locks.lock("a"));
        assert!(poll!(&mut third).is_pending());
        let second = second.await;
        assert!(poll!(&mut third).is_pending(), "two hold one key");
        drop(second);
        assert!(poll!(&mut third).is_ready());
    }

    #[tokio::test]
    async fn a_key_that_is_neither_held_nor_waited_for_takes_no_room() {
        let locks = locks();
        for key in ["a", "b", "c"] {
            drop(locks.lock(key).await);
        }
        let held = locks.lock("d").await;
        {
            let mut gives_up = pin!(locks.lock("d"));
            assert!(poll!(&mut gives_up).is_pending());
            assert_eq!(locks.map().len(), 1);
        }
        drop(held);
        assert!(locks.map().is_empty());
    }
}
