//! The two procedures that touch the machine.
//!
//! `bring_up`: image -> attach -> create -> start -> ready, then watch until the process ends. It undoes nothing: every
//! failure is answered by the lifecycle with a [`tear_down`], which is idempotent, removes whatever there is, and is the
//! only way down. A cancelled `bring_up` finishes the host call that it is in before it lets `tear_down` begin.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::host_call::{Task, host_call, release_after};
use super::messages::{Attach, Detach};
use super::progress::StartProgress;
use crate::function::{Exit, FunctionId, Generation, InstanceId, Spec, StartError, Step};
use crate::host::{Attachment, HostError, Image, InstanceConfig, PullPolicy, Signal};

/// Functions listen here, by OpenFaaS convention.
const PORT: u16 = 8080;
/// How much of a log the message about an early exit quotes, in bytes.
const HINT: usize = 400;
/// How often the network of a running instance is looked for, and the pause between.
const LOOKUPS: u32 = 4;
const LOOKUP_PAUSE: Duration = Duration::from_secs(1);
/// How long a start that may be stuck keeps others waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// An instance to bring up or to adopt.
#[derive(Clone)]
pub(super) struct InstanceTask {
    pub(super) context: Arc<Context>,
    pub(super) function: FunctionId,
    pub(super) id: InstanceId,
    pub(super) generation: Generation,
    pub(super) spec: Arc<Spec>,
    /// Whether the generation ever served.
    pub(super) proven: bool,
    pub(super) pull_policy: PullPolicy,
    /// Told once the instance is made.
    pub(super) made: Arc<Notify>,
    /// Ends the job at its next safe point.
    pub(super) cancelled: CancellationToken,
}

/// An instance that is up.
pub(super) struct ReadyInstance {
    pub(super) address: SocketAddr,
    /// Why it can't take requests just now.
    pub(super) unready: Option<String>,
}

/// Why a job ended without an instance that serves.
enum Stopped {
    /// Nobody wants it any more.
    Cancelled,
    Failed(StartError),
}

impl From<HostError> for Stopped {
    fn from(error: HostError) -> Self {
        Self::Failed(error.into())
    }
}

impl InstanceTask {
    /// Brings the instance up and returns where it serves; none when it was cancelled.
    pub(super) async fn bring_up(&self) -> Option<Result<ReadyInstance, StartError>> {
        let mut progress = StartProgress::begin(self);
        let done = settle(self.try_bring_up(&mut progress).await);
        progress.end(done.as_ref());
        done
    }

    /// Takes a running instance over; none when it was cancelled.
    pub(super) async fn adopt(&self) -> Option<Result<ReadyInstance, StartError>> {
        settle(self.try_adopt().await)
    }

    /// The end of the instance's process; none when watching was cancelled.
    pub(super) async fn exit(&self) -> Option<Exit> {
        self.cancelled.run_until_cancelled(exit_of(&self.context, &self.id)).await
    }

    async fn try_bring_up(&self, progress: &mut StartProgress<'_>) -> Result<ReadyInstance, Stopped> {
        let image = self.image().await?;
        progress.enter(Step::WaitingForPlace);
        let place = self.unless_cancelled(self.context.starts.acquire()).await?;
        let attachment = release_after(place, PATIENCE, self.start(image, progress)).await?;
        progress.enter(Step::WaitingUntilReady);
        self.ready(&attachment).await
    }

    async fn start(&self, image: Image, progress: &mut StartProgress<'_>) -> Result<Attachment, Stopped> {
        progress.enter(Step::Attaching);
        let attachment = self.attach().await?;
        progress.enter(Step::Creating);
        self.create(image, &attachment).await?;
        progress.enter(Step::Starting);
        let (runtime, id) = (self.context.host.runtime.clone(), self.id.clone());
        self.call("start", async move { runtime.start(&id).await }).await?;
        Ok(attachment)
    }

    async fn try_adopt(&self) -> Result<ReadyInstance, Stopped> {
        let attachment = self.look_up().await?;
        match self.ready(&attachment).await {
            // It runs, and may have served for days: what it is not ready for may pass, and it goes on being asked.
            Err(Stopped::Failed(StartError::NotReady(reason)))
                if self.proven && self.spec.checks().ready.path.is_some() =>
            {
                Ok(ReadyInstance { address: SocketAddr::new(attachment.address, PORT), unready: Some(reason) })
            }
            up => up,
        }
    }

    /// Where an instance is that runs already. It may be serving well: a host that stumbles is asked again before the
    /// instance is ended for it, and only one that says that there is no such network is believed at once.
    async fn look_up(&self) -> Result<Attachment, Stopped> {
        let mut left = LOOKUPS;
        loop {
            let (network, id) = (self.context.host.network.clone(), self.id.clone());
            let lookup = async move { network.lookup(&id).await };
            let error = match call(&self.context, "look up the network of", &self.id, lookup).await {
                Ok(attachment) => return Ok(attachment),
                Err(error) => error,
            };
            self.check_cancelled()?;
            left -= 1;
            if left == 0 || matches!(error, HostError::NotFound(_)) {
                return Err(error.into());
            }
            tracing::warn!(instance = %self.id, %error, "looking for its network again");
            sleep(LOOKUP_PAUSE).await;
        }
    }

    async fn image(&self) -> Result<Image, Stopped> {
        let ensure = self.context.pulls.ensure(&self.spec.image, self.pull_policy);
        Ok(self.unless_cancelled(ensure).await??)
    }

    async fn attach(&self) -> Result<Attachment, Stopped> {
        let attached = self.context.network.addr().send(Attach(self.id.clone())).await;
        self.check_cancelled()?;
        match attached {
            Ok(attachment) => Ok(attachment?),
            Err(lost) => Err(Stopped::Failed(StartError::Host(format!("the network actor is not there: {lost}")))),
        }
    }

