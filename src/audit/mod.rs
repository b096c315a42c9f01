//! Who changed what by the API: a file of its own, one JSON object a line.
//!
//! ```text
//! request under /system -> Entry -> Audit::note: a bounded queue, or counted as dropped
//!                                     -> its thread: a line for each -> audit.log, and on the disk
//!                                        that is full: audit.log -> audit.log.1 -> ... -> the oldest goes
//! ```
//! Calls of functions are not in it, and no request waits for its disk: on one that is full or slow, entries are counted and
//! lost, and the API goes on. An entry names things and holds no value: no secret, variable, body, password or token.
//!
//! Files that are full push out older ones, so of what comes without credentials that hold only a few entries are kept, and of
//! what a token asked for and may not do (`Audit::note_some`): neither must be able to remove what is known of others.

mod entry;
mod files;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::time::{Instant, sleep};

pub use entry::Entry;

use files::Files;

/// So many entries wait for the disk.
const WAITING: usize = 1_024;
/// Of requests whose credentials do not hold so many are noted at once, and as many of those of a token that were refused ...
const SOME_AT_ONCE: u32 = 20;
/// ... and then one in this time: 350 kB a day.
const SOME_EVERY: Duration = Duration::from_secs(60);
/// So many names are counted; there are fewer tokens.
const NAMES: usize = 4_096;
/// How often it is said in the log that entries are lost.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// For how long a clean end waits for entries that wait for the disk, and how often it looks.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);
const LOOKS_EVERY: Duration = Duration::from_millis(10);

/// Takes entries. Cheap to clone.
#[derive(Clone)]
pub struct Audit(Option<Arc<Queue>>);

struct Queue {
    entries: SyncSender<Entry>,
    /// When all that may be noted at once may be so again: of what is not known, and of each token by its name.
    whole_at: Mutex<HashMap<Option<String>, Instant>>,
    counts: Counts,
}

/// What became of entries.
#[derive(Clone)]
struct Counts {
    written: IntCounter,
    /// The disk did not take them.
    failed: IntCounter,
    /// Too many waited for it.
    dropped: IntCounter,
    /// Too many came whose credentials do not hold, or do not suffice.
    withheld: IntCounter,
    waiting: Arc<AtomicUsize>,
    losses: Arc<Mutex<Losses>>,
}

/// What was told of entries that are lost.
#[derive(Default)]
struct Losses {
    at: Option<Instant>,
    told: u64,
}

/// Why the audit log was not begun.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its thread was refused.
    #[error("can't start the thread of the audit log: {0}")]
    Thread(#[from] io::Error),
    /// The name of its metric is taken.
    #[error("can't count the entries of the audit log: {0}")]
    Metric(#[from] prometheus::Error),
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Audit").field(&self.0.is_some()).finish()
    }
}

impl Audit {
    /// Keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Keeps entries in `audit.log` of a directory and in the files before that, of at most `space` bytes together. A disk
    /// that takes nothing is no error: what is lost is counted, and told in the log.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(directory: &Path, space: u64, registry: &Registry) -> Result<Self, StartError> {
        let counts = Counts::register(registry)?;
        let (entries, queue) = sync_channel(WAITING);
        let (files, counted) = (Files::new(directory, space), counts.clone());
        thread::Builder::new().name("audit".into()).spawn(move || keep(&queue, files, &counted))?;
        Ok(Self(Some(Arc::new(Queue::new(entries, counts)))))
    }

    /// Notes what was asked for. It waits for nothing.
    pub fn note(&self, entry: Entry) {
        let Some(Queue { entries, counts, .. }) = self.0.as_deref() else { return };
        counts.waiting.fetch_add(1, Ordering::AcqRel);
        if entries.try_send(entry).is_err() {
            counts.waiting.fetch_sub(1, Ordering::AcqRel);
            counts.dropped.inc();
            // Its thread may be held up by a disk for ever.
            counts.tell_losses(None);
        }
    }

    /// Notes what came to nothing, of credentials that do not hold, or of a token, if not too much of it came before.
    pub fn note_some(&self, entry: Entry) {
        let Some(queue) = self.0.as_deref() else { return };
        if queue.may_note(&entry.who) { self.note(entry) } else { queue.counts.withheld.inc() }
    }

    /// Waits until nothing waits for the disk, but not for ever: for a clean end.
    pub async fn settle(&self) {
        let Some(Queue { counts, .. }) = self.0.as_deref() else { return };
        let begun = Instant::now();
        while counts.waiting.load(Ordering::Acquire) > 0 && begun.elapsed() < SETTLED_WITHIN {
            sleep(LOOKS_EVERY).await;
        }
    }
}

impl Queue {
    fn new(entries: SyncSender<Entry>, counts: Counts) -> Self {
        Self { entries, whole_at: Mutex::default(), counts }
    }

    fn may_note(&self, who: &Option<String>) -> bool {
        let (now, mut all) = (Instant::now(), self.whole_at.lock().unwrap_or_else(PoisonError::into_inner));
        let whole_at = all.get(who).copied().unwrap_or(now).max(now) + SOME_EVERY;
        let may = whole_at <= now + SOME_EVERY * SOME_AT_ONCE;
        if may {
            if all.len() >= NAMES {
                all.retain(|_, whole_at| *whole_at > now);
            }
            all.insert(who.clone(), whole_at);
        }
        may
    }
}

