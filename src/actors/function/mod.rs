//! A function's actor: it owns the lifecycle, feeds it events and performs its effects. It has no opinions of its own.
//!
//! ```text
//! Apply, Scale, KeepDown, Delete -> intents -> store -> event --+
//! Adjust, Rest, LifecycleEvent -------------------------> event --+-> Lifecycle -> effects -> tasks -> LifecycleEvent
//!                                                                     |
//!                                                      routes, status_cache, waiting callers
//! ```
//! Intents become durable one at a time; everything else goes on meanwhile.

mod bring_up;
mod checks;
mod commands;
mod commit;
mod demand;
mod effects;
mod freezing;
mod instance_handle;
mod instance_task;
pub(super) mod judgements;
mod listening;
pub(super) mod progress;
mod readiness;
mod secrets;
mod standing_by;
mod storage;
mod tear_down;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorContext as _, ActorFutureExt, Addr, AsyncContext};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::commit::{NotWritten, refused};
use self::instance_handle::InstanceHandle;
use self::instance_task::Standby;
pub use self::tear_down::{RemovalErrors, tear_down};
use super::begun::BegunInstances;
use super::context::Context;
use super::messages::{ActorExit, SupervisorEvent};
use crate::engine::{InstanceView, Refused};
use crate::function::intents::{Answer, Intents, WaitNumber, Write};
use crate::function::{Effect, Event, FunctionId, Generation, InstanceId, InstancePhase, Lifecycle, Phase};
use crate::routes::FunctionEntry;

/// How long after a failed write the store is asked again to keep what the lifecycle learnt.
const RECORD_AGAIN: Duration = Duration::from_secs(5);

/// The answer to a caller, given once.
type Reply = oneshot::Sender<Result<(), Refused>>;

/// What an actor leaves behind for the next one, and how it is known.
#[derive(Clone)]
pub(super) struct Incarnation {
    pub(super) id: FunctionId,
    pub(super) number: u64,
    /// All tasks of this function's effects, so that a successor can wait for their end.
    pub(super) tasks: TaskTracker,
    /// Ends everything of this incarnation but tear-downs, which are always finished.
    pub(super) over: CancellationToken,
    pub(super) notices: mpsc::UnboundedSender<SupervisorEvent>,
    /// Instances that this incarnation began and has not seen removed: the host can't always tell whose a half-made
    /// one is.
    pub(super) begun: BegunInstances,
}

impl Incarnation {
    pub(super) fn begun(&self) -> std::sync::MutexGuard<'_, BTreeSet<InstanceId>> {
        self.begun.lock()
    }
}

/// See the module.
pub(super) struct Function {
    pub(super) me: Incarnation,
    pub(super) context: Arc<Context>,
    pub(super) life: Lifecycle,
    /// Effects that the lifecycle asked for before the actor ran.
    first: Vec<Effect>,
    instances: HashMap<InstanceId, InstanceHandle>,
    /// The newest generation that is known to have served since the function woke last: its first instance is worth a
    /// line in the log.
    served: Option<Generation>,
    intents: Intents<Reply, NotWritten>,
    /// The entry of the routes whose parked requests are watched.
    watched: Option<FunctionEntry>,
    handled: u64,
}

impl Function {
    pub(super) fn start(me: Incarnation, context: Arc<Context>, life: Lifecycle, first: Vec<Effect>) -> Addr<Self> {
        let function = Self {
            me,
            context,
            life,
            first,
            instances: HashMap::new(),
            served: None,
            intents: Intents::default(),
            watched: None,
            handled: 0,
        };
        // At once, not when the actor runs: a function that was recovered is there for all readers.
        function.publish_status();
        Actor::start(function)
    }

