//! What instances write, as files that nobody copies.
//!
//! ```text
//! instance -> pipe -> its shim -> <logs>/<id>.log        appended to, whether anybody reads or actord lives
//!                                    | inotify
//!                       watch, one task for all of them -> <logs>/<id>.idx   (end, time) a look
//! readers <- Kept, Piece <- books: what is recorded of each log
//! ```
//! Readers are shown what is recorded and no more, so that a line has the same time for each of them.

mod book;
mod index;
mod tail;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::book::Book;
use super::instance_dir::gone;
use crate::function::{FunctionId, InstanceId};
use crate::host::logs::Changes;
use crate::host::{HostError, Kept, Log, Logs, Piece};

/// The logs in a directory. Clones share them, and the task that watches them.
#[derive(Debug, Clone)]
pub struct FileLogs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    books: Mutex<BTreeMap<InstanceId, Book>>,
    changes: Changes,
    /// Ends the watch.
    _watch: DropGuard,
}

impl FileLogs {
    /// Opens the logs of a directory, which is made if it is not there, and begins to watch them.
    ///
    /// # Errors
    /// When the directory can't be made or read.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let over = CancellationToken::new();
        let logs = Self(Arc::new(Inner {
            directory,
            books: Mutex::default(),
            changes: Changes::default(),
            _watch: over.clone().drop_guard(),
        }));
        // The watch first: what is written from here on is seen by it, what was before by this look.
        let eyes = watch::Eyes::open(&logs.0.directory);
        for id in logs.0.names()? {
            logs.0.reopen(&id);
        }
        tokio::spawn(over.run_until_cancelled_owned(watch::watch(Arc::downgrade(&logs.0), eyes)));
        Ok(logs)
    }

    /// Where an instance's log is.
    pub(super) fn path(&self, id: &InstanceId) -> PathBuf {
        self.0.log(id)
    }

    /// Begins the log of a new instance.
    pub(super) fn begin(&self, id: &InstanceId, function: &FunctionId) -> io::Result<()> {
        let inner = &self.0;
        let mut books = inner.books();
        // The index first: a log without one belongs to nobody.
        let book = Book::begin(&inner.index(id), function)?;
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(inner.log(id))?;
        books.insert(id.clone(), book);
        drop(books);
        inner.changes.note(function);
        Ok(())
    }

    /// Removes an instance's log. Returns what could not be removed.
    pub(super) fn remove(&self, id: &InstanceId) -> Vec<String> {
        let inner = &self.0;
        let mut books = inner.books();
        let paths = [inner.log(id), inner.index(id)];
        let failed = |path: &Path| Some(format!("remove {}: {}", path.display(), gone(fs::remove_file(path)).err()?));
        let faults: Vec<String> = paths.iter().filter_map(|path| failed(path)).collect();
        let book = if faults.is_empty() { books.remove(id) } else { None };
        drop(books);
        if let Some(book) = book {
            inner.changes.note(&book.head.function);
        }
        faults
    }

    /// Takes up a log that has no index, once somebody knows whose it is: an older actord made it.
    pub(super) fn adopt(&self, id: &InstanceId, function: &FunctionId) {
        let inner = &self.0;
        let mut books = inner.books();
        if books.contains_key(id) || !inner.log(id).exists() {
            return;
        }
        match Book::begin(&inner.index(id), function) {
            Ok(book) => drop(books.insert(id.clone(), book)),
            Err(error) => tracing::warn!(instance = %id, %error, "its log can't be shown: it has no index"),
        }
        drop(books);
        inner.look(id);
    }

    /// Every instance that may still write.
    pub(super) fn list(&self) -> io::Result<Vec<InstanceId>> {
        self.0.names()
    }

    /// The last whole lines of an instance's log, at most `bytes` of them; of a longer line, its end.
    pub(super) fn tail(&self, id: &InstanceId, bytes: usize) -> io::Result<String> {
        tail::read(&self.0.log(id), bytes)
    }

    /// Runs what reads files where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> String,
        work: impl FnOnce(&Inner) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(HostError::Failed(format!("{}: {error}", what()))))
    }
}

