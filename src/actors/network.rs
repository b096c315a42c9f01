//! The network actor: hands out attachments and takes them back, only so many at a time.
//!
//! An attachment costs several processes (one per plugin and step), so a burst of deploys would otherwise start hundreds
//! of them at once and slow every function down.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Handler, ResponseFuture};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::host_call::{host_call, release_after};
use super::messages::{Attach, Detach};
use super::{Settings, Supervised};
use crate::function::InstanceId;
use crate::host::{Attachment, HostError};

/// How long one that may be stuck keeps others waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub struct Network {
    network: Arc<dyn crate::host::Network>,
    places: Arc<Semaphore>,
    timeout: Duration,
    runtime: Handle,
}

impl Network {
    /// Starts the actor on this thread's actor system.
    pub fn start(
        network: Arc<dyn crate::host::Network>,
        settings: &Settings,
        runtime: Handle,
    ) -> Arc<Supervised<Self>> {
        let places = Arc::new(Semaphore::new(settings.parallel_attachments.max(1)));
        let timeout = settings.host_timeout;
        Supervised::start(move |_| Self {
            network: network.clone(),
            places: places.clone(),
            timeout,
            runtime: runtime.clone(),
        })
    }
}

impl Actor for Network {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut actix::Context<Self>) {
        ctx.set_mailbox_capacity(1024);
    }
}

impl Network {
    /// One call about an instance, when there is a place for it.
    fn call<T: Send + 'static, F>(
        &self,
        verb: &'static str,
        id: InstanceId,
        call: impl FnOnce(Arc<dyn crate::host::Network>, InstanceId) -> F + 'static,
    ) -> ResponseFuture<Result<T, HostError>>
    where
        F: Future<Output = Result<T, HostError>> + Send + 'static,
    {
        let (network, places, runtime, timeout) =
            (self.network.clone(), self.places.clone(), self.runtime.clone(), self.timeout);
        Box::pin(async move {
            let (place, what) = (places.acquire().await, format!("{verb} {id}"));
            release_after(place, PATIENCE, host_call(&runtime, || what, timeout, call(network, id))).await
        })
    }
}

impl Handler<Attach> for Network {
    type Result = ResponseFuture<Result<Attachment, HostError>>;

    fn handle(&mut self, Attach(id): Attach, _: &mut actix::Context<Self>) -> Self::Result {
        self.call("attach", id, |network, id| async move { network.attach(&id).await })
    }
}

impl Handler<Detach> for Network {
    type Result = ResponseFuture<Result<(), HostError>>;

    fn handle(&mut self, Detach(id): Detach, _: &mut actix::Context<Self>) -> Self::Result {
        self.call("detach", id, |network, id| async move { network.detach(&id).await })
    }
}