    /// Feeds the lifecycle and does what it says.
    fn feed(&mut self, event: Event, ctx: &mut actix::Context<Self>) {
        if self.me.over.is_cancelled() {
            // Dismissed: what is published under this name is no longer this actor's.
            ctx.stop();
            return;
        }
        tracing::debug!(function = %self.me.id, ?event);
        match &event {
            Event::Removed(id) => drop(self.me.begun().remove(id)),
            Event::Wake => tracing::info!(function = %self.me.id, "a call waits at zero replicas: waking it"),
            Event::PutBack(before) => {
                let refused = before.refused.as_ref().map(|refused| refused.generation.0);
                tracing::warn!(function = %self.me.id, generation = before.generation.0, refused, "an update was refused, what was asked for before it is so again");
            }
            _ => {}
        }
        let trouble = self.trouble(&event);
        if let Event::Ready(id, _) = &event {
            tracing::info!(function = %self.me.id, instance = %id, "ready again");
        }
        let (was_idle, called) = (self.is_idle(), event == Event::Wake);
        let effects = self.life.on(event, self.context.uptime());
        match (was_idle, self.is_idle()) {
            (false, true) => {
                let entry = self.context.routes.find(&self.me.id);
                let not_called = entry.map_or(0, |entry| entry.idle_for().as_secs());
                tracing::info!(function = %self.me.id, "not called for {not_called} s: stopped until the next call");
            }
            (true, false) if !called && self.life.desired().is_some() => {
                tracing::info!(function = %self.me.id, "no longer idle");
            }
            _ => {}
        }
        if called || (was_idle && !self.is_idle()) {
            // The log says that it is woken, so it says when it serves, too.
            self.served = None;
        }
        if let Some((id, what)) = trouble {
            let now = self.context.uptime();
            let status = self.life.status(now);
            let wait = match status.phase {
                Phase::BackingOff { until } => until.since(now),
                _ => Duration::ZERO,
            };
            let (phase, restarts, wait) = (status.phase, status.restarts, wait.as_secs_f32());
            tracing::warn!(function = %self.me.id, instance = %id, %phase, restarts, next_start_in = wait, "{what}");
        }
        self.perform(effects, ctx);
    }

    fn is_idle(&self) -> bool {
        self.life.desired().is_some_and(|desired| desired.idle)
    }

    /// Whether a request has an instance, or waits for one.
    fn is_called(&self) -> bool {
        let load = self.context.routes.find(&self.me.id).map(|entry| entry.load());
        load.is_some_and(|load| load.in_flight + load.parked > 0)
    }

    fn perform(&mut self, effects: Vec<Effect>, ctx: &mut actix::Context<Self>) {
        for effect in effects {
            self.perform_one(effect, ctx);
        }
        self.publish_status();
        self.watch_demand(ctx);
        self.advance(ctx);
    }

    fn perform_one(&mut self, effect: Effect, ctx: &mut actix::Context<Self>) {
        let routes = self.context.routes.clone();
        match effect {
            Effect::BringUp(id, generation, spec) => self.run_instance(id, generation, spec, false, ctx),
            Effect::Adopt(id, generation, spec) => self.run_instance(id, generation, spec, true, ctx),
            Effect::Publish(id, address) => {
                self.note_serving(&id, address);
                self.set_standby(&id, Standby::No);
                routes.publish(&self.me.id, &id, address);
            }
            Effect::StandBy(id) => self.set_standby(&id, Standby::Yes),
            Effect::Promote(id, address) => {
                tracing::info!(function = %self.me.id, instance = %id, %address, "a spare takes the place of what does not serve");
                routes.publish_frozen(&self.me.id, &id, address);
                self.set_standby(&id, Standby::Over);
            }
            Effect::Retract(id) => routes.retract(&self.me.id, &id),
            Effect::Freeze(id) => self.freeze(&id),
            Effect::Drain(id) => self.drain(id, ctx),
            Effect::TearDown(id) => self.tear_down(id, ctx),
            Effect::RetryAfter(delay) => {
                ctx.run_later(delay, |this, ctx| this.feed(Event::RetryDue, ctx));
            }
            Effect::Record(_) => self.intents.record(),
            Effect::Gone => tracing::info!(function = %self.me.id, "deleted, nothing of it is left"),
        }
    }

    /// One line for a generation and for a wake, not for each instance or restart: those are told by what went wrong.
    fn note_serving(&mut self, id: &InstanceId, address: SocketAddr) {
        let generation = self.life.instances().find(|(known, ..)| *known == id).map(|(_, generation, _)| generation);
        if generation > self.served {
            self.served = generation;
            tracing::info!(function = %self.me.id, instance = %id, %address, generation = generation.map(|it| it.0), "serving");
        } else {
            tracing::debug!(function = %self.me.id, instance = %id, %address, "serving");
        }
    }

