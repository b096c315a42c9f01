//! What was accepted, kept through power cuts: SQLite in WAL mode with `synchronous=FULL`.
//!
//! A write returns when it is on the disk, and only then may its success be told to a caller. A second later it is in the
//! last good copy as well, which stands in for a file that is found damaged at the next start. What *runs* is never kept
//! here: that is read back from containerd. The rest of the crate sees [`Store`] and [`Secrets`], never SQL.

mod backup_thread;
pub mod calls;
mod check;
mod compaction;
mod copy;
mod error;
mod files;
mod invocations;
mod migration;
mod namespace_table;
mod namespaces;
#[cfg(feature = "testing")]
mod next_version;
mod open;
mod record;
mod schema;
mod secret_uses;
mod secrets;
#[cfg(feature = "testing")]
mod testing;
mod uses;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::{Histogram, HistogramOpts};
use rusqlite::{Connection, OptionalExtension, params};

use tokio::time::Instant;

pub use error::StoreError;
pub use namespace_table::NamespaceError;
pub use namespaces::{Namespaces, SecretRefused};
#[cfg(feature = "testing")]
pub use next_version::be_the_next_version;
#[cfg(feature = "testing")]
pub(crate) use record::fuzzed;
pub use secrets::{NewValue, SecretError, Secrets};
#[cfg(feature = "testing")]
pub use testing::Durability;

use crate::function::{Desired, FunctionId};
use backup_thread::BackupThread;
use namespace_table::Known;
use record::Record;

/// The version in which this program lays out what is desired.
#[must_use]
pub fn known_schema() -> i64 {
    schema::known()
}

/// The desired state of all functions, and the namespaces that they live in. Cheap to clone; writes of all clones follow each other.
#[derive(Debug, Clone)]
pub struct Store(Arc<Open>);

#[derive(Debug)]
struct Open {
    /// Goes before the connection: the last of them to close the store puts its log away.
    backup: Option<BackupThread>,
    connection: Mutex<Connection>,
    namespaces: Known,
    /// How long callers wait for their commits, once they are measured.
    commits: OnceLock<Histogram>,
    /// Whether the last change could not be written.
    refused: AtomicBool,
}

impl Store {
    /// Opens the store, makes it if there is none, and migrates it to this program's schema; the file as it was before
    /// that is kept beside it. A damaged file is moved aside for its last good copy, and an error is logged.
    ///
    /// # Errors
    /// [`StoreError`]; a newer file, and a damaged one without a good copy, are left as they are.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::over(open::open(path, open::SYNCED)?, Some(BackupThread::start(path, open::PACE)?))
    }

    /// What is desired of all functions in a store that another process may be using, by namespace and name. Blocks.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed, whatever state the file is in.
    pub fn read(path: &Path) -> Result<Vec<(FunctionId, Desired)>, StoreError> {
        let db = check::reader(path)?;
        match schema::version(&db)? {
            found if found >= schema::READABLE => record::all(&db),
            found => Err(StoreError::Older { found, known: schema::known() }),
        }
    }

    /// Whether there is a copy that would take the place of a damaged store.
    #[must_use]
    pub fn has_copy(path: &Path) -> bool {
        files::good(path).exists()
    }

    fn over(connection: Connection, backup: Option<BackupThread>) -> Result<Self, StoreError> {
        let namespaces = Known::load(&connection)?;
        let connection = Mutex::new(connection);
        let (commits, refused) = Default::default();
        Ok(Self(Arc::new(Open { backup, connection, namespaces, commits, refused })))
    }

    /// Brings the last good copy up to date, for a clean end.
    ///
    /// # Errors
    /// [`StoreError`]; the copy is then as it was.
    pub async fn refresh_copy(&self) -> Result<(), StoreError> {
        let store = self.0.clone();
        blocking(move || store.backup.as_ref().map_or(Ok(()), BackupThread::copy_now)).await
    }

    /// Writes down under `registry` how long commits take from now on, the wait for those before them included.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        let opts = HistogramOpts::new(
            "actord_store_commit_seconds",
            "Time until a change of the desired state is on the disk",
        );
        let commits = Histogram::with_opts(opts)?;
        registry.register(Box::new(commits.clone()))?;
        // A second call is refused by the metrics' registry already.
        let _ = self.0.commits.set(commits);
        Ok(())
    }

    /// Whether changes can be written, as the last one went. Only after one that could not be is it tried by a small one:
    /// a disk that wears out is not written to for this.
    ///
    /// # Errors
    /// Why not.
    pub async fn writable(&self) -> Result<(), StoreError> {
        if !self.0.refused.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.change(|db| {
            let version = schema::version(db)?;
            Ok(db.pragma_update(None, "user_version", version)?)
        })
        .await
    }

    /// Makes `desired` durable.
    ///
    /// # Errors
    /// [`StoreError`]; the record is then as it was. [`StoreError::NoNamespace`] for a new function in a namespace that is
    /// not there.
    pub async fn put(&self, id: &FunctionId, desired: &Desired) -> Result<(), StoreError> {
        let (id, record) = (id.clone(), Record::encode(id, desired)?);
        self.change(move |db| {
            namespace_table::check_function(db, &id)?;
            Ok(record.write(db)?)
        })
        .await
    }

    /// Makes all of them durable, or none.
    ///
    /// # Errors
    /// [`StoreError`]; all records are then as they were.
    pub async fn put_all(&self, all: &[(FunctionId, Desired)]) -> Result<(), StoreError> {
        let records = all.iter().map(|(id, desired)| Record::encode(id, desired)).collect::<Result<Vec<_>, _>>()?;
        self.change(move |db| {
            let transaction = db.unchecked_transaction()?;
            for record in &records {
                record.write(&transaction)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Makes a function's removal durable. Removing what is not there is a success.
    ///
    /// # Errors
    /// [`StoreError`]; the record is then as it was.
    pub async fn delete(&self, id: &FunctionId) -> Result<(), StoreError> {
        let id = id.clone();
        self.change(move |db| {
            let transaction = db.unchecked_transaction()?;
            let sql = "DELETE FROM functions WHERE namespace = ?1 AND name = ?2";
            transaction.prepare_cached(sql)?.execute(params![id.namespace.as_str(), id.name.as_str()])?;
            invocations::forget(&transaction, &id)?;
            Ok(transaction.commit()?)
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
        self.run(record::all).await
    }

    /// Runs SQL that changes something, which then finds its way into the copy.
    async fn change<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, begun) = (self.0.clone(), Instant::now());
        let done = self.run(move |db| {
            let done = act(db)?;
            if let Some(backup) = &store.backup {
                backup.changed();
            }
            Ok(done)
        });
        let done = done.await;
        let refused = match &done {
            Ok(_) => Some(false),
            Err(StoreError::Full(_) | StoreError::Damaged(_) | StoreError::Failed(_)) => Some(true),
            // It was asked for what can't be.
            Err(_) => None,
        };
        if let Some(refused) = refused {
            self.0.refused.store(refused, Ordering::Relaxed);
        }
        if let Some(commits) = self.0.commits.get().filter(|_| done.is_ok()) {
            commits.observe(begun.elapsed().as_secs_f64());
        }
        done
    }

    /// Runs SQL off the async workers: a commit waits for the disk. A caller that goes away does not undo it.
    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.0.clone();
        blocking(move || act(&store.connection.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(act);
    done.await.unwrap_or_else(|lost| Err(StoreError::Failed(format!("its thread was lost: {lost}"))))
}

#[cfg(test)]
mod tests;
