//! An instance that is being run: what it is made from, and how its tasks call the host.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, RwLock, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::context::Context;
use super::super::host_call::Task;
use crate::function::{Exit, FunctionId, Generation, InstanceId, Spec, StartError};
use crate::host::{HostError, PullPolicy};

/// An instance to bring up or to adopt.
#[derive(Clone)]
pub(super) struct InstanceTask {
    pub(super) context: Arc<Context>,
    pub(super) function: FunctionId,
    pub(super) id: InstanceId,
    pub(super) generation: Generation,
    pub(super) spec: Arc<Spec>,
    /// Whether the generation ever served.
    pub(super) has_served: bool,
    /// The newest generation that ever served, which may be its own.
    pub(super) good: Option<Generation>,
    pub(super) pull_policy: PullPolicy,
    /// Told once the instance is made.
    pub(super) made: Arc<Notify>,
    /// Asks for the instance to be frozen.
    pub(super) freeze: Arc<Notify>,
    /// Read by each check while it asks; written by freezing, until the instance is thawed.
    pub(super) awake: Arc<RwLock<()>>,
    /// Whether it stands by.
    pub(super) standby: Arc<watch::Sender<Standby>>,
    /// Whether it was last told to be ready. Changed by its check, which keeps it awake meanwhile.
    pub(super) ready: Arc<watch::Sender<bool>>,
    /// Ends the task at its next safe point.
    pub(super) cancelled: CancellationToken,
}

/// What an instance's task knows of its standing by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standby {
    /// It serves, or may.
    No,
    /// It gets no requests until one that serves is missing.
    Yes,
    /// It took over, and is marked frozen in the routes until its task has thawed it.
    Over,
}

/// An instance that is up.
pub(super) struct ReadyInstance {
    pub(super) address: SocketAddr,
    /// Why it can't take requests just now.
    pub(super) unready: Option<String>,
}

/// Why a task ended without an instance that serves.
pub(super) enum Stopped {
    /// It is not wanted any more.
    Cancelled,
    Failed(StartError),
}

impl From<HostError> for Stopped {
    fn from(error: HostError) -> Self {
        Self::Failed(error.into())
    }
}

impl InstanceTask {
    /// The end of the instance's process; none when watching was cancelled.
    pub(super) async fn exit(&self) -> Option<Exit> {
        self.cancelled.run_until_cancelled(exit_of(&self.context, &self.id)).await
    }

    /// One host call with its deadline. It is not interrupted: the host should never be left in the middle of a step.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        act: &'static str,
        call: impl Future<Output = Result<T, HostError>> + Send + 'static,
    ) -> Result<T, Stopped> {
        let done = host_call_on(&self.context, act, &self.id, call).await;
        self.check_cancelled()?;
        Ok(done?)
    }

    pub(super) async fn unless_cancelled<T>(&self, wait: impl Future<Output = T>) -> Result<T, Stopped> {
        self.cancelled.run_until_cancelled(wait).await.ok_or(Stopped::Cancelled)
    }

    pub(super) fn check_cancelled(&self) -> Result<(), Stopped> {
        if self.cancelled.is_cancelled() { Err(Stopped::Cancelled) } else { Ok(()) }
    }
}

/// The end of an instance's process, however often containerd goes away meanwhile.
pub(super) async fn exit_of(context: &Arc<Context>, id: &InstanceId) -> Exit {
    let mut pause = Duration::from_millis(100);
    let mut missed = false;
    loop {
        let (runtime, one) = (context.host.runtime.clone(), id.clone());
        // A wait may last for years, so it has no deadline, but the relist; a panic in it is caught all the same.
        let wait = Task::spawn(&context.runtime, async move { runtime.wait(&one).await });
        tokio::select! {
            waited = wait.join() => match waited {
                Ok(Ok(exit)) => return exit,
                Ok(Err(error)) => tracing::warn!(instance = %id, %error, "waiting for the process again"),
                // Everything ends, and this with it.
                Err(lost) if lost.is_cancelled() => {}
                Err(lost) => tracing::error!(instance = %id, %lost, "waiting for the process again"),
            },
            () = context.relist.misses(id) => {
                tracing::warn!(instance = %id, "the process is gone, and its end was not told");
                if std::mem::replace(&mut missed, true) {
                    return Exit::Vanished;
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// One call to the host about an instance, with the usual deadline.
pub(super) async fn host_call_on<T: Send + 'static>(
    context: &Arc<Context>,
    act: &'static str,
    id: &InstanceId,
    call: impl Future<Output = Result<T, HostError>> + Send + 'static,
) -> Result<T, HostError> {
    context.call(|| format!("{act} {id}"), call).await
}
