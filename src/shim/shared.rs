//! What the calls of a server share: its containers, and what makes, hears and tells of them.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::container::Zygote;
use super::events::Events;
use super::exits;
use super::logs::Logs;
use super::table::Table;
use super::task::container::Container;

/// All of it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) zygote: Zygote,
    pub(super) logs: Logs,
    pub(super) events: Events,
    table: Mutex<Table<Container>>,
    /// Told when the table has less to do.
    changed: Notify,
}

impl Shared {
    pub(super) fn new(zygote: Zygote, logs: Logs, events: Events) -> Self {
        Self { zygote, logs, events, table: Mutex::default(), changed: Notify::new() }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table<Container>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container is gone, or was not made.
    pub(super) fn forget(&self, id: &str) {
        self.table().remove(id);
        self.changed.notify_one();
    }

    /// A container that was announced does not come.
    pub(super) fn give_up(&self, id: &str) {
        self.table().give_up(id);
        self.changed.notify_one();
    }

    /// No container that was announced comes.
    pub(super) fn give_up_all(&self) {
        self.table().give_up_all();
        self.changed.notify_one();
    }

    /// How long the server is wanted for at least, as [`Table::wanted`] has it.
    pub(super) fn wanted(&self) -> Option<Duration> {
        self.table().wanted(Instant::now())
    }

    /// Returns when there is less to do than at the last call, or after this time.
    pub(super) async fn changed(&self, within: Duration) {
        let _ = timeout(within, self.changed.notified()).await;
    }

    /// Does what may wait for a disk.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }

    /// Reaps what making containers has left behind. Not while one is made: the end of its process may be among that.
    pub(super) fn reap_others(&self) {
        let table = self.table();
        if !table.is_busy() {
            let zygote = self.zygote.pid().as_raw_pid();
            exits::reap_others(|pid| pid == zygote || table.containers().any(|container| container.pid() == pid));
        }
    }
}
