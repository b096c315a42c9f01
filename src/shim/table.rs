//! What a server has to do with: its containers, those that are being made, and those that are announced.
//!
//! `start` announces a container (a reservation), so that the server does not end before containerd asks it to create
//! that. containerd may die in between: a reservation holds for a while only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// How long a server waits for a container that was announced.
const RESERVED_FOR: Duration = Duration::from_secs(30);

/// Containers of type `C` by their ids.
#[derive(Debug)]
pub(super) struct Table<C> {
    slots: HashMap<String, Slot<C>>,
}

#[derive(Debug)]
enum Slot<C> {
    Reserved { until: Instant },
    Creating,
    Created(Arc<C>),
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self { slots: HashMap::new() }
    }
}

impl<C> Table<C> {
    /// Notes that a container is to come. One that is there already keeps its place.
    pub(super) fn reserve(&mut self, id: &str, now: Instant) {
        if !matches!(self.slots.get(id), Some(Slot::Creating | Slot::Created(_))) {
            self.slots.insert(id.to_owned(), Slot::Reserved { until: now + RESERVED_FOR });
        }
    }

    /// Forgets that a container is to come.
    pub(super) fn give_up(&mut self, id: &str) {
        if matches!(self.slots.get(id), Some(Slot::Reserved { .. })) {
            self.slots.remove(id);
        }
    }

    /// Forgets everything that is to come.
    pub(super) fn give_up_all(&mut self) {
        self.slots.retain(|_, slot| !matches!(slot, Slot::Reserved { .. }));
    }

    /// A container's making begins; `false` where there is one of that id.
    #[must_use]
    pub(super) fn begin(&mut self, id: &str) -> bool {
        let free = !matches!(self.slots.get(id), Some(Slot::Creating | Slot::Created(_)));
        if free {
            self.slots.insert(id.to_owned(), Slot::Creating);
        }
        free
    }

    /// A container was made.
    pub(super) fn finish(&mut self, id: &str, container: Arc<C>) {
        self.slots.insert(id.to_owned(), Slot::Created(container));
    }

    /// A container is gone, or was not made.
    pub(super) fn remove(&mut self, id: &str) {
        self.slots.remove(id);
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<C>> {
        match self.slots.get(id)? {
            Slot::Created(container) => Some(Arc::clone(container)),
            Slot::Reserved { .. } | Slot::Creating => None,
        }
    }

    /// Whether a container of this id is being made.
    pub(super) fn is_creating(&self, id: &str) -> bool {
        matches!(self.slots.get(id), Some(Slot::Creating))
    }

    /// Whether containers are being made.
    pub(super) fn is_busy(&self) -> bool {
        self.slots.values().any(|slot| matches!(slot, Slot::Creating))
    }

    pub(super) fn containers(&self) -> impl Iterator<Item = &Arc<C>> {
        self.slots.values().filter_map(|slot| match slot {
            Slot::Created(container) => Some(container),
            Slot::Reserved { .. } | Slot::Creating => None,
        })
    }

    /// How long the server is wanted for at least: not at all, until some time, or (`None`) for as long as it has
    /// containers. Reservations that are over are forgotten.
    pub(super) fn wanted(&mut self, now: Instant) -> Option<Duration> {
        self.slots.retain(|_, slot| !matches!(slot, Slot::Reserved { until } if *until <= now));
        let mut longest = Duration::ZERO;
        for slot in self.slots.values() {
            match slot {
                Slot::Reserved { until } => longest = longest.max(*until - now),
                Slot::Creating | Slot::Created(_) => return None,
            }
        }
        Some(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_is_wanted_while_it_has_containers_or_one_is_announced() {
        let mut table = Table::<&str>::default();
        let now = Instant::now();
        assert_eq!(table.wanted(now), Some(Duration::ZERO));
        table.reserve("a", now);
        assert_eq!(table.wanted(now), Some(RESERVED_FOR));
        assert!(table.begin("a"));
        assert_eq!(table.wanted(now), None, "it is being made");
        table.finish("a", Arc::new("container a"));
        assert_eq!(table.wanted(now + 10 * RESERVED_FOR), None);
        assert_eq!(table.get("a").as_deref(), Some(&"container a"));
        table.remove("a");
        assert_eq!(table.wanted(now), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_that_never_comes_is_given_up_or_forgotten_in_time() {
        let mut table = Table::<()>::default();
        let now = Instant::now();
        table.reserve("a", now);
        table.reserve("b", now + Duration::from_secs(1));
        assert_eq!(table.wanted(now + RESERVED_FOR), Some(Duration::from_secs(1)));
        table.give_up("b");
        assert_eq!(table.wanted(now + RESERVED_FOR), Some(Duration::ZERO));
        table.reserve("c", now);
        table.give_up_all();
        assert_eq!(table.wanted(now), Some(Duration::ZERO));
        assert!(table.begin("d"));
        table.give_up_all();
        assert_eq!(table.wanted(now), None, "what is being made is not to come: it is there");
    }

    #[tokio::test(start_paused = true)]
    async fn one_id_is_made_once() {
        let mut table = Table::default();
        assert!(!table.is_busy());
        assert!(table.begin("a"), "one that was not announced can be made, too");
        assert!(table.is_busy(), "until it is known by its process, whose status is not for others to take");
        assert!(!table.begin("a"));
        table.reserve("a", Instant::now());
        table.give_up("a");
        assert!(table.is_creating("a"), "an announcement and its end don't touch what is being made");
        table.finish("a", Arc::new(()));
        assert!(!table.is_busy() && table.containers().count() == 1);
        assert!(!table.begin("a"));
        table.reserve("a", Instant::now());
        assert!(table.get("a").is_some());
    }
}
