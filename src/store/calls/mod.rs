//! Asynchronous calls in a file of their own: each is on the disk before it is answered, and leaves it when it has ended for long.
//!
//! ```text
//! commit(op) -> writer: many in one commit -> notices: who dispatches is told which calls wait anew
//! heads, load, page, ...  <- readers, which wait for no commit (loads: many with one look)
//! lanes                   <- counts of each function and each callback's host, in memory
//! ```
//! That a call is under way is never written: after a kill it waits as it did before, and is tried again. What the call came to is
//! on the disk before its function is let go. Times are ticks (see [`Ticks`]).

mod accept;
mod answers;
mod batch;
mod bounds;
mod call;
mod change;
mod dead;
mod fired;
mod glance;
mod id;
mod import;
mod lanes;
mod list;
mod loader;
mod open;
mod opening;
mod ops;
mod pages;
mod queries;
mod read;
mod remove;
mod revive;
mod row;
mod schema;
mod settle;
mod stop;
#[cfg(feature = "testing")]
mod testing;
mod ticks;
mod upkeep;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use super::StoreError;
pub use bounds::Bounds;
pub use call::{Attempt, Callback, Kept, Loaded, NewCall, Phase, Request, State, Summary, Verdict};
pub use glance::Glance;
pub use id::{CallId, LaneId, NotAnId, Seq};
pub use lanes::Lane;
pub use list::{Filter, NoSuchPage, Page, Wanted};
pub use ops::{
    Done, Fired, FiredKey, FiredRow, Firing, Head, LaneKey, Mark, Notice, Op, Revive, Revived, Settled, Upkeep, Why,
};
pub use pages::ListError;
pub use read::Heads;
pub use ticks::Ticks;

use super::backup_thread::BackupThread;
use crate::function::FunctionId;
use lanes::Lanes;
use loader::{Load, Readers};
use writer::{Job, Shared, Writer};

/// The version in which this program lays out calls.
#[must_use]
pub fn known_schema() -> i64 {
    schema::KNOWN
}

/// How many changes wait for the one that writes before their callers do.
const WAITING_CHANGES: usize = 4096;

/// The asynchronous calls. Cheap to clone.
#[derive(Clone)]
pub struct Calls(Arc<Inner>);

struct Inner {
    jobs: mpsc::Sender<Job>,
    readers: Arc<Readers>,
    /// Whose turn it is to ask them.
    turns: [Arc<Semaphore>; 2],
    loads: mpsc::UnboundedSender<Load>,
    lanes: Arc<Lanes>,
    ticks: Ticks,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Calls {
    /// Opens the file, and makes it if there is none; its clock begins at `wall`, the milliseconds of the wall's clock, or after the
    /// last that it showed. One that is damaged is moved aside for its last good copy, or for an empty one, and an error is logged.
    /// Blocks. What is written is so by a task of the runtime that this is called in.
    ///
    /// # Errors
    /// [`StoreError`]; a newer file is left as it is.
    pub fn open(path: &Path, bounds: Bounds, wall: i64) -> Result<Self, StoreError> {
        open::open(path, bounds, wall, &open::How::default())
    }

    /// Hands over the calls that wait and the dead letters of a file that another process may be using, in the order in which they
    /// were accepted, each with the lane that it is in. Due times and deadlines are handed over as the wall's, which stands at `wall`:
    /// another file has other ticks. Blocks.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed, whatever state the file is in.
    pub fn read_unended(
        path: &Path,
        wall: i64,
        mut take: impl FnMut(LaneKey, Loaded) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let db = super::check::reader(path)?;
        match schema::version(&db)? {
            // Made, and never written to.
            0 => Ok(()),
            schema::KNOWN => {
                let now = Ticks::beginning(wall, open::last(&db)?.map_or(0, |(ticks, _)| ticks)).now();
                let on_the_wall = |ticks: i64| wall.saturating_add(ticks.saturating_sub(now));
                read::each_unended(&db, |lane, mut loaded| {
                    loaded.call.due = on_the_wall(loaded.call.due);
                    loaded.call.deadline = loaded.call.deadline.map(on_the_wall);
                    take(lane, loaded)
                })
            }
            found => Err(StoreError::Older { found, known: schema::KNOWN }),
        }
    }

    /// A look at a file that another process may be using. Blocks.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed, whatever state the file is in.
    pub fn glance(path: &Path) -> Result<Glance, StoreError> {
        glance::glance(path)
    }

    fn over(
        db: Connection,
        readers: Option<[Connection; 2]>,
        bounds: Bounds,
        wall: i64,
        backup: Option<BackupThread>,
    ) -> Result<Self, StoreError> {
        let last = open::last(&db)?;
        if let Some((_, false)) = last {
            tracing::warn!("the last actord did not end in order: asynchronous calls that were under way start again");
        }
        let ticks = Ticks::beginning(wall, last.map_or(0, |(ticks, _)| ticks));
        open::begin(&db, ticks.now())?;
        let lanes = Arc::new(Lanes::load(&db)?);
        let writer = Arc::new(Mutex::new(Writer::new(db, lanes.clone(), ticks, bounds)?));
        let shared = Arc::new(Shared { backup, ..Shared::default() });
        let (jobs, waiting) = mpsc::channel(WAITING_CHANGES);
        tokio::spawn(writer::run(writer.clone(), waiting, shared.clone()));
        let files = readers.map(|readers| readers.map(Mutex::new));
        let readers = Arc::new(Readers { files, writer });
        let turns = [(); 2].map(|()| Arc::new(Semaphore::new(1)));
        let (loads, wanted) = mpsc::unbounded_channel();
        tokio::spawn(loader::run(readers.clone(), wanted, shared.clone()));
        Ok(Self(Arc::new(Inner { jobs, readers, turns, loads, lanes, ticks, shared })))
    }

    /// The clock of due times and deadlines.
    #[must_use]
    pub fn ticks(&self) -> Ticks {
        self.0.ticks
    }

    /// Changes something. When this returns it is on the disk. A caller that goes away does not undo it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub async fn commit(&self, op: Op) -> Result<Done, StoreError> {
        let (done, answer) = oneshot::channel();
        if self.0.jobs.send(Job { op, done }).await.is_err() {
            return Err(self.closed());
        }
        answer.await.unwrap_or_else(|_| Err(self.closed()))
    }

