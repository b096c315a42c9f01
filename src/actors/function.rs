//! A function's actor: it owns the lifecycle, feeds it events and performs its effects. It has no opinions of its own.
//!
//! ```text
//! Accept, Resize, Withdraw -> intents -> store -> event --+
//! Happened ------------------------------------> event --+-> Lifecycle -> effects -> tasks -> Happened
//!                                                                  |
//!                                                   endpoints, board, waiting callers
//! ```
//! Intents become durable one at a time; everything else goes on meanwhile.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, ResponseFuture};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::commit::{INTENTS_MAX, Intent, Step, Then};
use super::logs;
use super::messages::{Accept, Farewell, Happened, Notice, Refused, Resize, Withdraw};
use super::running::Running;
use super::surroundings::Surroundings;
use super::waiting::Waiting;
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
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    /// Instances that this incarnation began and has not seen removed: the host can't always tell whose a half-made
    /// one is.
    pub(super) begun: Arc<Mutex<BTreeSet<InstanceId>>>,
}

impl Incarnation {
    pub(super) fn begun(&self) -> std::sync::MutexGuard<'_, BTreeSet<InstanceId>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
pub(super) struct Function {
    pub(super) me: Incarnation,
    pub(super) around: Arc<Surroundings>,
    pub(super) life: Lifecycle,
    /// Effects that the lifecycle asked for before the actor ran.
    first: Vec<Effect>,
    pub(super) instances: HashMap<InstanceId, Running>,
    /// The newest generation that is known to have served: its first instance is worth a line in the log.
    served: Option<Generation>,
    intents: VecDeque<Intent>,
    committing: bool,
    waiting: Waiting,
    handled: u64,
}

impl Function {
    pub(super) fn start(me: Incarnation, around: Arc<Surroundings>, life: Lifecycle, first: Vec<Effect>) -> Addr<Self> {
        Actor::start(Self {
            me,
            around,
            life,
            first,
            instances: HashMap::new(),
            served: None,
            intents: VecDeque::new(),
            committing: false,
            waiting: Waiting::default(),
            handled: 0,
        })
    }

    /// Feeds the lifecycle and does what it says.
    fn feed(&mut self, event: Event, context: &mut Context<Self>) {
        tracing::debug!(function = %self.me.id, ?event);
        match &event {
            Event::Removed(id) => drop(self.me.begun().remove(id)),
            Event::Delete => logs::forget(&self.around, &self.me.id),
            _ => {}
        }
        let trouble = self.trouble(&event);
        if let Event::Ready(id, _) = &event {
            tracing::info!(function = %self.me.id, instance = %id, "ready again");
        }
        let effects = self.life.on(event, self.around.uptime());
        if let Some((id, what)) = trouble {
            let now = self.around.uptime();
            let status = self.life.status(now);
            let wait = match status.phase {
                Phase::BackingOff { until } => until.since(now),
                _ => Duration::ZERO,
            };
            let (phase, restarts, wait) = (status.phase, status.restarts, wait.as_secs_f32());
            tracing::warn!(function = %self.me.id, instance = %id, %phase, restarts, next_start_in = wait, "{what}");
        }
        self.perform(effects, context);
    }

    fn perform(&mut self, effects: Vec<Effect>, context: &mut Context<Self>) {
        for effect in effects {
            self.perform_one(effect, context);
        }
        self.publish_status();
        let settled = self.waiting.settle(&self.life);
        if let (false, Some(desired)) = (settled.withdraw.is_empty(), self.life.desired()) {
            let generation = desired.generation;
            self.intents.push_back(Intent::Withdraw { generation, replies: settled.withdraw });
        }
        self.commit_next(context);
    }

    fn perform_one(&mut self, effect: Effect, context: &mut Context<Self>) {
        let endpoints = self.around.endpoints.clone();
        match effect {
            Effect::BringUp(id, generation, spec) => self.run_instance(id, generation, spec, false, context),
            Effect::Adopt(id, generation, spec) => self.run_instance(id, generation, spec, true, context),
            Effect::Publish(id, address) => {
                self.note_serving(&id, address);
                endpoints.publish(&self.me.id, &id, address);
            }
            Effect::Retract(id) => endpoints.retract(&self.me.id, &id),
            Effect::Drain(id) => self.drain(id, context),
            Effect::TearDown(id) => self.tear_down(id, context),
            Effect::RetryAfter(delay) => {
                context.run_later(delay, |this, context| this.feed(Event::RetryDue, context));
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
        let status = self.life.status(self.around.uptime());
        match &status.desired {
            Some(desired) => {
                self.around.endpoints.announce(&self.me.id, desired.replicas == 0);
                self.around.endpoints.limit(&self.me.id, desired.serving_spec().answer_limit());
            }
            None => self.around.endpoints.forget(&self.me.id),
        }
        self.around.board.post(&self.me.id, status);
    }

    // ---- intents -------------------------------------------------------------------------------------------------

    fn intend(
        &mut self,
        intent: impl FnOnce(oneshot::Sender<Result<(), Refused>>) -> Intent,
        context: &mut Context<Self>,
    ) -> ResponseFuture<Result<(), Refused>> {
        self.handled += 1;
        if self.intents.len() >= INTENTS_MAX || self.waiting.is_full() {
            let busy = Refused::Busy(format!("function {} has too many requests waiting: try again", self.me.id));
            return Box::pin(std::future::ready(Err(busy)));
        }
        let (reply, answer) = oneshot::channel();
        self.intents.push_back(intent(reply));
        self.commit_next(context);
        let id = self.me.id.clone();
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(interrupted(&id))) })
    }

