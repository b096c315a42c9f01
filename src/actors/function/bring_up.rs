//! The way up: image -> attach, and beside it prepare -> create -> start -> ready. It undoes nothing: every failure is answered by the lifecycle
//! with a tear-down, which is idempotent, removes whatever there is, and is the only way down. A cancelled `bring_up`
//! finishes the host call that it is in before it lets the tear-down begin.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::sleep;

use super::super::host_call::release_after;
use super::super::messages::Attach;
use super::instance_task::{InstanceTask, ReadyInstance, Stopped, exit_of, host_call_on};
use super::progress::StartProgress;
use crate::function::{Exit, SecretName, StartError, Step, way_out};
use crate::host::{Attachment, HostError, Image, InstanceConfig, PullPolicy};

/// Functions listen here, by OpenFaaS convention.
const PORT: u16 = 8080;
/// How much of a log the message about an early exit quotes, in bytes.
const HINT: usize = 400;
/// How often the network of a running instance is looked for, and the pause between.
const LOOKUPS: u32 = 4;
const LOOKUP_PAUSE: Duration = Duration::from_secs(1);
/// How long a start that may be stuck keeps others waiting.
const PATIENCE: Duration = Duration::from_secs(5);

impl InstanceTask {
    /// Brings the instance up and returns where it serves; none when it was cancelled.
    pub(super) async fn bring_up(&self) -> Option<Result<ReadyInstance, StartError>> {
        let progress = &self.context.status_cache.progress;
        let mut progress = StartProgress::begin(progress, &self.function, &self.id, self.generation);
        let done = settle(self.try_bring_up(&mut progress).await);
        progress.end(match &done {
            Some(Ok(_)) => "ready",
            Some(Err(_)) => "failed",
            None => "cancelled",
        });
        done
    }

    /// Takes a running instance over; none when it was cancelled.
    pub(super) async fn adopt(&self) -> Option<Result<ReadyInstance, StartError>> {
        settle(self.try_adopt().await)
    }

    async fn try_bring_up(&self, progress: &mut StartProgress<'_>) -> Result<ReadyInstance, Stopped> {
        let image = self.image(self.pull_policy).await?;
        progress.enter(Step::WaitingForPlace);
        let place = self.unless_cancelled(self.context.starts.acquire()).await?;
        let attachment = release_after(place, PATIENCE, self.start(image.clone(), progress)).await?;
        progress.enter(Step::WaitingUntilReady);
        self.ready(&attachment, Some(&image), Some(progress)).await
    }

    async fn start(&self, image: Image, progress: &mut StartProgress<'_>) -> Result<Attachment, Stopped> {
        progress.enter(Step::Attaching);
        let attach = async {
            let attachment = self.attach().await?;
            progress.enter(Step::Creating);
            Ok::<_, Stopped>(attachment)
        };
        // Side by side, since neither needs the other; each to its end, since a tear-down may come next.
        let (attached, prepared) = tokio::join!(attach, self.prepare(image));
        prepared?;
        let attachment = attached?;
        self.create(&attachment).await?;
        progress.enter(Step::Starting);
        let (runtime, id) = (self.context.host.runtime.clone(), self.id.clone());
        self.call("start", async move { runtime.start(&id).await }).await?;
        Ok(attachment)
    }