    fn closed(&self) -> StoreError {
        if *self.0.shared.damaged.borrow() {
            return StoreError::Damaged("the file of asynchronous calls is opened anew".into());
        }
        StoreError::Failed("the file of asynchronous calls is closed: actord ends".into())
    }

    /// Keeps a call.
    ///
    /// # Errors
    /// As for [`Calls::commit`].
    pub async fn accept(&self, call: NewCall) -> Result<Notice, StoreError> {
        match self.commit(Op::Accept(call)).await? {
            Done::Accepted(notice) => Ok(notice),
            other => Err(unexpected(&other)),
        }
    }

    /// Keeps the call of a schedule's due time, once.
    ///
    /// # Errors
    /// As for [`Calls::commit`].
    pub async fn fire(&self, call: NewCall, firing: Firing) -> Result<Fired, StoreError> {
        match self.commit(Op::Fire(call, firing)).await? {
            Done::Fired(fired) => Ok(fired),
            other => Err(unexpected(&other)),
        }
    }

    /// Says what came of a try: whether the call waited until now, and where it waits now, if it does.
    ///
    /// # Errors
    /// As for [`Calls::commit`].
    pub async fn settle(&self, seq: Seq, settled: Settled) -> Result<(bool, Option<Notice>), StoreError> {
        match self.commit(Op::Settle(seq, settled)).await? {
            Done::Settled(waited, notice) => Ok((waited, notice)),
            other => Err(unexpected(&other)),
        }
    }

    /// Cancels a call: whether it had not ended before.
    ///
    /// # Errors
    /// As for [`Calls::commit`].
    pub async fn cancel(&self, seq: Seq) -> Result<bool, StoreError> {
        match self.commit(Op::Cancel(seq)).await? {
            Done::Settled(waited, _) => Ok(waited),
            other => Err(unexpected(&other)),
        }
    }

    /// Lets a dead letter wait anew.
    ///
    /// # Errors
    /// As for [`Calls::commit`].
    pub async fn revive(&self, seq: Seq, how: Revive) -> Result<Revived, StoreError> {
        match self.commit(Op::Revive(seq, how)).await? {
            Done::Revived(revived) => Ok(revived),
            other => Err(unexpected(&other)),
        }
    }