    /// Takes the next intent, if none is on its way to the store.
    fn commit_next(&mut self, context: &mut Context<Self>) {
        while !self.committing {
            let Some(intent) = self.intents.pop_front() else { break };
            match intent.plan(&self.me.id, &self.life, &jiff::Timestamp::now().to_string()) {
                Step::Nothing => {}
                Step::Put { event: None, then, .. } if !matches!(then, Then::Nobody) => self.told(then, context),
                Step::Put { desired, event, then } => {
                    let (around, id) = (self.around.clone(), self.me.id.clone());
                    self.commit(async move { around.store.put(&id, &desired).await }, event, then, context);
                }
                Step::Delete { then } => {
                    let (around, id) = (self.around.clone(), self.me.id.clone());
                    let write = async move { around.store.delete(&id).await };
                    self.commit(write, Some(Event::Delete), then, context);
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
        context: &mut Context<Self>,
    ) {
        self.committing = true;
        context.spawn(wrap_future(write).map(move |written, this: &mut Self, context| {
            this.committing = false;
            match (written, then) {
                (Ok(()), then) => {
                    if let Some(event) = event {
                        this.feed(event, context);
                    }
                    this.told(then, context);
                }
                (Err(error), Then::Nobody) => {
                    tracing::error!(function = %this.me.id, %error, "could not keep what became of the function");
                    context.run_later(RECORD_AGAIN, |this, context| {
                        this.intents.push_back(Intent::Record);
                        this.commit_next(context);
                    });
                }
                (Err(error), then) => then.fail(&error),
            }
            this.commit_next(context);
        }));
    }

    /// An intent is durable: tells those who asked for it, or lets them wait for what becomes of it.
    fn told(&mut self, then: Then, context: &mut Context<Self>) {
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
                context.run_later(self.around.settings.deploy_wait, move |this, _| this.waiting.give_up(number));
                self.perform(Vec::new(), context);
            }
        }
    }

    /// Tells the registry when there is nothing left to do here.
    fn take_leave(&self) {
        let gone = self.life.desired().is_none() && self.life.instances().next().is_none();
        if gone && !self.committing && self.intents.is_empty() && self.waiting.is_empty() {
            self.notify(Farewell::Finished { handled: self.handled });
        }
    }

    fn notify(&self, what: Farewell) {
        let notice = Notice { id: self.me.id.clone(), incarnation: self.me.number, what };
        // Nobody listens only while the whole program ends.
        let _ = self.me.notices.send(notice);
    }
}

impl Actor for Function {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(256);
        let first = std::mem::take(&mut self.first);
        self.perform(first, context);
    }
}

impl Drop for Function {
    /// Runs when the actor is dismissed, where the registry no longer cares, and when a panic unwinds.
    fn drop(&mut self) {
        self.me.over.cancel();
        self.notify(Farewell::Died);
    }
}

impl Handler<Accept> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Accept { spec, mode }: Accept, context: &mut Context<Self>) -> Self::Result {
        self.intend(|reply| Intent::Apply { spec: Box::new(spec), mode, reply }, context)
    }
}

impl Handler<Resize> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Resize(replicas): Resize, context: &mut Context<Self>) -> Self::Result {
        self.intend(|reply| Intent::Scale { replicas, reply }, context)
    }
}

impl Handler<Withdraw> for Function {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Withdraw: Withdraw, context: &mut Context<Self>) -> Self::Result {
        self.intend(|reply| Intent::Delete { reply }, context)
    }
}

impl Handler<Happened> for Function {
    type Result = ();

    fn handle(&mut self, Happened(event): Happened, context: &mut Context<Self>) {
        self.feed(event, context);
    }
}

fn interrupted(id: &FunctionId) -> Refused {
    Refused::Busy(format!("function {id} was interrupted before it could answer: look at it, then try again"))
}
