//! Calls that outlive their caller: accepted onto the disk, sent when their turn comes, tried again, and kept as dead letters.
//!
//! ```text
//! accept -> the calls' database -> dispatcher: lanes, turns -> attempt -> retry (pure) -> settled in the database
//!                                                                      -> delivery: the answer goes on
//! ```
//! The promise is *at least once*: a call that was accepted is sent until it was answered, and what was answered is on the disk
//! before the function's lease ends. A kill between the two sends it again. What is under way is in memory alone, so nothing is
//! written when a try begins.

mod accept;
mod attempt;
mod budget;
pub mod callback;
mod context;
mod control;
mod delivery;
mod disk;
mod dispatcher;
mod ended;
mod ends;
mod errand;
pub mod fairness;
#[cfg(feature = "testing")]
pub mod fake;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod gate;
pub mod head;
mod lane;
pub mod local;
mod metrics;
mod policy;
pub mod redact;
pub mod retry;
mod room;
pub mod seam;
mod settle;
mod settling;
#[cfg(feature = "testing")]
mod testing;
mod ticks;
mod under_way;
pub mod view;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::accept::{Deadline, New, NewCallback, NotAccepted};
use self::context::{Context, Run, Senders};
pub use self::control::{Depth, Fire, Fired, NotCancelled, NotFound, NotRetried, Unusable};
pub use self::disk::LEFT as LEFT_TO_OTHERS;
use self::dispatcher::Dispatcher;
pub use self::ends::{End, Ended};
pub use self::gate::Gate;
pub use self::lane::of_url as callback_lane;
use self::seam::{Deliver, Invoke, Reply, Sending};
pub use self::ticks::wall;
use crate::engine::Engine;
use crate::function::FunctionId;
use crate::routes::Routes;
pub use crate::store::calls::{
    Attempt, CallId, Callback, Calls, Filter, FiredKey, FiredRow, Kept, ListError, Loaded, Mark, Page, Phase, Request,
    Revive, Seq, State, StoreError, Summary, Verdict, Wanted,
};

/// After a panic, or when the database was closed, before it starts over.
const AGAIN: Duration = Duration::from_secs(1);
/// Before a database is tried again that could not be opened.
const OPEN_AGAIN: Duration = Duration::from_secs(60);
/// What was answered when calls were dropped at the end has so long to get onto the disk.
const LAST_COMMITS: Duration = Duration::from_secs(5);

/// What holds for all calls.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The longest body, in bytes.
    pub max_body: usize,
    /// The most calls of one function that wait; 0: any number.
    pub max_calls: u64,
    /// The most that calls, answers and dead letters take of the disk, in bytes.
    pub max_bytes: Option<u64>,
    /// The most calls that are under way.
    pub parallel: usize,
    /// Where callbacks may go.
    pub rules: callback::Rules,
    /// The directory whose disk has to have room; none: that is not looked at.
    pub directory: Option<PathBuf>,
}

/// Opens the calls' database, or gives up soon after the token is cancelled. It is asked again when the file was found to be
/// damaged.
pub type Open = Box<dyn Fn(CancellationToken) -> BoxFuture<'static, Result<Calls, StoreError>> + Send + Sync>;

/// The queue. Cheap to clone; it ends with the last clone.
#[derive(Clone)]
pub struct Queue {
    inner: Arc<Inner>,
    _ends: Arc<DropGuard>,
}

struct Inner {
    context: Arc<Context>,
    standing: watch::Sender<Standing>,
    senders: watch::Sender<Option<Arc<Senders>>>,
    tasks: TaskTracker,
    end: CancellationToken,
}

/// Whether the database can be used.
#[derive(Clone)]
enum Standing {
    Opening,
    Open(Calls),
    Unusable(String),
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("settings", &self.inner.context.settings).finish_non_exhaustive()
    }
}

impl Settings {
    /// Of how many bytes on, in all, calls that are done go for others that need the room.
    #[must_use]
    pub fn give_way(&self) -> Option<u64> {
        self.max_bytes.map(room::Room::for_calls)
    }
}

impl Queue {
    /// A queue whose database is opened beside all else; until it is, calls are refused for a moment.
    ///
    /// # Errors
    /// When a metric's name is no name, which is a mistake in this room.
    pub fn open(
        open: Open,
        engine: Arc<dyn Engine>,
        routes: Arc<Routes>,
        settings: Settings,
        runtime: &Handle,
    ) -> Result<Self, prometheus::Error> {
        let end = CancellationToken::new();
        let inner = Arc::new(Inner {
            context: Arc::new(Context::new(engine, routes, settings, end.clone())?),
            standing: watch::Sender::new(Standing::Opening),
            senders: watch::Sender::new(None),
            tasks: TaskTracker::new(),
            end,
        });
        inner.tasks.spawn_on(inner.clone().work(open), runtime);
        Ok(Self { _ends: Arc::new(inner.end.clone().drop_guard()), inner })
    }

    /// Begins to send calls.
    pub fn begin(&self, invoke: Arc<dyn Invoke>, deliver: Arc<dyn Deliver>) {
        self.inner.senders.send_replace(Some(Arc::new(Senders { invoke, deliver })));
    }

