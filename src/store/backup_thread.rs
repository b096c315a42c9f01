//! Keeps the last good copy of a file fresh, on a thread of its own: no write to the file waits for it.
//!
//! ```text
//! commit -> changed() -> a while later: copy, check, replace -> a pause of many times as long as that took
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::copy::Check;
use super::{StoreError, copy, files};

/// Until a copy that failed is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// How often copies are made, and of what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From a commit to its copy. Commits in between are in the same copy.
    pub(super) after: Duration,
    /// Of the time, copying takes at most one part in this many,
    pub(super) share: u32,
    /// but the next copy is not put off for longer than this.
    pub(super) longest_pause: Duration,
    /// A file that is larger has no copy, in bytes.
    pub(super) at_most: Option<u64>,
    /// A stop waits for no copy of a file that is larger, in bytes: the one of some minutes ago is left.
    pub(super) at_a_stop: Option<u64>,
    /// What makes a copy a good one.
    pub(super) check: Check,
    /// What is copied, for the log.
    pub(super) what: &'static str,
}

#[derive(Debug, Default)]
struct State {
    changed: bool,
    ended: bool,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    moved: Condvar,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `time`, or less if it is time to end.
    fn pause(&self, time: Duration) {
        drop(self.moved.wait_timeout_while(self.lock(), time, |state| !state.ended));
    }
}

/// The thread. Dropping this waits for the last copy.
#[derive(Debug)]
pub(super) struct BackupThread {
    copied: Arc<Copied>,
    thread: Option<JoinHandle<()>>,
}

/// What is copied, by the thread or who can't wait for it.
#[derive(Debug)]
struct Copied {
    store: PathBuf,
    pace: Pace,
    signal: Signal,
    /// Held while a copy is made: there is one unfinished file.
    turn: Mutex<()>,
}

impl BackupThread {
    /// Begins with a copy of the file as it is now.
    pub(super) fn start(store: &Path, pace: Pace) -> Result<Self, StoreError> {
        let (signal, turn) = (Signal::default(), Mutex::default());
        signal.lock().changed = true;
        let copied = Arc::new(Copied { store: store.to_owned(), pace, signal, turn });
        let ours = copied.clone();
        let thread = std::thread::Builder::new().name("store-copy".into()).spawn(move || ours.run());
        let thread = Some(thread.map_err(|error| StoreError::io("start a thread for", store, &error))?);
        Ok(Self { copied, thread })
    }

    /// Something was committed.
    pub(super) fn changed(&self) {
        self.copied.signal.lock().changed = true;
        self.copied.signal.moved.notify_all();
    }

    /// The file is damaged: no copy of it is made any more.
    pub(super) fn give_up(&self) {
        let mut state = self.copied.signal.lock();
        (state.changed, state.ended) = (false, true);
        drop(state);
        self.copied.signal.moved.notify_all();
    }

    /// Makes the copy now, unless it is as the file already. Blocks.
    pub(super) fn copy_now(&self) -> Result<(), StoreError> {
        self.copied.refresh()
    }

    /// As [`BackupThread::copy_now`], for a stop: of a large file no copy is made.
    pub(super) fn copy_at_a_stop(&self) -> Result<(), StoreError> {
        self.copied.last()
    }
}

impl Drop for BackupThread {
    fn drop(&mut self) {
        self.copied.signal.lock().ended = true;
        self.copied.signal.moved.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Copied {
    fn run(&self) {
        let Self { signal, pace, .. } = self;
        loop {
            drop(signal.moved.wait_while(signal.lock(), |state| !state.changed && !state.ended));
            signal.pause(pace.after);
            let began = tokio::time::Instant::now();
            let copied = if signal.lock().ended { self.last() } else { self.refresh() };
            let pause = match copied {
                Ok(()) => (began.elapsed() * pace.share).min(pace.longest_pause),
                Err(error) => {
                    let what = pace.what;
                    tracing::warn!(%error, "the last good copy of {what} is not refreshed: its damage would cost more");
                    AFTER_FAILURE
                }
            };
            if signal.lock().ended {
                return;
            }
            signal.pause(pause);
        }
    }

    fn last(&self) -> Result<(), StoreError> {
        let size = std::fs::metadata(&self.store).map_or(0, |file| file.len());
        if self.pace.at_a_stop.is_some_and(|most| size > most) { Ok(()) } else { self.refresh() }
    }

    fn refresh(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // What is committed from here on may or may not be in this copy, so it asks for another one.
        if !std::mem::take(&mut self.signal.lock().changed) {
            return Ok(());
        }
        let good = files::good(&self.store);
        if self.pace.at_most.is_some_and(|most| copy::is_too_large(&self.store, most)) {
            // One that is ever older would bring back what has ended for long.
            return files::remove(&good).map_err(|error| StoreError::io("remove", &good, &error));
        }
        let taken = copy::take(&self.store, &good, self.pace.check);
        if taken.is_err() {
            self.signal.lock().changed = true;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_stop_waits_for_a_copy_unless_the_file_is_large() {
        let directory = tempfile::tempdir().unwrap();
        for (name, at_a_stop, is_copied) in
            [("small", Some(1 << 20), true), ("large", Some(4096), false), ("any", None, true)]
        {
            let file = directory.path().join(name);
            let db = Connection::open(&file).unwrap();
            db.execute_batch("CREATE TABLE t (b BLOB); INSERT INTO t VALUES (zeroblob(9000))").unwrap();
            let hour = Duration::from_secs(3600);
            let pace = Pace {
                after: hour,
                share: 1,
                longest_pause: hour,
                at_most: None,
                at_a_stop,
                check: |_| Ok(()),
                what: "a test",
            };
            let backup = BackupThread::start(&file, pace).unwrap();
            backup.copy_at_a_stop().unwrap();
            drop(backup);
            assert_eq!(files::good(&file).exists(), is_copied, "{name}");
        }
    }
}