    async fn try_adopt(&self) -> Result<ReadyInstance, Stopped> {
        // An actor before this one may have frozen it, and requests wait for it. Where that can't be undone, it does not get
        // ready either.
        let thawed = self.unless_cancelled(self.thaw()).await?;
        if let Err(error) = &thawed {
            tracing::warn!(function = %self.function, instance = %self.id, %error, "it may be frozen");
        }
        let attachment = self.look_up().await?;
        // A start that was interrupted goes on; where its image is not known any more, without what that says.
        let image = if self.has_served { None } else { self.image(PullPolicy::Never).await.ok() };
        self.check_cancelled()?;
        match self.ready(&attachment, image.as_ref(), None).await {
            Ok(up) => {
                self.context.routes.thaw(&self.function, &self.id);
                Ok(up)
            }
            // It runs, and may have served for days: what it is not ready for may pass, and it goes on being asked.
            Err(Stopped::Failed(StartError::NotReady(reason)))
                if thawed.is_ok() && self.has_served && self.spec.checks().ready.path.is_some() =>
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
            let error = match host_call_on(&self.context, "look up the network of", &self.id, lookup).await {
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

    async fn image(&self, policy: PullPolicy) -> Result<Image, Stopped> {
        let ensure = self.context.pulls.ensure(&self.spec.image, policy);
        Ok(self.unless_cancelled(ensure).await??)
    }

    async fn attach(&self) -> Result<Attachment, Stopped> {
        let attached = self.context.network.addr().send(Attach(self.id.clone(), self.spec.outbound())).await;
        self.check_cancelled()?;
        match attached {
            Ok(attachment) => Ok(attachment?),
            Err(lost) => Err(Stopped::Failed(StartError::Host(format!("the network actor is not there: {lost}")))),
        }
    }

    async fn prepare(&self, image: Image) -> Result<(), Stopped> {
        let config = InstanceConfig {
            id: self.id.clone(),
            function: self.function.clone(),
            generation: self.generation,
            spec: self.spec.clone(),
            image,
            secrets: self.secrets().await?,
        };
        let runtime = self.context.host.runtime.clone();
        self.call("prepare", async move { runtime.prepare(&config).await }).await
    }

    async fn secrets(&self) -> Result<BTreeMap<SecretName, Vec<u8>>, Stopped> {
        if self.spec.secrets.is_empty() {
            return Ok(BTreeMap::new());
        }
        let secrets = self.context.secrets.clone();
        let (namespace, names) = (self.function.namespace.clone(), self.spec.secrets.clone());
        match tokio::task::spawn_blocking(move || secrets.read(&namespace, &names)).await {
            Ok(Ok(secrets)) => Ok(secrets),
            // A deploy is refused when secrets are missing: this one was deleted since, and may come back.
            Ok(Err(error)) => Err(Stopped::Failed(StartError::Host(error.to_string()))),
            Err(lost) => Err(Stopped::Failed(StartError::Host(format!("reading secrets: {lost}")))),
        }
    }

    async fn create(&self, attachment: &Attachment) -> Result<(), Stopped> {
        let (runtime, id, at) = (self.context.host.runtime.clone(), self.id.clone(), attachment.clone());
        self.call("create", async move { runtime.create(&id, &at).await }).await?;
        self.made.notify_one();
        Ok(())
    }

    /// Waits until the started process is ready, ends, or takes too long.
    async fn ready(
        &self,
        attachment: &Attachment,
        image: Option<&Image>,
        progress: Option<&mut StartProgress<'_>>,
    ) -> Result<ReadyInstance, Stopped> {
        let address = SocketAddr::new(attachment.address, PORT);
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Err(Stopped::Cancelled),
            exit = exit_of(&self.context, &self.id) => {
                let hint = self.hint(&exit).await;
                Err(Stopped::Failed(StartError::Exited { exit, hint }))
            }
            ready = self.poll_ready(address, image, progress) => ready.map(|()| ReadyInstance { address, unready: None }).map_err(Stopped::Failed),
        }
    }

    /// The end of what the process wrote, and what helps where that tells it, for the message about its early exit.
    async fn hint(&self, exit: &Exit) -> Option<String> {
        let (runtime, id) = (self.context.host.runtime.clone(), self.id.clone());
        let tail = self.call("read the log of", async move { runtime.log_tail(&id, HINT).await }).await;
        let tail = tail.unwrap_or_default();
        match (tail.trim(), way_out(exit, &tail)) {
            ("", None) => None,
            ("", Some(way)) => Some(way.to_owned()),
            (tail, None) => Some(tail.to_owned()),
            (tail, Some(way)) => Some(format!("{tail} ({way})")),
        }
    }
}

fn settle(done: Result<ReadyInstance, Stopped>) -> Option<Result<ReadyInstance, StartError>> {
    match done {
        Ok(up) => Some(Ok(up)),
        Err(Stopped::Failed(error)) => Some(Err(error)),
        Err(Stopped::Cancelled) => None,
    }
}