    /// What holds for all calls.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.context.settings
    }

    /// The longest body, in bytes.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.settings().max_body
    }

    /// Where callbacks may go.
    #[must_use]
    pub fn rules(&self) -> &callback::Rules {
        &self.settings().rules
    }

    /// Whether a call of this function would be accepted just now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_accept(&self, function: &FunctionId) -> Result<(), NotAccepted> {
        self.inner.context.may_accept(&self.inner.open()?, function)
    }

    /// Accepts a call: it is on the disk when this returns.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn accept(&self, new: New) -> Result<CallId, NotAccepted> {
        self.inner.context.accept(&self.inner.open()?, new).await
    }

    /// Calls a function once, for who waits for it: nothing is kept of the call. None: what sends calls has not begun.
    pub async fn call_now(&self, sending: &Sending) -> Option<Reply> {
        let senders = self.inner.senders.borrow().clone()?;
        Some(senders.invoke.invoke(sending).await)
    }

    /// Waits until the database is open, or can't be, for so long.
    pub async fn opened(&self, within: Duration) {
        let mut standing = self.inner.standing.subscribe();
        let _ = timeout(within, standing.wait_for(|standing| !matches!(standing, Standing::Opening))).await;
    }

    /// What is wrong just now, one line each.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let unusable = match &*self.inner.standing.borrow() {
            Standing::Unusable(why) => Some(format!("queue: {why}")),
            _ => None,
        };
        let stuck = self.inner.context.settling.is_stuck();
        let stuck = stuck.then(|| "queue: what came of calls can't be written to the disk".to_owned());
        let sends = self.inner.senders.borrow().clone();
        let silent = sends.and_then(|sends| sends.invoke.fault()).map(|why| format!("queue: {why}"));
        unusable.into_iter().chain(stuck).chain(silent).collect()
    }

    /// The calls that end without an answer from now on, and dead letters that are sent again. Nothing waits for who listens.
    #[must_use]
    pub fn ends(&self) -> broadcast::Receiver<Ended> {
        self.inner.context.ends.listen()
    }

    /// Writes down under `registry` what it does.
    ///
    /// # Errors
    /// When its names are taken.
    pub fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        self.inner.context.metrics.register(registry, &self.inner)
    }

    /// Sends no call any more. Those under way go on, and others are accepted.
    pub fn end_dispatch(&self) {
        self.inner.context.run.send_replace(Run::Ending);
    }

    /// Waits until nothing is under way, for so long; what then is, is dropped and waits for the next start. What was answered is
    /// on the disk when this returns, where the disk takes it.
    pub async fn finish(&self, within: Duration) {
        self.end_dispatch();
        let mut idle = self.inner.context.idle.subscribe();
        if timeout(within, idle.wait_for(|idle| *idle)).await.is_err() {
            self.inner.context.under_way.drain();
            if timeout(LAST_COMMITS, idle.wait_for(|idle| *idle)).await.is_err() {
                tracing::error!(
                    "what came of some calls could not be written down: they are sent again at the next start"
                );
            }
        }
    }

    /// Ends it, and closes the database.
    pub async fn close(&self) {
        self.inner.end.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.context.settling.close().await;
        let before = self.inner.standing.send_replace(Standing::Unusable("actord is stopping".to_owned()));
        if let Standing::Open(calls) = before
            && let Err(error) = calls.close().await
        {
            tracing::warn!(%error, "the database of calls was not closed in order");
        }
    }
}

impl Inner {
    /// The database, if it is open.
    fn calls(&self) -> Option<Calls> {
        match &*self.standing.borrow() {
            Standing::Open(calls) => Some(calls.clone()),
            _ => None,
        }
    }

    fn open(&self) -> Result<Calls, NotAccepted> {
        match &*self.standing.borrow() {
            Standing::Open(calls) => Ok(calls.clone()),
            Standing::Opening => Err(NotAccepted::Busy(accept::OPENING)),
            Standing::Unusable(why) => Err(NotAccepted::Unusable(why.clone())),
        }
    }

    /// Opens the database, and sends what is in it, until the end. Where it is closed because it is damaged, it is opened again.
    async fn work(self: Arc<Self>, open: Open) {
        loop {
            // Waited for whatever comes: what is half open is not left alone with its file.
            let next = match open(self.end.clone()).await {
                Ok(calls) => self.use_it(calls).await,
                Err(error) => self.is_unusable(&error),
            };
            let Some(wait) = next else { return };
            if self.end.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Sends what is in it. After how long it is to be opened again.
    async fn use_it(&self, calls: Calls) -> Option<Duration> {
        self.context.metrics.observe(&calls);
        self.context.room.begin_anew();
        self.standing.send_replace(Standing::Open(calls.clone()));
        tokio::select! {
            biased;
            // It stays the one that is closed.
            () = self.end.cancelled() => return None,
            () = self.dispatch(calls.clone()) => {}
            () = calls.damaged() => {}
        }
        self.standing.send_replace(Standing::Opening);
        tracing::error!("the database of calls is damaged: it is opened again");
        Some(AGAIN)
    }

    /// After how long it is to be tried again.
    fn is_unusable(&self, error: &StoreError) -> Option<Duration> {
        if self.end.is_cancelled() {
            return None;
        }
        tracing::error!(%error, "the database of calls can't be opened: no asynchronous call is taken");
        self.standing.send_replace(Standing::Unusable(error.to_string()));
        (!matches!(error, StoreError::Newer { .. })).then_some(OPEN_AGAIN)
    }

    /// Returns when the database is closed.
    async fn dispatch(&self, calls: Calls) {
        let mut senders = self.senders.subscribe();
        loop {
            // The sender is ours, so it is not gone.
            let senders = senders.wait_for(Option::is_some).await.ok().and_then(|senders| senders.clone());
            let Some(senders) = senders else { return };
            let dispatcher = Dispatcher::new(self.context.clone(), calls.clone(), senders);
            if AssertUnwindSafe(dispatcher.run()).catch_unwind().await.is_ok() {
                return;
            }
            tracing::error!("the dispatcher of calls panicked: it starts over with what is on the disk");
            self.context.metrics.starts_over();
            sleep(AGAIN).await;
        }
    }
}
