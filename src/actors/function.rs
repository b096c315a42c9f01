//! A function's actor: it owns the lifecycle, feeds it events and performs its effects. It has no opinions of its own.
//!
//! ```text
//! Apply, Scale, Delete -> intents -> store -> event --+
//! LifecycleEvent ------------------------------------> event --+-> Lifecycle -> effects -> tasks -> LifecycleEvent
//!                                                                  |
//!                                                   routes, status_cache, waiting callers
//! ```
//! Intents become durable one at a time; everything else goes on meanwhile.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Handler, ResponseFuture};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::commit::{INTENTS_MAX, Intent, Step, Then};
use super::context::Context;
use super::log_retention;
use super::messages::{ActorExit, Apply, Delete, LifecycleEvent, Scale, SupervisorEvent};
use super::running::InstanceHandle;
use super::waiting::Waiting;
use crate::engine::Refused;
use crate::function::{Effect, Event, FunctionId, Generation, InstanceId, Lifecycle, Phase};
use crate::store::StoreError;

/// How long after a failed write the store is asked again to keep what the lifecycle learnt.
const RECORD_AGAIN: Duration = Duration::from_secs(5);

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

/// The instances that an actor began and has not seen removed.
#[derive(Debug, Clone, Default)]
pub(super) struct BegunInstances(Arc<Mutex<BTreeSet<InstanceId>>>);

