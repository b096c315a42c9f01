//! What came of tries, on its way onto the disk: by tasks of their own, which a panic of the dispatcher does not end.
//!
//! ```text
//! a try --settle--> unwritten --committed--> written: the lease has ended, the place is free
//!                       |  refused: stuck, and tried again each second; the lease ends, and no call is sent
//!                       `- the queue ends, or the file is damaged: given up
//! ```
//! As long as something is unwritten of a call, nobody sends that anew, and no deadline ends it: what was answered wins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::Context;
use crate::store::calls::{Calls, Notice, Seq, Settled, State};

/// Before it is written again what the disk refused.
const AGAIN: Duration = Duration::from_secs(1);

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    UnderWay,
    Refused,
    /// It is written, or given up; where the call waits now, if it does.
    Ended(Option<Notice>),
}

/// How much is unwritten, and how much of it was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    unwritten: usize,
    refused: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Settling {
    unwritten: Mutex<HashMap<Seq, watch::Receiver<Progress>>>,
    counts: watch::Sender<Counts>,
    tasks: TaskTracker,
    end: CancellationToken,
}

/// Who waits for one of them.
#[derive(Debug)]
pub(super) struct Written(watch::Receiver<Progress>);

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

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_if_modified(|counts| {
            let was_stuck = counts.refused > 0;
            change(counts);
            was_stuck != (counts.refused > 0) || counts.unwritten == 0
        });
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<Seq, watch::Receiver<Progress>>> {
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

/// One that is unwritten, as long as this is held.
struct Unwritten {
    context: Arc<Context>,
    call: Seq,
    is_refused: bool,
}

impl Unwritten {
    fn begin(context: Arc<Context>, call: Seq, progress: watch::Receiver<Progress>) -> Self {
        context.settling.unwritten().insert(call, progress);
        context.settling.count(|counts| counts.unwritten += 1);
        Self { context, call, is_refused: false }
    }

    async fn write(&mut self, calls: &Calls, settled: &Settled, told: &watch::Sender<Progress>) -> Option<Notice> {
        loop {
            match calls.settle(self.call, settled.clone()).await {
                Ok((_, notice)) => return notice,
                Err(error) if !self.is_refused => {
                    tracing::error!(%error, "what came of a call can't be written down: it is tried again each second");
                    self.is_refused = true;
                    self.context.settling.count(|counts| counts.refused += 1);
                    told.send_replace(Progress::Refused);
                }
                Err(_) => {}
            }
            sleep(AGAIN).await;
        }
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        let settling = &self.context.settling;
        settling.unwritten().remove(&self.call);
        settling.count(|counts| {
            counts.unwritten -= 1;
            counts.refused -= usize::from(self.is_refused);
        });
    }
}

impl Context {
    /// Writes down what came of a call; `end` is what it has become, if it has ended by that.
    pub(super) fn settle(self: &Arc<Self>, calls: &Calls, call: Seq, settled: Settled, end: Option<State>) -> Written {
        let (told, progress) = watch::channel(Progress::UnderWay);
        let mut unwritten = Unwritten::begin(self.clone(), call, progress.clone());
        let calls = calls.clone();
        let waits = matches!(settled, Settled::Again { .. });
        self.settling.tasks.spawn(async move {
            let context = unwritten.context.clone();
            let notice = tokio::select! {
                biased;
                () = context.settling.end.cancelled() => None,
                () = calls.damaged() => None,
                notice = unwritten.write(&calls, &settled, &told) => {
                    if !waits {
                        context.left(&[call], end);
                    }
                    if unwritten.is_refused {
                        tracing::info!(call = call.0, "what came of a call is written down again");
                    }
                    notice
                }
            };
            drop(unwritten);
            told.send_replace(Progress::Ended(notice));
        });
        Written(progress)
    }
}
