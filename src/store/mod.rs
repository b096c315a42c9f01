//! What was accepted, kept through power cuts: SQLite in WAL mode with `synchronous=FULL`.
//!
//! A write returns when it is on the disk, and only then may its success be told to anybody. What *runs* is never kept
//! here: that is read back from containerd. The rest of the crate sees [`Store`] and [`Secrets`], never SQL.

mod record;
mod schema;
mod secrets;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

pub use secrets::{SecretError, Secrets};

use crate::function::{Desired, FunctionId};
use record::Record;

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room: nothing was changed.
    #[error("the store is full: free some disk space where the data directory lies ({0})")]
    Full(String),
    /// A newer actord wrote it.
    #[error("the store has schema version {found}, this actord knows {known}: start the newer actord again")]
    Newer {
        /// The version in the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The file can't be read as a store.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Anything else; nothing was changed.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// The desired state of all functions. Cheap to clone; writes of all clones follow each other.
#[derive(Debug, Clone)]
pub struct Store(Arc<Mutex<Connection>>);

impl Store {
    /// Opens the store, makes it if there is none, and migrates it to this program's schema.
    ///
    /// # Errors
    /// [`StoreError`]; a newer or damaged file is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::prepare(Connection::open(path)?)
    }

    /// A store that lives as long as the process: for tests.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, StoreError> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        schema::migrate(&mut connection)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Bounds the file's size, in pages of 4 KiB: how tests make a full disk.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.run(move |db| Ok(db.pragma_update(None, "max_page_count", pages)?)).await
    }

    /// Makes `desired` durable.
    ///
    /// # Errors
    /// [`StoreError`]; the record is then as it was.
    pub async fn put(&self, id: &FunctionId, desired: &Desired) -> Result<(), StoreError> {
        let record = Record::encode(id, desired)?;
        self.run(move |db| Ok(record.write(db)?)).await
    }

    /// Makes a function's removal durable. Removing what is not there is a success.
    ///
    /// # Errors
    /// [`StoreError`]; the record is then as it was.
    pub async fn delete(&self, id: &FunctionId) -> Result<(), StoreError> {
        let id = id.clone();
        self.run(move |db| {
            let sql = "DELETE FROM functions WHERE namespace = ?1 AND name = ?2";
            db.prepare_cached(sql)?.execute(params![id.namespace.as_str(), id.name.as_str()])?;
            Ok(())
        })
        .await
    }

    /// What is desired of one function.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, id: &FunctionId) -> Result<Option<Desired>, StoreError> {
        let id = id.clone();
        self.run(move |db| {
            let mut statement = db.prepare_cached(record::SELECT_ONE)?;
            let row = statement.query_row(params![id.namespace.as_str(), id.name.as_str()], Record::read).optional()?;
            row.map(|record| record.decode().map(|(_, desired)| desired)).transpose()
        })
        .await
    }

    /// What is desired of all functions, by namespace and name.
    ///
    /// # Errors
    /// [`StoreError`]; a record that can't be read is named.
    pub async fn all(&self) -> Result<Vec<(FunctionId, Desired)>, StoreError> {
        self.run(|db| {
            let mut statement = db.prepare(record::SELECT_ALL)?;
            let records = statement.query_map([], Record::read)?.collect::<Result<Vec<_>, _>>()?;
            records.into_iter().map(Record::decode).collect()
        })
        .await
    }

    /// Runs SQL off the async workers: a commit waits for the disk. A caller that goes away does not undo it.
    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            act(&connection)
        });
        done.await.unwrap_or_else(|lost| Err(StoreError::Failed(format!("its thread was lost: {lost}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{Generation, Spec, SpecDraft};

    fn spec(image: &str) -> Arc<Spec> {
        let draft = SpecDraft {
            image: image.into(),
            env_vars: [("a".to_owned(), "b=c".to_owned())].into(),
            ..SpecDraft::default()
        };
        Arc::new(Spec::try_from(draft).unwrap())
    }

    fn desired(generation: u64) -> Desired {
        Desired {
            generation: Generation(generation),
            spec: spec("i:2"),
            replicas: 3,
            good: Some((Generation(1), spec("i:1"))),
            proven: false,
            failed: Some("pull failed".into()),
            created_at: "2026-01-02T03:04:05.000000006Z".into(),
        }
    }

    #[tokio::test]
    async fn what_was_put_is_read_back_after_the_store_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, id) = (dir.path().join("store.db"), "f".parse().unwrap());
        Store::open(&path).unwrap().put(&id, &desired(2)).await.unwrap();
        let store = Store::open(&path).unwrap();
        assert_eq!(store.get(&id).await.unwrap(), Some(desired(2)));
        assert_eq!(store.all().await.unwrap(), [(id.clone(), desired(2))]);
        store.delete(&id).await.unwrap();
        store.delete(&id).await.unwrap();
        assert_eq!(store.get(&id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_full_store_says_so_and_keeps_what_it_had() {
        let store = Store::in_memory().unwrap();
        let id = "f".parse().unwrap();
        store.put(&id, &desired(1)).await.unwrap();
        store.limit_pages(1).await.unwrap();
        let big = SpecDraft { image: "i".into(), env_process: "x".repeat(1 << 20), ..SpecDraft::default() };
        let next = Desired { spec: Arc::new(big.try_into().unwrap()), ..desired(2) };
        let refused = store.put(&id, &next).await.unwrap_err();
        assert!(matches!(refused, StoreError::Full(_)), "{refused}");
        assert_eq!(store.get(&id).await.unwrap(), Some(desired(1)));
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        std::fs::write(&path, "something else ".repeat(1000)).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Damaged(_))));
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("something else"));
    }
}