impl Inner {
    fn books(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Book>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, id: &InstanceId) -> PathBuf {
        self.directory.join(format!("{id}.log"))
    }

    fn index(&self, id: &InstanceId) -> PathBuf {
        self.directory.join(format!("{id}.idx"))
    }

    /// The instances that have a log in the directory.
    fn names(&self) -> io::Result<Vec<InstanceId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            found.extend(instance(entry?.file_name().to_str()));
        }
        Ok(found)
    }

    /// Takes up a log that was there before.
    fn reopen(&self, id: &InstanceId) {
        match Book::open(&self.index(id), &self.log(id)) {
            Ok(book) => drop(self.books().insert(id.clone(), book)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(instance = %id, %error, "the index of its log is not to be used"),
        }
        self.look(id);
    }

    /// Records what was added to a log since the last look.
    fn look(&self, id: &InstanceId) {
        let mut books = self.books();
        let Some(book) = books.get_mut(id) else { return };
        match book.look(&self.index(id), &self.log(id)) {
            Ok(false) => {}
            Ok(true) => self.changes.note(&book.head.function),
            Err(error) => tracing::warn!(instance = %id, %error, "its log can't be followed"),
        }
    }

    fn look_at_all(&self) {
        let all: Vec<InstanceId> = self.books().keys().cloned().collect();
        all.iter().for_each(|id| self.look(id));
    }

    fn read(&self, id: &InstanceId, from: u64, most: usize) -> Result<Piece, HostError> {
        let failed = |error: io::Error| HostError::Failed(format!("read the log of {id}: {error}"));
        loop {
            let (log, index, size, from, to) = {
                let books = self.books();
                let book = books.get(id).ok_or_else(|| HostError::NotFound(format!("log of instance {id}")))?;
                let from = from.max(book.head.begins);
                let to = book.ends.min(from.saturating_add(most as u64)).max(from);
                let log = File::open(self.log(id)).map_err(failed)?;
                (log, File::open(self.index(id)).map_err(failed)?, book.size, from, to)
            };
            let mut bytes = vec![0; usize::try_from(to - from).unwrap_or_default()];
            log.read_exact_at(&mut bytes, from).map_err(failed)?;
            let stamps = index::stamps(&index, size, from, to).map_err(failed)?;
            // What was given back while it was read reads as zeros.
            if self.books().get(id).is_some_and(|book| book.head.begins <= from) {
                return Ok(Piece { from, bytes, stamps });
            }
        }
    }
}

/// Whose log a file is, by its name.
fn instance(name: Option<&str>) -> Option<InstanceId> {
    name?.strip_suffix(".log")?.parse().ok()
}

#[async_trait]
impl Logs for FileLogs {
    async fn kept(&self, function: &FunctionId) -> Result<Kept, HostError> {
        let wanted = function.clone();
        let kept = move |inner: &Inner| {
            // First: what changes while the books are read is a change after it.
            let version = inner.changes.version(&wanted);
            let books = inner.books();
            let of_function = books.iter().filter(|(_, book)| book.head.function == wanted);
            let logs = of_function.map(|(id, book)| Log {
                id: id.clone(),
                begins: book.head.begins,
                ends: book.ends,
                ended: false,
            });
            Ok(Kept { logs: logs.collect(), version })
        };
        self.blocking(|| format!("look up the logs of {function}"), kept).await
    }

    async fn read(&self, id: &InstanceId, from: u64, most: usize) -> Result<Piece, HostError> {
        let log = id.clone();
        self.blocking(|| format!("read the log of {id}"), move |inner| inner.read(&log, from, most)).await
    }

    async fn changed(&self, function: &FunctionId, seen: u64) -> Result<(), HostError> {
        self.0.changes.after(function, seen).await
    }
}

/// The time of a file's last write.
fn written(about: &fs::Metadata) -> Timestamp {
    about.modified().ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}