impl BegunInstances {
    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<InstanceId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self) -> Vec<InstanceId> {
        self.lock().iter().cloned().collect()
    }
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
    pub(super) instances: HashMap<InstanceId, InstanceHandle>,
    /// The newest generation that is known to have served: its first instance is worth a line in the log.
    served: Option<Generation>,
    intents: VecDeque<Intent>,
    committing: bool,
    waiting: Waiting,
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
            intents: VecDeque::new(),
            committing: false,
            waiting: Waiting::default(),
            handled: 0,
        };
        // At once, not when the actor runs: a function that was recovered is there for all readers.
        function.publish_status();
        Actor::start(function)
    }

    /// Feeds the lifecycle and does what it says.
    fn feed(&mut self, event: Event, ctx: &mut actix::Context<Self>) {
        tracing::debug!(function = %self.me.id, ?event);
        match &event {
            Event::Removed(id) => drop(self.me.begun().remove(id)),
            Event::Delete => log_retention::forget(&self.context, &self.me.id),
            _ => {}
        }
        let trouble = self.trouble(&event);
        if let Event::Ready(id, _) = &event {
            tracing::info!(function = %self.me.id, instance = %id, "ready again");
        }
        let effects = self.life.on(event, self.context.uptime());
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

    fn perform(&mut self, effects: Vec<Effect>, ctx: &mut actix::Context<Self>) {
        for effect in effects {
            self.perform_one(effect, ctx);
        }
        self.publish_status();
        let settled = self.waiting.settle(&self.life);
        if let (false, Some(desired)) = (settled.withdraw.is_empty(), self.life.desired()) {
            let generation = desired.generation;
            self.intents.push_back(Intent::Withdraw { generation, replies: settled.withdraw });
        }
        self.commit_next(ctx);
    }

    fn perform_one(&mut self, effect: Effect, ctx: &mut actix::Context<Self>) {
        let routes = self.context.routes.clone();
        match effect {
            Effect::BringUp(id, generation, spec) => self.run_instance(id, generation, spec, false, ctx),
            Effect::Adopt(id, generation, spec) => self.run_instance(id, generation, spec, true, ctx),
            Effect::Publish(id, address) => {
                self.note_serving(&id, address);
                routes.publish(&self.me.id, &id, address);
            }
            Effect::Retract(id) => routes.retract(&self.me.id, &id),
            Effect::Drain(id) => self.drain(id, ctx),
            Effect::TearDown(id) => self.tear_down(id, ctx),
            Effect::RetryAfter(delay) => {
                ctx.run_later(delay, |this, ctx| this.feed(Event::RetryDue, ctx));
            }
            Effect::Record(_) => self.intents.push_back(Intent::Record),
            Effect::Gone => tracing::info!(function = %self.me.id, "deleted, nothing of it is left"),
        }
    }

    /// One line for a generation, not for each of its instances or restarts: those are told by what went wrong.
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
        let status = self.life.status(self.context.uptime());
        match &status.desired {
            Some(desired) => {
                self.context.routes.announce(&self.me.id, desired.replicas == 0);
                self.context.routes.limit(&self.me.id, desired.serving_spec().answer_limit());
            }
            None => self.context.routes.forget(&self.me.id),
        }
        self.context.status_cache.post(&self.me.id, status);
    }

    // ---- intents -------------------------------------------------------------------------------------------------

    fn intend(
        &mut self,
        intent: impl FnOnce(oneshot::Sender<Result<(), Refused>>) -> Intent,
        ctx: &mut actix::Context<Self>,
    ) -> ResponseFuture<Result<(), Refused>> {
        self.handled += 1;
        if self.intents.len() >= INTENTS_MAX || self.waiting.is_full() {
            let busy = Refused::Busy(format!("function {} has too many requests waiting: try again", self.me.id));
            return Box::pin(std::future::ready(Err(busy)));
        }
        let (reply, answer) = oneshot::channel();
        self.intents.push_back(intent(reply));
        self.commit_next(ctx);
        let id = self.me.id.clone();
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(interrupted(&id))) })
    }

    /// Takes the next intent, if none is on its way to the store.
    fn commit_next(&mut self, ctx: &mut actix::Context<Self>) {
        while !self.committing {
            let Some(intent) = self.intents.pop_front() else { break };
            match intent.plan(&self.me.id, &self.life, &jiff::Timestamp::now().to_string()) {
                Step::Nothing => {}
                Step::Put { event: None, then, .. } if !matches!(then, Then::Nobody) => self.told(then, ctx),
                Step::Put { desired, event, then } => {
                    let (context, id) = (self.context.clone(), self.me.id.clone());
                    self.commit(async move { context.store.put(&id, &desired).await }, event, then, ctx);
                }
                Step::Delete { then } => {
                    let (context, id) = (self.context.clone(), self.me.id.clone());
                    let write = async move { context.store.delete(&id).await };
                    self.commit(write, Some(Event::Delete), then, ctx);
                }
            }
        }
        self.take_leave();
    }

    /// Writes, then tells the lifecycle, then the callers; the next intent waits for that.
    fn commit(
        &mut self,
        write: impl Future<Output = Result<(), StoreError>> + 'static,
        event: Option<Event>,
        then: Then,
        ctx: &mut actix::Context<Self>,
    ) {
        self.committing = true;
        ctx.spawn(wrap_future(write).map(move |written, this: &mut Self, ctx| {
            this.committing = false;
            match (written, then) {
                (Ok(()), then) => {
                    if let Some(event) = event {
                        this.feed(event, ctx);
                    }
                    this.told(then, ctx);
                }
                (Err(error), Then::Nobody) => {
                    tracing::error!(function = %this.me.id, %error, "could not keep what became of the function");
                    ctx.run_later(RECORD_AGAIN, |this, ctx| {
                        this.intents.push_back(Intent::Record);
                        this.commit_next(ctx);
                    });
                }
                (Err(error), then) => then.fail(&error),
            }
            this.commit_next(ctx);
        }));
    }

    /// An intent is durable: tells those who asked for it, or lets them wait for what becomes of it.
    fn told(&mut self, then: Then, ctx: &mut actix::Context<Self>) {
        match then {
            Then::Nobody => {}
            Then::Answer(reply) => drop(reply.send(Ok(()))),
            Then::Refuse(replies) => {
                for (reply, refused) in replies {
                    let _ = reply.send(Err(refused));
                }
            }
            Then::Await { generation, created, reply } => {
                let number = self.waiting.add(generation, created, reply);
                ctx.run_later(self.context.settings.deploy_wait, move |this, _| this.waiting.give_up(number));
                self.perform(Vec::new(), ctx);
            }
        }
    }

    /// Tells the registry when there is nothing left to do here.
    fn take_leave(&self) {
        let gone = self.life.desired().is_none() && self.life.instances().next().is_none();
        if gone && !self.committing && self.intents.is_empty() && self.waiting.is_empty() {
            self.notify(ActorExit::Finished { handled: self.handled });
        }
    }

    fn notify(&self, what: ActorExit) {
        let notice = SupervisorEvent { id: self.me.id.clone(), incarnation: self.me.number, what };
        // Nobody listens only while the whole program ends.
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

impl Handler<Apply> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Apply { spec, mode }: Apply, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.intend(|reply| Intent::Apply { spec: Box::new(spec), mode, reply }, ctx)
    }
}

impl Handler<Scale> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Scale { replicas }: Scale, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.intend(|reply| Intent::Scale { replicas, reply }, ctx)
    }
}

impl Handler<Delete> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Delete: Delete, ctx: &mut actix::Context<Self>) -> Self::Result {
        self.intend(|reply| Intent::Delete { reply }, ctx)
    }
}

impl Handler<LifecycleEvent> for Function {
    type Result = ();

    fn handle(&mut self, LifecycleEvent(event): LifecycleEvent, ctx: &mut actix::Context<Self>) {
        self.feed(event, ctx);
    }
}

fn interrupted(id: &FunctionId) -> Refused {
    Refused::Busy(format!("function {id} was interrupted before it could answer: look at it, then try again"))
}