    async fn create(&self, image: Image, attachment: &Attachment) -> Result<(), Stopped> {
        let secrets = self.context.secrets.clone();
        let (namespace, names) = (self.function.namespace.clone(), self.spec.secrets.clone());
        let read = tokio::task::spawn_blocking(move || secrets.read(&namespace, &names)).await;
        let secrets = match read {
            Ok(Ok(secrets)) => secrets,
            // Whoever deployed it was told of secrets that are not there: this one was deleted since, and may come back.
            Ok(Err(error)) => return Err(Stopped::Failed(StartError::Host(error.to_string()))),
            Err(lost) => return Err(Stopped::Failed(StartError::Host(format!("reading secrets: {lost}")))),
        };
        let creation = InstanceConfig {
            id: self.id.clone(),
            function: self.function.clone(),
            generation: self.generation,
            spec: self.spec.clone(),
            image,
            address: attachment.address,
            netns: attachment.netns.clone(),
            secrets,
        };
        let runtime = self.context.host.runtime.clone();
        self.call("create", async move { runtime.create(&creation).await }).await?;
        self.made.notify_one();
        Ok(())
    }

    /// Waits until the started process answers its readiness check, ends, or takes too long.
    async fn ready(&self, attachment: &Attachment) -> Result<ReadyInstance, Stopped> {
        let address = SocketAddr::new(attachment.address, PORT);
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Err(Stopped::Cancelled),
            exit = exit_of(&self.context, &self.id) => {
                Err(Stopped::Failed(StartError::Exited { exit, hint: self.hint().await }))
            }
            ready = self.poll_ready(address) => ready.map(|()| ReadyInstance { address, unready: None }).map_err(Stopped::Failed),
        }
    }

    /// The end of what the process wrote, for the message about its early exit.
    async fn hint(&self) -> Option<String> {
        let (runtime, id) = (self.context.host.runtime.clone(), self.id.clone());
        let tail = self.call("read the log of", async move { runtime.log_tail(&id, HINT).await }).await.ok()?;
        let tail = tail.trim();
        (!tail.is_empty()).then(|| tail.to_owned())
    }

    /// One host call with its deadline. It is not interrupted: the host should never be left in the middle of a step.
    async fn call<T: Send + 'static>(
        &self,
        act: &'static str,
        call: impl Future<Output = Result<T, HostError>> + Send + 'static,
    ) -> Result<T, Stopped> {
        let what = || format!("{act} {}", self.id);
        let done = host_call(&self.context.runtime, what, self.context.settings.host_timeout, call).await;
        self.check_cancelled()?;
        Ok(done?)
    }

    async fn unless_cancelled<T>(&self, wait: impl Future<Output = T>) -> Result<T, Stopped> {
        self.cancelled.run_until_cancelled(wait).await.ok_or(Stopped::Cancelled)
    }

    fn check_cancelled(&self) -> Result<(), Stopped> {
        if self.cancelled.is_cancelled() { Err(Stopped::Cancelled) } else { Ok(()) }
    }
}

fn settle(done: Result<ReadyInstance, Stopped>) -> Option<Result<ReadyInstance, StartError>> {
    match done {
        Ok(up) => Some(Ok(up)),
        Err(Stopped::Failed(error)) => Some(Err(error)),
        Err(Stopped::Cancelled) => None,
    }
}

/// The end of an instance's process, however often containerd goes away meanwhile.
async fn exit_of(context: &Arc<Context>, id: &InstanceId) -> Exit {
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

/// Removes all there is of an instance: asks its process to end, insists after the grace period, then removes container
/// and network. Idempotent; goes on after an error, so that one fault leaves little behind.
///
/// # Errors
/// Everything that could not be removed, for a person; the caller tries again.
pub async fn tear_down(context: &Arc<Context>, id: &InstanceId) -> Result<(), String> {
    tear_down_within(context, id, context.settings.grace_period).await
}

/// [`tear_down`] with another grace period than the usual one.
pub(super) async fn tear_down_within(context: &Arc<Context>, id: &InstanceId, grace: Duration) -> Result<(), String> {
    let mut errors = Vec::new();
    end_process(context, id, grace).await;
    let (runtime, one) = (context.host.runtime.clone(), id.clone());
    let removed = call(context, "remove", id, async move { runtime.remove(&one).await }).await;
    errors.extend(removed.err().map(|error| error.to_string()));
    match context.network.addr().send(Detach(id.clone())).await {
        Ok(detached) => errors.extend(detached.err().map(|error| error.to_string())),
        Err(lost) => errors.push(format!("the network actor is not there: {lost}")),
    }
    if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
}

/// Ends the process politely if that works. Errors are left to `remove`, which kills whatever still runs.
async fn end_process(context: &Arc<Context>, id: &InstanceId, grace: Duration) {
    let (runtime, one) = (context.host.runtime.clone(), id.clone());
    let asked = call(context, "signal", id, async move { runtime.kill(&one, Signal::Term).await }).await;
    if asked.is_err() {
        return;
    }
    let (runtime, one) = (context.host.runtime.clone(), id.clone());
    let wait = Task::spawn(&context.runtime, async move { runtime.wait(&one).await });
    if timeout(grace, wait.join()).await.is_err() {
        tracing::info!(instance = %id, "did not end within the grace period: killed");
    }
}

async fn call<T: Send + 'static>(
    context: &Arc<Context>,
    act: &'static str,
    id: &InstanceId,
    call: impl Future<Output = Result<T, HostError>> + Send + 'static,
) -> Result<T, HostError> {
    host_call(&context.runtime, || format!("{act} {id}"), context.settings.host_timeout, call).await
}
