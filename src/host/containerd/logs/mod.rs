//! What instances write, as files that are never copied.
//!
//! ```text
//! instance -> pipe -> its shim -> <logs>/<id>.log        appended to, whether it is read or actord lives
//!                                    | inotify
//!                       watcher, one task for all of them -> <logs>/<id>.idx   (end, time) a look
//! instance is gone -> retention: both files move to <logs>/ended/, until its function is gone or there is too much
//! readers <- LogSet, LogChunk <- metadata: what is recorded of each log
//! ```
//! Readers are shown what is recorded and no more, so that a line has the same time for each of them.

#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod index;
mod meta;
mod retention;
mod tail;
#[cfg(test)]
mod tests;
mod watcher;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::meta::LogMeta;
use crate::function::{FunctionId, InstanceId};
use crate::host::logs::Changes;
use crate::host::{HostError, Log, LogChunk, LogSet, Logs};

type LogMetas = BTreeMap<InstanceId, LogMeta>;

/// Where the logs of instances are that are gone.
const ENDED: &str = "ended";

/// The logs in a directory. Clones share them, and the task that watches them.
#[derive(Debug, Clone)]
pub struct FileLogs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    /// The most bytes of one function's logs, with their indexes.
    limit: u64,
    metas: Mutex<LogMetas>,
    changes: Changes,
    /// Whether the last look went wrong.
    failing: AtomicBool,
    /// Ends the watch.
    _watch: DropGuard,
}

impl FileLogs {
    /// Opens the logs of a directory, which is made if it is not there, and begins to watch them. Those of one function
    /// take no more than `limit` bytes.
    ///
    /// # Errors
    /// When the directory can't be made or read.
    pub(super) fn open(directory: PathBuf, limit: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory.join(ENDED))?;
        let over = CancellationToken::new();
        let logs = Self(Arc::new(Inner {
            directory,
            limit,
            metas: Mutex::default(),
            changes: Changes::default(),
            failing: AtomicBool::new(false),
            _watch: over.clone().drop_guard(),
        }));
        // The watcher first: what is written from here on is seen by it, what was before by this look.
        let watcher = watcher::Watcher::open(&logs.0.directory);
        logs.0.reopen_all()?;
        tokio::spawn(over.run_until_cancelled_owned(watcher::watch(Arc::downgrade(&logs.0), watcher)));
        Ok(logs)
    }

    /// Where an instance's log is.
    pub(super) fn path(&self, id: &InstanceId) -> PathBuf {
        self.0.log(id, false)
    }

    /// Begins the log of a new instance.
    pub(super) fn begin(&self, id: &InstanceId, function: &FunctionId) -> io::Result<()> {
        let inner = &self.0;
        let mut metas = inner.metas();
        // The index first: a log without one belongs to no function.
        let meta = LogMeta::begin(&inner.index(id, false), function)?;
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(inner.log(id, false))?;
        metas.insert(id.clone(), meta);
        drop(metas);
        inner.changes.note(function);
        Ok(())
    }

    /// Ends the log of an instance that is gone. Returns what could not be done.
    pub(super) fn retire(&self, id: &InstanceId) -> Vec<String> {
        let fault = self.0.retire(id).err();
        fault.map(|error| format!("put away the log of {id}: {error}")).into_iter().collect()
    }

    /// Takes up a log that has no index, once it is known whose it is: an older actord made it.
    pub(super) fn adopt(&self, id: &InstanceId, function: &FunctionId) {
        let inner = &self.0;
        let mut metas = inner.metas();
        if metas.contains_key(id) || !inner.log(id, false).exists() {
            return;
        }
        match LogMeta::begin(&inner.index(id, false), function) {
            Ok(meta) => drop(metas.insert(id.clone(), meta)),
            Err(error) => tracing::warn!(instance = %id, %error, "its log can't be shown: it has no index"),
        }
        drop(metas);
        inner.look(id);
    }

    /// Every instance that may still write.
    pub(super) fn list(&self) -> io::Result<Vec<InstanceId>> {
        Ok(names(&self.0.directory)?.iter().filter_map(|name| instance(Some(name))).collect())
    }

    /// The last whole lines of an instance's log, at most `bytes` of them; of a longer line, its end.
    pub(super) fn tail(&self, id: &InstanceId, bytes: usize) -> io::Result<String> {
        tail::read(&self.0.log(id, false), bytes)
    }

    /// Runs what changes files where it may block.
    async fn files(
        &self,
        what: String,
        work: impl FnOnce(&Inner) -> io::Result<()> + Send + 'static,
    ) -> Result<(), HostError> {
        let failed = what.clone();
        let work = move |inner: &Inner| work(inner).map_err(|error| HostError::Failed(format!("{failed}: {error}")));
        self.blocking(|| what, work).await
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
    fn metas(&self) -> MutexGuard<'_, LogMetas> {
        self.metas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, id: &InstanceId, ended: bool) -> PathBuf {
        self.place(ended).join(format!("{id}.log"))
    }

    fn index(&self, id: &InstanceId, ended: bool) -> PathBuf {
        self.place(ended).join(format!("{id}.idx"))
    }

    fn place(&self, ended: bool) -> PathBuf {
        if ended { self.directory.join(ENDED) } else { self.directory.clone() }
    }

    /// Takes up the logs that were there before.
    fn reopen_all(&self) -> io::Result<()> {
        for ended in [true, false] {
            for name in names(&self.place(ended))? {
                match instance(Some(&name)) {
                    Some(id) => self.reopen(&id, ended),
                    None => self.clear_away(&name, ended),
                }
            }
        }
        Ok(())
    }

    fn reopen(&self, id: &InstanceId, ended: bool) {
        let (log, index) = (self.log(id, ended), self.index(id, ended));
        if ended && !index.exists() {
            // Its move was interrupted.
            let _ = fs::rename(self.index(id, false), &index);
        }
        match LogMeta::open(&index, &log, ended) {
            Ok(meta) => drop(self.metas().insert(id.clone(), meta)),
            // What still runs is taken up, or torn down, by those who know whose it is.
            Err(error) if !ended && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(instance = %id, %error, "its log can't be shown: its index is not to be used");
                if ended {
                    let _ = fs::remove_file(&log);
                }
            }
        }
        self.look(id);
    }

    /// Removes what an actord left that was ended in the middle of something: an index that has no log.
    fn clear_away(&self, name: &str, ended: bool) {
        let place = self.place(ended);
        let left = match name.rsplit_once('.') {
            Some((id, "idx")) => !place.join(format!("{id}.log")).exists(),
            Some((_, "new")) => true,
            _ => false,
        };
        if left && let Err(error) = fs::remove_file(place.join(name)) {
            tracing::warn!(name, %error, "a file without a log");
        }
    }

    /// Records what was added to a log since the last look, and lets go of what is too much.
    fn look(&self, id: &InstanceId) {
        let mut metas = self.metas();
        let Some(meta) = metas.get_mut(id).filter(|meta| !meta.ended) else { return };
        let function = meta.head.function.clone();
        let looked = meta.look(&self.index(id, false), &self.log(id, false));
        let grown = matches!(looked, Ok(true));
        let done = looked.map(drop).and(self.make_room(&mut metas, &function));
        drop(metas);
        if grown {
            self.changes.note(&function);
        }
        match done {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            // Once, not for every line that is written to a full disk.
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(instance = %id, %error, "its log can't be followed, or not be capped");
            }
            Err(_) => {}
        }
    }

    fn look_at_all(&self) {
        let all: Vec<InstanceId> = self.metas().keys().cloned().collect();
        all.iter().for_each(|id| self.look(id));
    }

    fn read(&self, id: &InstanceId, from: u64, most: usize) -> Result<LogChunk, HostError> {
        let failed = |error: io::Error| HostError::Failed(format!("read the log of {id}: {error}"));
        loop {
            let (log, index, size, from, to) = {
                let metas = self.metas();
                let meta = metas.get(id).ok_or_else(|| HostError::NotFound(format!("log of instance {id}")))?;
                let from = from.max(meta.head.begins);
                let to = meta.ends.min(from.saturating_add(most as u64)).max(from);
                let log = File::open(self.log(id, meta.ended)).map_err(failed)?;
                (log, File::open(self.index(id, meta.ended)).map_err(failed)?, meta.size, from, to)
            };
            let mut bytes = vec![0; usize::try_from(to - from).unwrap_or_default()];
            log.read_exact_at(&mut bytes, from).map_err(failed)?;
            let stamps = index::stamps(&index, size, from, to).map_err(failed)?;
            // What was given back while it was read reads as zeros.
            if self.metas().get(id).is_some_and(|meta| meta.head.begins <= from) {
                return Ok(LogChunk { from, bytes, stamps });
            }
        }
    }
}

