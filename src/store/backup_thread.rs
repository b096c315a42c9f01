//! Keeps the last good copy fresh, on a thread of its own: no write to the store waits for it.
//!
//! ```text
//! commit -> changed() -> a second later: copy, check, replace -> a pause of 20 times as long as that took
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{StoreError, copy, files};

/// From a commit to its copy. Commits in between are in the same copy.
const AFTER: Duration = Duration::from_secs(1);
/// Of the time, copying takes at most one part in this many.
const SHARE: u32 = 20;
/// Until a copy that failed is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

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
    store: PathBuf,
    signal: Arc<Signal>,
    /// Held while a copy is made: there is one unfinished file.
    turn: Arc<Mutex<()>>,
    thread: Option<JoinHandle<()>>,
}

impl BackupThread {
    /// Begins with a copy of the store as it is now.
    pub(super) fn start(store: &Path) -> Result<Self, StoreError> {
        let (signal, turn) = (Arc::new(Signal::default()), Arc::default());
        signal.lock().changed = true;
        let mut backup = Self { store: store.to_owned(), signal, turn, thread: None };
        let (store, signal, turn) = (backup.store.clone(), backup.signal.clone(), backup.turn.clone());
        let thread = std::thread::Builder::new().name("store-copy".into()).spawn(move || run(&store, &signal, &turn));
        backup.thread = Some(thread.map_err(|error| StoreError::io("start a thread for", &backup.store, &error))?);
        Ok(backup)
    }

    /// Something was committed.
    pub(super) fn changed(&self) {
        self.signal.lock().changed = true;
        self.signal.moved.notify_all();
    }

    /// Makes the copy now, unless it is as the store already. Blocks.
    pub(super) fn copy_now(&self) -> Result<(), StoreError> {
        refresh(&self.store, &self.signal, &self.turn)
    }
}

impl Drop for BackupThread {
    fn drop(&mut self) {
        self.signal.lock().ended = true;
        self.signal.moved.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(store: &Path, signal: &Signal, turn: &Mutex<()>) {
    loop {
        drop(signal.moved.wait_while(signal.lock(), |state| !state.changed && !state.ended));
        signal.pause(AFTER);
        let began = tokio::time::Instant::now();
        let pause = match refresh(store, signal, turn) {
            Ok(()) => began.elapsed() * SHARE,
            Err(error) => {
                tracing::warn!(%error, "the last good copy of the store is not refreshed: its damage would cost more");
                AFTER_FAILURE
            }
        };
        if signal.lock().ended {
            return;
        }
        signal.pause(pause.min(AFTER_FAILURE));
    }
}

fn refresh(store: &Path, signal: &Signal, turn: &Mutex<()>) -> Result<(), StoreError> {
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    // What is committed from here on may or may not be in this copy, so it asks for another one.
    if !std::mem::take(&mut signal.lock().changed) {
        return Ok(());
    }
    let taken = copy::take(store, &files::good(store));
    if taken.is_err() {
        signal.lock().changed = true;
    }
    taken
}
