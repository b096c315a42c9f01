//! The engine of one machine: [`Engine`] as the actors implement it.
//!
//! ```text
//! apply, rollback, scale, keep_down, adjust, rest, delete -> Registry -> the function's actor
//! get, list, instances, watch -> StatusCache      measure, sample, cpu_time -> host
//! ```
//! Reads look at what the actors last said of themselves, and wait in no mailbox.

mod logs;
mod namespaces;
pub(super) mod status_cache;
pub(super) mod usage;

use std::sync::Arc;
use std::time::Duration;

use actix::{Handler, MailboxError, Message};
use async_trait::async_trait;

pub use self::logs::LocalLogs;
use crate::actors::messages::{Adjust, Apply, Delete, KeepDown, Ping, Rest, Rollback, Scale, To};
use crate::actors::{Context, Registry, Settings, Supervised};
use crate::engine::{Changes, Engine, InstanceView, Mode, Refused, Used, View};
use crate::function::{Adjusted, FunctionId, Generation, Namespace, Shedding, Spec, Tier};
use crate::store::StoreError;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct LocalEngine {
    pub(super) registry: Arc<Supervised<Registry>>,
    pub(super) context: Arc<Context>,
}

impl LocalEngine {
    /// Reads the store and the host and starts the actors of all functions: what runs is adopted, what is missing is
    /// started, what no function wants is torn down.
    ///
    /// # Errors
    /// [`StoreError`] when the store can't be read; nothing was touched then.
    pub async fn recover(context: Arc<Context>) -> Result<Self, StoreError> {
        let registry = Registry::recover(context.clone()).await?;
        Ok(Self { registry, context })
    }

    /// The logs of its functions.
    #[must_use]
    pub fn logs(&self) -> LocalLogs {
        let context = self.context.clone();
        LocalLogs::new(self.context.host.logs.clone(), move |id| context.status_cache.created_at(id))
    }

    /// Returns once the registry has answered. The watchdog of the daemon asks this.
    ///
    /// # Errors
    /// [`Refused::Busy`] while it is being replaced.
    pub async fn ping(&self) -> Result<(), Refused> {
        self.registry.addr().send(Ping).await.map_err(lost)
    }

    /// Asks the registry. Once this was first polled, the message is on its way and not tied to the caller: an actor passes
    /// over a message whose sender waits no more, so it is a task of its own that waits; longer than any door does, and
    /// not for ever.
    async fn ask<M>(&self, id: FunctionId, message: M) -> Result<(), Refused>
    where
        M: Message<Result = Result<(), Refused>> + Send + 'static,
        Registry: Handler<To<M>>,
    {
        let Settings { deploy_wait, host_timeout, .. } = self.context.settings;
        let answer = self.registry.addr().send(To(id, message)).timeout(2 * (deploy_wait + host_timeout));
        let answer = self.context.runtime.spawn(answer).await;
        answer.unwrap_or(Err(MailboxError::Closed)).unwrap_or_else(|error| Err(lost(error)))
    }
}

fn lost(error: MailboxError) -> Refused {
    Refused::Busy(match error {
        MailboxError::Closed => "the registry is restarting: try again".to_owned(),
        MailboxError::Timeout => "the registry did not answer in time: look at the function's status".to_owned(),
    })
}

#[async_trait]
impl Engine for LocalEngine {
    async fn apply(&self, id: FunctionId, spec: Spec, mode: Mode) -> Result<(), Refused> {
        self.ask(id, Apply { spec, mode }).await
    }

    async fn rollback(&self, id: &FunctionId, to: Option<Generation>) -> Result<(), Refused> {
        self.ask(id.clone(), Rollback { to }).await
    }

    async fn delete(&self, id: &FunctionId) -> Result<(), Refused> {
        self.ask(id.clone(), Delete).await
    }

    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), Refused> {
        self.ask(id.clone(), Scale { replicas }).await
    }

    async fn keep_down(&self, id: &FunctionId, down: bool) -> Result<(), Refused> {
        self.ask(id.clone(), KeepDown { down }).await
    }

    async fn adjust(&self, id: &FunctionId, wanted: u32, reason: String) -> Result<(), Refused> {
        self.ask(id.clone(), Adjust(Adjusted { replicas: wanted, reason })).await
    }

    async fn rest(&self, id: &FunctionId, tier: Tier) -> Result<(), Refused> {
        self.ask(id.clone(), Rest(tier)).await
    }

    async fn get(&self, id: &FunctionId) -> Result<Option<View>, Refused> {
        Ok(self.context.status_cache.view(id, self.context.uptime()))
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<View>, Refused> {
        Ok(self.context.status_cache.list(namespace, self.context.uptime()))
    }

    async fn measure(&self, only: Option<&FunctionId>) -> Vec<(FunctionId, Used)> {
        self.context.usage.measure(only).await
    }

    async fn cpu_time(&self, id: &FunctionId) -> Option<Duration> {
        self.context.usage.cpu_time(id).await
    }

    async fn sample(&self, ids: &[FunctionId]) -> Vec<(FunctionId, Used)> {
        self.context.usage.sample(ids).await
    }

    fn instances(&self, id: &FunctionId) -> Vec<InstanceView> {
        self.context.status_cache.instances(id)
    }

    fn faults(&self) -> Vec<String> {
        self.context.housekeeping.faults()
    }

    fn shedding(&self) -> Shedding {
        self.context.pressure.shedding()
    }

    fn watch(&self, after: Option<u64>) -> Changes {
        self.context.status_cache.changes.watch(after)
    }
}
