//! The one that writes. What comes while a commit waits for the disk goes into the next one together.
//!
//! ```text
//! ops -> (up to 256, or 8 MiB) -> BEGIN, each, counts, COMMIT -> notices, then answers -> the next ones
//!                                  | one fails, or the commit
//!                                  `-> all is undone, and each goes alone: only those fail that fail alone
//! ```
//! A commit runs on a blocking thread and is waited for: simulated time stands still meanwhile.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::super::backup_thread::BackupThread;
use super::StoreError;
use super::batch::{self, Batch, Next};
use super::bounds::Bounds;
use super::lanes::Lanes;
use super::ops::{Done, Notice, Op};
use super::ticks::Ticks;
use super::{change, upkeep};

/// The most that goes into one commit: changes, and bytes that they carry.
const CHANGES: usize = 256;
const BYTES: usize = 8 << 20;

/// What is told of a commit: how long those in it waited for the disk, and how many there were.
pub(super) type Observer = Box<dyn Fn(Duration, usize) + Send + Sync>;

/// A change with who waits for it.
pub(super) struct Job {
    pub(super) op: Op,
    pub(super) done: oneshot::Sender<Result<Done, StoreError>>,
}

/// What writing needs.
pub(super) struct Writer {
    db: Connection,
    next: Next,
    lanes: Arc<Lanes>,
    ticks: Ticks,
    bounds: Bounds,
}

/// What writing shares with those who read.
#[derive(Default)]
pub(super) struct Shared {
    /// What keeps the last good copy fresh.
    pub(super) backup: Option<BackupThread>,
    /// Who is told of calls that wait anew.
    pub(super) notices: Mutex<Option<mpsc::UnboundedSender<Box<[Notice]>>>>,
    /// Who is told how long commits take.
    pub(super) observer: OnceLock<Observer>,
    /// Whether the file was found damaged: then nothing is written any more.
    pub(super) damaged: watch::Sender<bool>,
}

impl Shared {
    /// The file was found damaged. What opens it anew must find its copy as it was.
    pub(super) fn give_up(&self) {
        if let Some(backup) = &self.backup {
            backup.give_up();
        }
        self.damaged.send_replace(true);
    }
}

impl Writer {
    pub(super) fn new(db: Connection, lanes: Arc<Lanes>, ticks: Ticks, bounds: Bounds) -> Result<Self, StoreError> {
        Ok(Self { next: Next::load(&db)?, db, lanes, ticks, bounds })
    }

    /// Also for readers, where there is no file that they could open.
    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    /// Makes all of them durable together; what fails does so alone.
    fn commit_all(&mut self, ops: &[&Op]) -> (Vec<Result<Done, StoreError>>, Vec<Notice>) {
        match self.transaction(ops) {
            Ok((done, notices)) => return (done.into_iter().map(Ok).collect(), notices),
            Err(error) if ops.len() == 1 => return (vec![Err(error)], Vec::new()),
            Err(_) => {}
        }
        let (mut all, mut notices) = (Vec::new(), Vec::new());
        for op in ops {
            all.push(self.transaction(&[op]).map(|(mut done, told)| {
                notices.extend(told);
                done.pop().unwrap_or(Done::Nothing)
            }));
        }
        (all, notices)
    }

    /// All of them, or none.
    fn transaction(&mut self, ops: &[&Op]) -> Result<(Vec<Done>, Vec<Notice>), StoreError> {
        let done = self.attempt(ops);
        if done.is_err() {
            self.undo();
        }
        done
    }

    fn attempt(&mut self, ops: &[&Op]) -> Result<(Vec<Done>, Vec<Notice>), StoreError> {
        self.undo();
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut batch = Batch::new(&self.db, &self.lanes, &mut self.next, &self.bounds, self.ticks.now());
        let done = ops.iter().map(|op| change::apply(&mut batch, op)).collect::<Result<Vec<_>, _>>()?;
        upkeep::give_way(&mut batch)?;
        batch.seal()?;
        let (changes, notices) = (batch.changes, batch.notices);
        if ops.iter().any(|op| matches!(op, Op::Close)) {
            batch::set_meta(&self.db, "clean", 1)?;
        }
        self.db.prepare_cached("COMMIT")?.execute([])?;
        self.lanes.apply(&changes);
        Ok((done, notices))
    }

    /// Whatever an error or a panic left half done.
    fn undo(&self) {
        if !self.db.is_autocommit() {
            let _ = self.db.execute_batch("ROLLBACK");
        }
    }

    fn put_log_away(&self) {
        if let Err(error) = self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::debug!(%error, "the log of asynchronous calls was not put away: the next start reads it");
        }
    }
}

/// Writes until those who send jobs are gone, the file is closed, or it is found damaged.
pub(super) async fn run(writer: Arc<Mutex<Writer>>, mut jobs: mpsc::Receiver<Job>, shared: Arc<Shared>) {
    let mut damaged = shared.damaged.subscribe();
    loop {
        let first = tokio::select! {
            biased;
            _ = damaged.wait_for(|damaged| *damaged) => return,
            first = jobs.recv() => first,
        };
        let Some(first) = first else { return };
        let batch = gather(first, &mut jobs);
        let closes = batch.iter().any(|job| matches!(job.op, Op::Close));
        let (writer, told) = (writer.clone(), shared.clone());
        // If its thread panics, those who wait are told so by their ends of the channel.
        let _ = tokio::task::spawn_blocking(move || write(&writer, &told, batch)).await;
        if closes {
            return;
        }
    }
}

fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.op.carries();
    let mut batch = vec![first];
    while batch.len() < CHANGES && bytes < BYTES {
        let Ok(job) = jobs.try_recv() else { break };
        bytes += job.op.carries();
        batch.push(job);
    }
    batch
}

fn write(writer: &Mutex<Writer>, shared: &Shared, batch: Vec<Job>) {
    let began = Instant::now();
    let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
    let ops: Vec<&Op> = batch.iter().map(|job| &job.op).collect();
    let (all, notices) = writer.commit_all(&ops);
    if ops.iter().any(|op| matches!(op, Op::Close)) {
        writer.put_log_away();
    }
    drop(writer);
    if let Some(observe) = shared.observer.get() {
        observe(began.elapsed(), ops.len());
    }
    // Before anybody can settle one of them.
    if !notices.is_empty()
        && let Some(told) = shared.notices.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
    {
        let _ = told.send(notices.into_boxed_slice());
    }
    let changed = |(op, done): (&&Op, &Result<Done, StoreError>)| done.is_ok() && op.changes_calls();
    if let Some(backup) = shared.backup.as_ref().filter(|_| ops.iter().zip(&all).any(changed)) {
        backup.changed();
    }
    if all.iter().any(|done| matches!(done, Err(StoreError::Damaged(_)))) {
        shared.give_up();
    }
    for (job, done) in batch.into_iter().zip(all) {
        // Nobody has to wait for it.
        let _ = job.done.send(done);
    }
}