    fn publish_status(&self) {
        let now = self.context.uptime();
        let status = self.life.status(now);
        match (&status.desired, self.life.outlook(now)) {
            (Some(desired), Some(outlook)) => {
                // First of all: no call may find the function unguarded.
                self.context.routes.guard(&self.me.id, desired.asks_for_token());
                self.context.routes.announce(&self.me.id, outlook.at(|until| self.context.moment(until)));
                self.context.routes.limit(&self.me.id, desired.serving_spec().answer_limit());
                self.context.routes.resend(&self.me.id, desired.serving_spec().resend());
            }
            _ => self.context.routes.forget(&self.me.id),
        }
        self.context.status_cache.post_instances(&self.me.id, self.shown_instances());
        self.context.status_cache.post(&self.me.id, status);
    }

    fn shown_instances(&self) -> Vec<InstanceView> {
        let shown = |(id, generation, phase): (&InstanceId, Generation, InstancePhase)| InstanceView {
            id: id.clone(),
            generation,
            phase,
            address: self.life.address(id),
        };
        self.life.instances().map(shown).collect()
    }

    // ---- intents -------------------------------------------------------------------------------------------------

    /// Answers what can be answered, and writes the next intent if no write is under way.
    fn advance(&mut self, ctx: &mut actix::Context<Self>) {
        let next = self.intents.next(&self.life, &jiff::Timestamp::now().to_string());
        self.answer(next.answers);
        for wait in next.waits {
            self.limit_wait(wait, ctx);
        }
        if let Some(write) = next.write {
            self.commit(write, ctx);
        }
        self.take_leave();
    }

    /// Writes, then tells the lifecycle, then the callers; the next intent waits for that.
    fn commit(&mut self, write: Write, ctx: &mut actix::Context<Self>) {
        let (context, id) = (self.context.clone(), self.me.id.clone());
        let newest = self.life.desired().map(|desired| desired.generation);
        let written = async move { commit::write(&context, &id, newest, write).await };
        ctx.spawn(wrap_future(written).map(|written, this: &mut Self, ctx| {
            let done = this.intents.committed(written, &this.life);
            if let Some(wait) = done.wait {
                this.limit_wait(wait, ctx);
            }
            if let Some(error) = done.record_again {
                tracing::error!(function = %this.me.id, %error, "could not keep what became of the function");
                ctx.run_later(RECORD_AGAIN, |this, ctx| {
                    this.intents.record();
                    this.advance(ctx);
                });
            }
            if let Some(event) = done.event {
                this.feed(event, ctx);
            }
            this.answer(done.answers);
            this.advance(ctx);
        }));
    }

    fn limit_wait(&self, wait: WaitNumber, ctx: &mut actix::Context<Self>) {
        ctx.run_later(self.context.settings.deploy_wait, move |this, ctx| {
            let answers = this.intents.wait_over(wait);
            this.answer(answers);
            this.advance(ctx);
        });
    }

    /// A caller that went away needs no answer.
    fn answer(&self, answers: Vec<Answer<Reply, NotWritten>>) {
        for (reply, result) in answers {
            let _ = reply.send(result.map_err(|refusal| refused(&self.me.id, refusal)));
        }
    }

    /// Tells the registry when there is nothing left to do here.
    fn take_leave(&self) {
        let gone = self.life.desired().is_none() && self.life.instances().next().is_none();
        if gone && self.intents.is_idle() {
            self.notify(ActorExit::Finished { handled: self.handled });
        }
    }

    fn notify(&self, what: ActorExit) {
        let notice = SupervisorEvent { id: self.me.id.clone(), incarnation: self.me.number, what };
        // The registry is gone only while the whole program ends.
        let _ = self.me.notices.send(notice);
    }
}

impl Actor for Function {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut actix::Context<Self>) {
        ctx.set_mailbox_capacity(256);
        let first = std::mem::take(&mut self.first);
        self.perform(first, ctx);
    }
}

impl Drop for Function {
    /// Runs when the actor is dismissed, where the registry no longer cares, and when a panic unwinds.
    fn drop(&mut self) {
        self.me.over.cancel();
        self.notify(ActorExit::Died);
    }
}

fn interrupted(id: &FunctionId) -> Refused {
    Refused::Busy(format!("function {id} was interrupted before it could answer: look at it, then try again"))
}