    /// Removes all calls that the filter means and that have ended, and says how many they were.
    ///
    /// # Errors
    /// As for [`Calls::commit`]; those that went until then are gone.
    pub async fn purge(&self, mut filter: Filter) -> Result<u64, ListError> {
        let mut removed = 0;
        loop {
            filter.limit = SOME;
            let page = self.page(filter.clone()).await?;
            let ended = page.calls.iter().filter(|call| call.state != State::Waiting);
            let seqs: Box<[Seq]> = ended.map(|call| call.seq).collect();
            if !seqs.is_empty() {
                removed += self.some(Op::Remove(seqs)).await?.0;
            }
            match page.next {
                Some(next) => filter.after = Some(next),
                None => return Ok(removed),
            }
        }
    }

    /// Takes over calls of another file, as [`Calls::read_unended`] hands them over; those that are here already are left as they are.
    /// `wall`: what it is on the wall. Says how many were taken over.
    ///
    /// # Errors
    /// As for [`Calls::commit`].
    pub async fn import(&self, calls: Box<[(LaneKey, Loaded)]>, wall: i64) -> Result<u64, StoreError> {
        Ok(self.some(Op::Import(calls, wall)).await?.0)
    }

    /// Keeps house: removes what ended long enough ago, lanes without calls, and pages without content. Says how many calls went.
    ///
    /// # Errors
    /// As for [`Calls::commit`]; what was done until then is done.
    pub async fn tidy(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        for part in [Upkeep::Ended, Upkeep::Lanes, Upkeep::Pages] {
            loop {
                let (done, more) = self.some(Op::Upkeep(part)).await?;
                removed += if part == Upkeep::Ended { done } else { 0 };
                if !more {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Does what says how much it did, and whether there is more.
    async fn some(&self, op: Op) -> Result<(u64, bool), StoreError> {
        match self.commit(op).await? {
            Done::Some(done, more) => Ok((done, more)),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends it: notes that all is in order, puts its log away, and brings the last good copy up to date unless
    /// the file is large. Nothing can be changed after this.
    ///
    /// # Errors
    /// As for [`Calls::commit`]; the copy is then as it was.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.commit(Op::Close).await?;
        let shared = self.0.shared.clone();
        super::blocking(move || shared.backup.as_ref().map_or(Ok(()), BackupThread::copy_at_a_stop)).await
    }

    /// Whether there is a copy that would take the place of a damaged file.
    #[must_use]
    pub fn has_copy(path: &Path) -> bool {
        open::has_copy(path)
    }

    /// Whether there is none because the file is too large for one, or its disk too full.
    #[must_use]
    pub fn has_no_room_for_a_copy(path: &Path) -> bool {
        open::has_no_room_for_a_copy(path)
    }

    /// Who wants to be told of calls that wait anew; who was before is told no more. Ask for it before you look at the lanes.
    #[must_use]
    pub fn notices(&self) -> mpsc::UnboundedReceiver<Box<[Notice]>> {
        let (told, notices) = mpsc::unbounded_channel();
        *self.0.shared.notices.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        notices
    }

    /// Tells `observe` of each commit how long those in it waited for the disk, and how many they were. Only the first one is told.
    pub fn observe_commits(&self, observe: impl Fn(Duration, usize) + Send + Sync + 'static) {
        let _ = self.0.shared.observer.set(Box::new(observe));
    }

    /// Waits until the file is found damaged: from then on nothing can be changed, and it has to be opened anew.
    pub async fn damaged(&self) {
        // It is never dropped while this is borrowed.
        let _ = self.0.shared.damaged.subscribe().wait_for(|damaged| *damaged).await;
    }

    /// All lanes with their counts.
    #[must_use]
    pub fn lanes(&self) -> Vec<Arc<Lane>> {
        self.0.lanes.all()
    }

    /// A lane, if it has not gone.
    #[must_use]
    pub fn lane(&self, id: LaneId) -> Option<Arc<Lane>> {
        self.0.lanes.get(id)
    }

    /// The lane of a function, if that has or had calls.
    #[must_use]
    pub fn function(&self, id: &FunctionId) -> Option<Arc<Lane>> {
        self.0.lanes.find(&LaneKey::Function(id.clone()))
    }

    /// What all calls take, in bytes, about.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.lanes.bytes()
    }

    /// How many calls wait for their callback.
    #[must_use]
    pub fn callbacks(&self) -> u64 {
        self.0.lanes.callbacks()
    }
}

/// How many are removed in one transaction.
const SOME: usize = 500;

fn unexpected(done: &Done) -> StoreError {
    StoreError::Failed(format!("a change was answered by another's answer: {done:?}"))
}

#[cfg(test)]
mod tests;