/// The names in a directory.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Whose log a file is, by its name.
fn instance(name: Option<&str>) -> Option<InstanceId> {
    name?.strip_suffix(".log")?.parse().ok()
}

#[async_trait]
impl Logs for FileLogs {
    async fn kept(&self, function: &FunctionId) -> Result<LogSet, HostError> {
        let wanted = function.clone();
        let kept = move |inner: &Inner| {
            // First: what changes while the metas are read is a change after it.
            let version = inner.changes.version(&wanted);
            let metas = inner.metas();
            let of_function = metas.iter().filter(|(_, meta)| meta.head.function == wanted);
            let logs = of_function.map(|(id, meta)| Log {
                id: id.clone(),
                begins: meta.head.begins,
                ends: meta.ends,
                ended: meta.ended,
                forgotten: meta.forgotten,
            });
            Ok(LogSet { logs: logs.collect(), version })
        };
        self.blocking(|| format!("look up the logs of {function}"), kept).await
    }

    async fn read(&self, id: &InstanceId, from: u64, most: usize) -> Result<LogChunk, HostError> {
        let log = id.clone();
        self.blocking(|| format!("read the log of {id}"), move |inner| inner.read(&log, from, most)).await
    }

    async fn changed(&self, function: &FunctionId, seen: u64) -> Result<(), HostError> {
        self.0.changes.after(function, seen).await
    }

    async fn forget(&self, function: &FunctionId, before: Timestamp) -> Result<(), HostError> {
        let what = format!("remove the logs of {function}");
        let function = function.clone();
        self.files(what, move |inner| inner.forget(&function, before)).await
    }

    async fn sweep(&self, known: &BTreeMap<FunctionId, Timestamp>, before: Timestamp) -> Result<(), HostError> {
        let known = known.clone();
        self.files("remove the logs of deleted functions".to_owned(), move |inner| inner.sweep(&known, before)).await
    }
}
