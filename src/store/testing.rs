//! What only tests do to a store: one in memory, a full disk, writes that a power cut loses.

use std::path::Path;

use rusqlite::Connection;

use super::backup_thread::BackupThread;
use super::{Store, StoreError, open};

/// When a write is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk.
    Synced,
    /// When the kernel has it: a power cut loses it. For the test that shows that a power cut would be noticed.
    Unsynced,
}

impl Store {
    /// As [`Store::open`], with less durability.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let synchronous = match durability {
            Durability::Synced => open::SYNCED,
            Durability::Unsynced => "OFF",
        };
        Self::over(open::open(path, synchronous)?, Some(BackupThread::start(path, open::PACE)?))
    }

    /// A store that lives as long as the process.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn in_memory() -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory()?;
        open::prepare(&mut connection, open::SYNCED)?;
        Self::over(connection, None)
    }

    /// Lets every write wait until what this returns is dropped: a slow disk.
    pub fn hold(&self) -> impl Drop + '_ {
        self.still()
    }

    /// Lets every write fail, or succeed again: a disk that takes none.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn refuse_writes(&self, refuse: bool) -> Result<(), StoreError> {
        self.run(move |db| Ok(db.pragma_update(None, "query_only", refuse)?)).await
    }

    /// Bounds the file's size, in pages of 4 KiB: a full disk.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.run(move |db| Ok(db.pragma_update(None, "max_page_count", pages)?)).await
    }
}
