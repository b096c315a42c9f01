//! What only tests do to the file: one in memory, a slow disk, a full one, writes that a power cut loses.

use std::path::Path;
use std::sync::PoisonError;

use rusqlite::Connection;

use super::super::Durability;
use super::super::backup_thread::BackupThread;
use super::{Bounds, CallId, Calls, NewCall, StoreError, open};
use crate::function::FunctionId;

impl NewCall {
    /// One with nothing in it, which was accepted at 1,000.
    #[must_use]
    pub fn plain(function: FunctionId) -> Self {
        Self {
            id: CallId::new(1_000),
            caller_id: None,
            function,
            accepted: 1_000,
            deadline: None,
            guarded: false,
            callback: None,
            method: "POST".into(),
            path: "/".into(),
            schedule: None,
            head: bytes::Bytes::new(),
            body: bytes::Bytes::new(),
        }
    }
}

impl Calls {
    /// One that lives as long as the process. Its clock begins at 0 or after that.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::in_memory_with(Bounds::default())
    }

    /// As [`Calls::in_memory`], with other bounds.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn in_memory_with(bounds: Bounds) -> Result<Self, StoreError> {
        let mut db = Connection::open_in_memory()?;
        open::prepare(&mut db, open::SYNCED)?;
        Self::over(db, None, bounds, 0, None)
    }

    /// As it is opened by `up`, with less durability. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_with(path: &Path, bounds: Bounds, wall: i64, durability: Durability) -> Result<Self, StoreError> {
        let synchronous = match durability {
            Durability::Synced => open::SYNCED,
            Durability::Unsynced => "OFF",
        };
        open::open(path, bounds, wall, &open::How { synchronous, ..open::How::default() })
    }

    /// Lets every commit wait until what this returns is dropped: a slow disk. In memory all that reads waits, too.
    pub fn hold(&self) -> impl Drop + '_ {
        self.0.readers.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets every write fail, or succeed again: a disk that takes none.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn refuse_writes(&self, refuse: bool) -> Result<(), StoreError> {
        self.with_writer(move |db| Ok(db.pragma_update(None, "query_only", refuse)?)).await
    }

    /// Bounds the file's size, in pages of 4 KiB: a full disk.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.with_writer(move |db| Ok(db.pragma_update(None, "max_page_count", pages)?)).await
    }

    /// What is wrong with the counts, compared with all calls: nothing, if all is well.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn miscounts(&self) -> Result<Vec<String>, StoreError> {
        let lanes = self.0.lanes.clone();
        self.with_writer(move |db| super::lanes::miscounts(db, &lanes)).await
    }

    /// Brings the last good copy up to date, as it is a minute after a change.
    ///
    /// # Errors
    /// [`StoreError`]; the copy is then as it was.
    pub async fn refresh_copy(&self) -> Result<(), StoreError> {
        let shared = self.0.shared.clone();
        super::super::blocking(move || shared.backup.as_ref().map_or(Ok(()), BackupThread::copy_now)).await
    }

    async fn with_writer<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.0.readers.clone();
        super::super::blocking(move || act(readers.writer.lock().unwrap_or_else(PoisonError::into_inner).db())).await
    }
}
