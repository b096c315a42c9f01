//! What came of tries, on its way onto the disk: by tasks of their own, which a panic of the dispatcher does not end.
//!
//! ```text
//! a try --settle--> unwritten --committed--> written: the lease has ended, the place is free
//!                       |  refused: stuck, and tried again each second; the lease ends, and no call is sent
//!                       `- the queue ends, or the file is damaged: given up
//! ```
//! As long as something is unwritten of a call, nobody sends that anew, and no deadline ends it: what was answered wins.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::calls::{Notice, Seq};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    UnderWay,
    Refused,
    /// It is written, or given up; where the call waits now, if it does.
    Ended(Option<Notice>),
}

/// How much is unwritten, and how much of it was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) unwritten: usize,
    pub(super) refused: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Settling {
    unwritten: Mutex<HashMap<Seq, watch::Receiver<Progress>>>,
    counts: watch::Sender<Counts>,
    pub(super) tasks: TaskTracker,
    pub(super) end: CancellationToken,
}

/// Who waits for one of them.
#[derive(Debug)]
pub(super) struct Written(pub(super) watch::Receiver<Progress>);

impl Settling {
    /// It is given up at this end.
    pub(super) fn new(end: CancellationToken) -> Self {
        Self { unwritten: Mutex::default(), counts: watch::Sender::default(), tasks: TaskTracker::new(), end }
    }

    /// Whether what came of this call is not on the disk yet.
    pub(super) fn contains(&self, call: Seq) -> bool {
        self.unwritten().contains_key(&call)
    }

    /// Waits until all that came of this call is on the disk.
    pub(super) async fn of(&self, call: Seq) {
        let under_way = self.unwritten().get(&call).cloned();
        if let Some(progress) = under_way {
            Written(progress).ended().await;
        }
    }

    /// Whether the disk refuses something.
    pub(super) fn is_stuck(&self) -> bool {
        self.counts.borrow().refused > 0
    }

    /// Whether all is on the disk.
    pub(super) fn is_done(&self) -> bool {
        self.counts.borrow().unwritten == 0
    }

    /// Tells when [`Settling::is_stuck`] has changed, or all is done.
    pub(super) fn changes(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// Waits until nobody writes any more.
    pub(super) async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_if_modified(|counts| {
            let was_stuck = counts.refused > 0;
            change(counts);
            was_stuck != (counts.refused > 0) || counts.unwritten == 0
        });
    }

    pub(super) fn unwritten(&self) -> MutexGuard<'_, HashMap<Seq, watch::Receiver<Progress>>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    /// Waits until it is written; none if the disk refuses it: it is still tried.
    pub(super) async fn or_refused(&mut self) -> Option<Option<Notice>> {
        match self.wait(|progress| progress != Progress::UnderWay).await {
            Progress::Ended(notice) => Some(notice),
            _ => None,
        }
    }

    /// Waits until it is written.
    pub(super) async fn ended(mut self) -> Option<Notice> {
        match self.wait(|progress| matches!(progress, Progress::Ended(_))).await {
            Progress::Ended(notice) => notice,
            _ => None,
        }
    }

    async fn wait(&mut self, holds: impl Fn(Progress) -> bool) -> Progress {
        // Who writes says so at the end, unless it panics: then it is over, too.
        self.0.wait_for(|progress| holds(*progress)).await.map_or(Progress::Ended(None), |progress| *progress)
    }
}
