//! What a function's actor does for one instance: runs it, drains it, tears it down. Each in a task of its own that
//! answers with events.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Addr, AsyncContext, MailboxError};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::super::messages::LifecycleEvent;
use super::Function;
use super::instance_handle::InstanceHandle;
use super::instance_task::{InstanceTask, ReadyInstance, Standby};
use super::tear_down::tear_down_within;
use crate::function::{Event, Generation, InstanceId, InstancePhase, Spec};
use crate::host::PullPolicy;

/// How long an instance that never was up may take to end: it has nothing to finish, and a SIGTERM that comes before its
/// process has a handler is lost.
const NEVER_UP_GRACE: Duration = Duration::from_secs(2);

impl Function {
    /// Brings an instance up, or adopts it, then watches it until it ends or is cancelled.
    pub(super) fn run_instance(
        &mut self,
        id: InstanceId,
        generation: Generation,
        spec: Arc<Spec>,
        adopt: bool,
        ctx: &mut actix::Context<Self>,
    ) {
        let has_served =
            self.life.desired().is_some_and(|desired| desired.has_served || desired.generation != generation);
        let last_good = || self.life.desired().and_then(|desired| desired.last_good().map(|good| good.generation));
        let good = if has_served { Some(generation) } else { last_good() };
        let configured = spec.pull_policy().unwrap_or(self.context.settings.pull_policy);
        // A generation that served before is started again from what this machine has: a registry that is away, or a
        // tag that moved, must not stand between a crash and its repair.
        let restart = has_served && configured == PullPolicy::Always;
        let pull_policy = if restart { PullPolicy::IfNotPresent } else { configured };
        let cancelled = self.me.over.child_token();
        let tasks = TaskTracker::new();
        let task = InstanceTask {
            context: self.context.clone(),
            function: self.me.id.clone(),
            id: id.clone(),
            generation,
            spec: spec.clone(),
            has_served,
            good,
            pull_policy,
            made: Arc::default(),
            freeze: Arc::default(),
            awake: Arc::default(),
            standby: Arc::new(watch::Sender::new(Standby::No)),
            ready: Arc::new(watch::Sender::new(true)),
            cancelled: cancelled.clone(),
        };
        tracing::debug!(function = %self.me.id, instance = %id, %generation, adopt, "starting");
        let (address, freeze, standby) = (ctx.address(), task.freeze.clone(), task.standby.clone());
        let (secrets_task, changes) = (task.clone(), self.context.secrets.changes());
        self.spawn(&tasks, async move { secrets_task.keep_secrets(changes, adopt).await });
        let was_up = Arc::new(AtomicBool::new(adopt));
        let now_up = was_up.clone();
        self.spawn(&tasks, async move {
            let up = if adopt { task.adopt().await } else { task.bring_up().await };
            match up {
                None => {}
                Some(Err(error)) => report(&address, Event::StartFailed(task.id.clone(), error)).await,
                Some(Ok(up)) => {
                    now_up.store(true, Ordering::Release);
                    live(&task, up, &address).await;
                }
            }
        });
        self.me.begun().insert(id.clone());
        self.instances.insert(id, InstanceHandle { cancelled, tasks, spec, freeze, standby, was_up });
    }

    /// Asks an instance's task to freeze it when it can.
    pub(super) fn freeze(&self, id: &InstanceId) {
        if let Some(running) = self.instances.get(id) {
            running.freeze.notify_one();
        }
    }

    /// Tells an instance's task whether it stands by.
    pub(super) fn set_standby(&self, id: &InstanceId, standby: Standby) {
        if let Some(running) = self.instances.get(id) {
            running.standby.send_if_modified(|now| std::mem::replace(now, standby) != standby);
        }
    }

    /// Waits for an instance's last request, for as long as its function gives it.
    pub(super) fn drain(&mut self, id: InstanceId, ctx: &mut actix::Context<Self>) {
        let drained = self.context.routes.drained(&self.me.id, &id);
        let own = self.instances.get(&id).and_then(|running| running.spec.drain_timeout());
        let limit = own.unwrap_or(self.context.settings.drain_timeout);
        let (over, address) = (self.me.over.clone(), ctx.address());
        self.me.tasks.spawn_on(
            async move {
                if over.run_until_cancelled(timeout(limit, drained.wait())).await.is_some() {
                    report(&address, Event::Drained(id)).await;
                }
            },
            &self.context.runtime,
        );
    }

    pub(super) fn tear_down(&mut self, id: InstanceId, ctx: &mut actix::Context<Self>) {
        self.me.begun().insert(id.clone());
        let running = self.instances.remove(&id);
        let never_up = running.as_ref().is_some_and(|running| !running.was_up.load(Ordering::Acquire));
        let most = if never_up { NEVER_UP_GRACE } else { Duration::MAX };
        let (context, address) = (self.context.clone(), ctx.address());
        self.me.tasks.spawn_on(
            async move {
                if let Some(running) = running {
                    running.cancelled.cancel();
                    running.tasks.close();
                    running.tasks.wait().await;
                }
                let event = match tear_down_within(&context, &id, most).await {
                    Ok(()) => Event::Removed(id),
                    Err(errors) => {
                        tracing::warn!(instance = %id, reason = %errors, "could not be removed completely, trying again later");
                        Event::RemoveFailed(id, errors.to_string())
                    }
                };
                report(&address, event).await;
            },
            &self.context.runtime,
        );
    }

    /// Runs an instance's task so that both its own tear-down and a successor of this actor can wait for its end.
    fn spawn(&self, tasks: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.me.tasks.track_future(task);
        tasks.spawn_on(task, &self.context.runtime);
    }

    /// What an event says of an instance that was wanted, for the one line in the log that it is worth.
    pub(super) fn trouble(&self, event: &Event) -> Option<(InstanceId, String)> {
        let (id, what) = match event {
            Event::StartFailed(id, error) => (id, format!("did not start: {error}")),
            Event::Exited(id, exit) => (id, format!("the process {exit}")),
            Event::Unready(id, reason) | Event::Unhealthy(id, reason) => (id, reason.clone()),
            _ => return None,
        };
        match self.life.instances().find(|(known, ..)| *known == id)?.2 {
            InstancePhase::Draining | InstancePhase::Removing => None,
            InstancePhase::Spare => Some((id.clone(), format!("a spare: {what}"))),
            _ => Some((id.clone(), what)),
        }
    }
}

/// An instance's life from when it is up: what its checks and its end say is told.
async fn live(task: &InstanceTask, up: ReadyInstance, actor: &Addr<Function>) {
    let ready = up.unready.is_none();
    task.ready.send_replace(ready);
    report(
        actor,
        match up.unready {
            None => Event::Started(task.id.clone(), up.address),
            Some(reason) => Event::Unready(task.id.clone(), reason),
        },
    )
    .await;
    let exit = tokio::select! {
        exit = task.exit() => exit,
        () = task.keep_asking(up.address, ready, |event| report(actor, event)) => None,
        () = task.watch_storage(|event| report(actor, event)) => None,
        () = task.freeze_when_asked(|event| report(actor, event)) => None,
    };
    if let Some(exit) = exit {
        report(actor, Event::Exited(task.id.clone(), exit)).await;
    }
}

/// Tells the actor what became of an effect. An actor that is gone needs to know nothing: its successor looks itself.
async fn report(actor: &Addr<Function>, event: Event) {
    let _ = tell(actor, event).await;
}

/// As [`report`], for those who have to know whether the actor is there.
pub(super) async fn tell(actor: &Addr<Function>, event: Event) -> Result<(), MailboxError> {
    actor.send(LifecycleEvent(event)).await
}