impl Counts {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Entries of the audit log, by what became of them";
        let all = IntCounterVec::new(Opts::new("actord_audit_entries_total", help), &["outcome"])?;
        registry.register(Box::new(all.clone()))?;
        let of = |outcome| all.with_label_values(&[outcome]);
        Ok(Self {
            written: of("written"),
            failed: of("failed"),
            dropped: of("dropped"),
            withheld: of("withheld"),
            waiting: Arc::default(),
            losses: Arc::default(),
        })
    }

    /// Says once in a period that entries are lost.
    fn tell_losses(&self, error: Option<&io::Error>) {
        // Who finds it locked leaves it to who has it.
        let Ok(mut losses) = self.losses.try_lock() else { return };
        let lost = self.failed.get() + self.dropped.get();
        if lost == losses.told || losses.at.is_some_and(|at| at.elapsed() < SAID_EVERY) {
            return;
        }
        let entries = lost - std::mem::replace(&mut losses.told, lost);
        losses.at = Some(Instant::now());
        drop(losses);
        let error = error.map(ToString::to_string);
        tracing::warn!(entries, error, "the audit log lost entries: look at its disk; the API goes on");
    }
}

/// Writes what comes, until nothing can come any more.
fn keep(queue: &Receiver<Entry>, mut files: Files, counts: &Counts) {
    while let Ok(first) = queue.recv() {
        let mut written = 0;
        let mut taken = 0;
        let mut wrong = None;
        for entry in std::iter::once(first).chain(queue.try_iter().take(WAITING)) {
            taken += 1;
            match files.write(&entry.line()) {
                Ok(()) => written += 1,
                Err(error) => {
                    counts.failed.inc();
                    wrong = Some(error);
                }
            }
        }
        // They are in the file all the same; a power cut may take them.
        if let Err(error) = files.sync() {
            wrong.get_or_insert(error);
        }
        counts.written.inc_by(written);
        counts.waiting.fetch_sub(taken, Ordering::AcqRel);
        counts.tell_losses(wrong.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn counted(audit: &Audit) -> (u64, u64, u64) {
        let counts = &audit.0.as_ref().unwrap().counts;
        (counts.written.get(), counts.failed.get(), counts.dropped.get())
    }

    #[tokio::test]
    async fn entries_are_lines_of_json_in_their_order_and_go_on_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            let audit = Audit::start(home.path(), 1 << 20, &Registry::new()).unwrap();
            audit.note(entry::tests::of(name));
            audit.settle().await;
            assert_eq!(counted(&audit), (1, 0, 0));
        }
        let text = fs::read_to_string(home.path().join("audit.log")).unwrap();
        let names = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].clone());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_stops_no_caller_and_what_is_lost_is_counted() {
        let home = tempfile::tempdir().unwrap();
        // No directory can be made below a file.
        fs::write(home.path().join("file"), "").unwrap();
        let audit = Audit::start(&home.path().join("file/audit"), 1 << 20, &Registry::new()).unwrap();
        for _ in 0..3 {
            audit.note(entry::tests::of("a"));
        }
        audit.settle().await;
        assert_eq!(counted(&audit), (0, 3, 0));
    }

    #[test]
    fn so_many_wait_and_the_rest_is_dropped_and_counted() {
        let counts = Counts::register(&Registry::new()).unwrap();
        // Nothing takes them out.
        let (entries, _queue) = sync_channel(WAITING);
        let audit = Audit(Some(Arc::new(Queue::new(entries, counts))));
        for _ in 0..WAITING + 7 {
            audit.note(entry::tests::of("a"));
        }
        assert_eq!(counted(&audit), (0, 0, 7));
    }

    #[tokio::test]
    async fn a_disk_that_is_stuck_holds_up_no_caller_and_what_it_does_not_take_is_counted() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let home = tempfile::tempdir().unwrap();
        // A pipe that is full takes no more until it is read, and it is not.
        mknodat(CWD, home.path().join("audit.log"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let audit = Audit::start(home.path(), 1 << 30, &Registry::new()).unwrap();
        for _ in 0..WAITING * 4 {
            audit.note(entry::tests::of("a"));
        }
        // Some are in the pipe, a kilobyte for each four, and so many wait.
        assert!(counted(&audit).2 >= 2 * WAITING as u64, "{:?}", counted(&audit));
        let told = audit.0.as_ref().unwrap().counts.losses.lock().unwrap().told;
        assert!(told > 0, "the log says so though the thread is stuck");
    }

    #[tokio::test(start_paused = true)]
    async fn of_what_is_not_known_a_few_are_noted_and_pushes_nothing_else_out() {
        let home = tempfile::tempdir().unwrap();
        let audit = Audit::start(home.path(), 1 << 20, &Registry::new()).unwrap();
        let withheld = || audit.0.as_ref().unwrap().counts.withheld.get();
        let most = u64::from(SOME_AT_ONCE);
        let note = |n: u64| (0..n).for_each(|_| audit.note_some(entry::tests::of("a")));
        note(most + 5);
        assert_eq!(withheld(), 5);
        sleep(SOME_EVERY * 2).await;
        note(3);
        assert_eq!(withheld(), 6);
        sleep(SOME_EVERY * (SOME_AT_ONCE * 3)).await;
        note(most + 1);
        assert_eq!(withheld(), 7, "no more than that are saved up");
    }
}
