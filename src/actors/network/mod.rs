//! The network actor: hands out attachments and takes them back, only so many at a time, and keeps some warm.
//!
//! ```text
//! attach:  claim one that is warm, which is a rename       none: a place, claim one that has come to be since, or make it
//!          then its limits, where its function has any (Outbound)
//! detach:  waits for a lull (turns), then for a place       keeper: makes and discards warm ones, one at a time, in a lull
//! ```
//! An attachment costs several processes (one per plugin and step), so a burst of deploys would otherwise start hundreds
//! of them at once and slow every function down.

mod keeper;
mod meters;
mod pool;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, Handler, ResponseFuture, WrapFuture as _};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::meters::Meters;
use self::pool::Pool;
use self::turns::Turns;
use super::host_call::{host_call, release_after};
use super::messages::{Attach, Detach};
use super::{Settings, Supervised};
use crate::function::{InstanceId, Outbound};
use crate::host::{Attachment, HostError};

/// How long one that may be stuck keeps others waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub struct Network(Arc<Shared>);

/// What outlives an actor that panics.
pub(super) struct Shared {
    network: Arc<dyn crate::host::Network>,
    turns: Turns,
    pool: Arc<Pool>,
    meters: Meters,
    timeout: Duration,
    runtime: Handle,
}

/// A handle of the network actor.
pub(super) struct Networks {
    actor: Arc<Supervised<Network>>,
    shared: Arc<Shared>,
}

impl Networks {
    /// Starts the actor on this thread's actor system. `starts` has a place for each start that may be under way.
    pub(super) fn start(
        network: Arc<dyn crate::host::Network>,
        settings: &Settings,
        starts: Arc<Semaphore>,
        runtime: Handle,
    ) -> Self {
        let meters = Meters::new(settings.warm_attachments);
        let shared = Arc::new(Shared {
            network,
            turns: Turns::new(settings.parallel_attachments, starts),
            pool: Pool::new(settings.warm_attachments, meters.ready.clone()),
            meters,
            timeout: settings.host_timeout,
            runtime,
        });
        let successors = shared.clone();
        Self { actor: Supervised::start(move |_| Network(successors.clone())), shared }
    }

    /// The living actor.
    pub(super) fn addr(&self) -> actix::Addr<Network> {
        self.actor.addr()
    }

    /// Writes down under `registry` how attachments are had from now on.
    pub(super) fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        self.shared.meters.measure(registry)
    }

    /// Makes no more warm attachments, and returns when none is being made, unless that hangs; those that there are stay.
    pub(super) async fn stop_warming(&self) {
        if timeout(PATIENCE, self.shared.pool.close()).await.is_err() {
            tracing::warn!("an attachment that is being made ahead of time hangs: the next start removes it");
        }
    }

    /// Makes no warm attachments for the time being, or goes on making them. Those that there are stay, and are claimed.
    pub(super) fn hold_refills(&self, hold: bool) {
        self.shared.pool.hold(hold);
    }
}

impl Actor for Network {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut actix::Context<Self>) {
        ctx.set_mailbox_capacity(1024);
        ctx.spawn(keeper::keep(self.0.clone()).into_actor(self));
    }
}

impl Shared {
    /// One call to the host.
    async fn call<T: Send + 'static, F>(
        &self,
        verb: &'static str,
        whom: &impl std::fmt::Display,
        call: impl FnOnce(Arc<dyn crate::host::Network>) -> F,
    ) -> Result<T, HostError>
    where
        F: Future<Output = Result<T, HostError>> + Send + 'static,
    {
        let what = format!("{verb} {whom}");
        host_call(&self.runtime, || what, self.timeout, call(self.network.clone())).await
    }

    async fn attach(&self, id: InstanceId) -> Result<Attachment, HostError> {
        if let Some(claimed) = self.claim(&id).await? {
            return Ok(claimed);
        }
        let place = self.turns.at_once().await;
        // One may have come to be meanwhile.
        if let Some(claimed) = self.claim(&id).await? {
            return Ok(claimed);
        }
        self.meters.made.inc();
        let one = id.clone();
        let attach = self.call("attach", &id, |network| async move { network.attach(&one).await });
        release_after(place, PATIENCE, attach).await
    }

    /// Claims the oldest warm attachment that is still whole; none where there is none. An error leaves open whose it is:
    /// the instance's detach or its discard removes it.
    async fn claim(&self, id: &InstanceId) -> Result<Option<Attachment>, HostError> {
        while let Some(taken) = self.pool.take() {
            let (warm, one) = (taken.id().clone(), id.clone());
            let claim =
                self.call("claim an attachment for", id, |network| async move { network.claim(&warm, &one).await });
            match claim.await {
                Ok(attachment) => {
                    taken.settled();
                    self.meters.claimed.inc();
                    return Ok(Some(attachment));
                }
                Err(error @ HostError::NotFound(_)) => {
                    self.meters.unusable.inc();
                    tracing::info!(%error, "taking another attachment");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What is attached may send to all; that of a function that says so may not.
    async fn restrict(&self, id: InstanceId, outbound: Outbound) -> Result<(), HostError> {
        if !outbound.is_limited() {
            return Ok(());
        }
        let one = id.clone();
        self.call("restrict", &id, |network| async move { network.restrict(&one, &outbound).await }).await
    }

    async fn detach(&self, id: InstanceId) -> Result<(), HostError> {
        let place = self.turns.in_a_lull().await;
        let one = id.clone();
        let detach = self.call("detach", &id, |network| async move { network.detach(&one).await });
        release_after(place, PATIENCE, detach).await
    }
}

impl Handler<Attach> for Network {
    type Result = ResponseFuture<Result<Attachment, HostError>>;

    fn handle(&mut self, Attach(id, outbound): Attach, _: &mut actix::Context<Self>) -> Self::Result {
        let shared = self.0.clone();
        Box::pin(async move {
            let attachment = shared.attach(id.clone()).await?;
            shared.restrict(id, outbound).await?;
            Ok(attachment)
        })
    }
}

impl Handler<Detach> for Network {
    type Result = ResponseFuture<Result<(), HostError>>;

    fn handle(&mut self, Detach(id): Detach, _: &mut actix::Context<Self>) -> Self::Result {
        let shared = self.0.clone();
        Box::pin(async move { shared.detach(id).await })
    }
}
