//! The registry: routes requests to function actors, spawns them, and is their supervisor.
//!
//! An actor that panics tells it so while it unwinds. The registry then waits for the effects that were under way, reads
//! the store and the host, and starts a fresh actor that takes over the same instances; requests wait meanwhile.

pub(super) mod recovery;
pub(super) mod slots;
#[cfg(test)]
mod supervision;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, AsyncContext, Handler, MailboxError, Message, ResponseFuture};
use rand::Rng;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::recovery::{Recovered, Remembered};
use self::slots::{ActorSlot, FunctionHandle, Handover, InFlight, Slots};
use crate::actors::Supervised;
use crate::actors::begun::BegunInstances;
use crate::actors::context::Context;
use crate::actors::function::{Function, Incarnation, tear_down};
use crate::actors::housekeeping;
use crate::actors::log_retention;
use crate::actors::messages::{ActorExit, Apply, OfExisting, Ping, SupervisorEvent, To};
use crate::engine::{Mode, Refused};
use crate::function::{Effect, FunctionId, InstanceId, Lifecycle, Spec};
use crate::store::{SecretError, StoreError};

/// How long a request waits for a function whose actor is being replaced.
const REPLACEMENT: Duration = Duration::from_secs(10);
/// Waits between replacements of an actor that panics again and again.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
const AGAIN_LONGEST: Duration = Duration::from_secs(30);
/// An actor that lived this long after a panic starts with a clean slate.
const FORGIVEN: Duration = Duration::from_secs(60);

/// See the module.
pub struct Registry {
    pub(in crate::actors) context: Arc<Context>,
    handover: Arc<Handover>,
    pub(in crate::actors) slots: HashMap<FunctionId, ActorSlot>,
    incarnations: u64,
}

impl Registry {
    /// Reads the store and the host, then starts the registry with an actor for every function it found: what runs is
    /// adopted, what is missing is started, what no function wants is torn down.
    ///
    /// # Errors
    /// [`StoreError`] when the store can't be read; nothing was touched then.
    pub async fn recover(context: Arc<Context>) -> Result<Arc<Supervised<Self>>, StoreError> {
        let recovered = recovery::everything(&context).await?;
        let exists = |id: &FunctionId| recovered.functions.get(id).is_some_and(|found| found.desired.is_some());
        housekeeping::restore(&context, exists).await;
        let orphans = recovered.orphans.len();
        tracing::info!(functions = recovered.functions.len(), orphans, "recovered");
        let functions = recovered.functions.iter();
        log_retention::sweep(&context, functions.filter_map(|(id, found)| Some((id, found.desired.as_ref()?))));
        let (handover, recovered) = (Handover::new(), Mutex::new(Some(recovered)));
        Ok(Supervised::start(move |ctx| {
            let first = recovered.lock().unwrap_or_else(PoisonError::into_inner).take();
            Self::begin(context.clone(), handover.clone(), first.unwrap_or_default(), ctx)
        }))
    }

    /// Begins with what its predecessor left, if there was one, and with what was found at start, if this is the first.
    fn begin(context: Arc<Context>, handover: Arc<Handover>, found: Recovered, ctx: &mut actix::Context<Self>) -> Self {
        ctx.add_stream(handover.notices());
        let Slots { by_function, incarnations } = handover.take();
        let mut registry = Self { context, handover, slots: by_function, incarnations };
        let died = |slot: &ActorSlot| slot.handle.borrow().as_ref().is_none_or(|handle| !handle.actor.connected());
        let orphaned: Vec<FunctionId> =
            registry.slots.iter().filter(|(_, slot)| died(slot)).map(|(id, _)| id.clone()).collect();
        for id in orphaned {
            registry.replace(id, ctx);
        }
        registry.take_over(found);
        registry
    }

    fn take_over(&mut self, recovered: Recovered) {
        let mut functions = recovered.functions;
        let recent = recovered.recent.into_iter().filter_map(|id| functions.remove_entry(&id)).collect::<Vec<_>>();
        for (id, remembered) in recent.into_iter().chain(functions) {
            let me = self.incarnation(&id);
            let (life, first) = self.revive(&id, remembered);
            self.slots.insert(id, self.slot(me, life, first));
        }
        for orphan in recovered.orphans {
            self.context.runtime.spawn(remove_orphan(self.context.clone(), orphan));
        }
    }

    fn incarnation(&mut self, id: &FunctionId) -> Incarnation {
        self.incarnations += 1;
        Incarnation {
            id: id.clone(),
            number: self.incarnations,
            tasks: TaskTracker::new(),
            over: CancellationToken::new(),
            notices: self.handover.notices.clone(),
            begun: BegunInstances::default(),
        }
    }

    fn revive(&self, id: &FunctionId, remembered: Remembered) -> (Lifecycle, Vec<Effect>) {
        let seed = rand::rng().random();
        self.context.admission.note(id, remembered.desired.as_ref());
        Lifecycle::recover(&id.name, seed, remembered.desired, remembered.observed, self.context.uptime())
    }

    fn slot(&self, me: Incarnation, life: Lifecycle, first: Vec<Effect>) -> ActorSlot {
        self.context.usage.track(&me.id, me.begun.clone());
        let actor = Function::start(me.clone(), self.context.clone(), life, first);
        let in_flight = Arc::<InFlight>::default();
        let handle = watch::Sender::new(Some(FunctionHandle { actor, in_flight: in_flight.clone() }));
        ActorSlot { me, handle, in_flight, deaths: 0, died: None, dead: None }
    }

    /// Sends a request to a function's actor, which is made if `make` says so.
    fn pass_on<M>(&mut self, id: &FunctionId, message: M, make: bool) -> ResponseFuture<Result<(), Refused>>
    where
        M: Message<Result = Result<(), Refused>> + Send + 'static,
        Function: Handler<M>,
    {
        if !self.slots.contains_key(id) {
            if !make {
                return Box::pin(std::future::ready(Err(Refused::NotFound(id.clone()))));
            }
            let me = self.incarnation(id);
            let slot = self.slot(me, Lifecycle::new(&id.name, rand::rng().random()), Vec::new());
            self.slots.insert(id.clone(), slot);
        }
        let Some(slot) = self.slots.get_mut(id) else {
            return Box::pin(std::future::ready(Err(Refused::NotFound(id.clone()))));
        };
        // Counted now: the actor might be dismissed before the request gets there.
        let counted = slot.in_flight.clone();
        counted.enter();
        let (mut handle, id) = (slot.handle.subscribe(), id.clone());
        Box::pin(async move {
            let there = timeout(REPLACEMENT, handle.wait_for(Option::is_some)).await;
            let handle = there.ok().and_then(Result::ok).and_then(|handle| handle.clone());
            // It may be another one's by now, who knows nothing of this request.
            let Some(FunctionHandle { actor, .. }) =
                handle.filter(|handle| Arc::ptr_eq(&handle.in_flight, &counted) || handle.in_flight.enter())
            else {
                counted.leave();
                return Err(Refused::Busy(format!("function {id} is being recovered: try again")));
            };
            match actor.send(message).await {
                Ok(answer) => answer,
                Err(MailboxError::Closed | MailboxError::Timeout) => {
                    Err(Refused::Busy(format!("function {id} was interrupted: look at it, then try again")))
                }
            }
        })
    }

    /// The actor of a function, for tests that disturb it.
    #[cfg(test)]
    pub(in crate::actors) fn actor(&self, id: &FunctionId) -> Option<actix::Addr<Function>> {
        self.slots.get(id).and_then(|slot| slot.handle.borrow().as_ref().map(|handle| handle.actor.clone()))
    }

    /// The functions that have an actor.
    #[cfg(test)]
    pub(in crate::actors) fn with_actor(&self) -> Vec<FunctionId> {
        self.slots.keys().cloned().collect()
    }

    /// A function has nothing left to do: forgets it, unless a request is on its way to it.
    fn dismiss(&mut self, id: &FunctionId, handled: u64) {
        if self.slots.get(id).is_some_and(|slot| slot.in_flight.dismiss(handled))
            && let Some(slot) = self.slots.remove(id)
        {
            // The actor may live on for a timer that it set: its name may be another function's by then.
            slot.me.over.cancel();
            self.context.status_cache.clear(id);
            self.context.usage.forget(id);
        }
    }

    /// An actor died: a fresh one takes over what the dead one owned, when its effects have ended.
    fn replace(&mut self, id: FunctionId, ctx: &mut actix::Context<Self>) {
        let successor = self.incarnation(&id);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.handle.send_replace(None);
        self.context.usage.pause(&id);
        let last = std::mem::replace(&mut slot.me, successor);
        // A registry that died in the middle of this left the true predecessor here: its successor never lived.
        let dead = slot.dead.get_or_insert(last).clone();
        slot.in_flight = Arc::default();
        if slot.died.replace(Instant::now()).is_some_and(|before| before.elapsed() > FORGIVEN) {
            slot.deaths = 0;
        }
        let wait = AGAIN_FIRST.saturating_mul(1 << slot.deaths.min(16)).min(AGAIN_LONGEST);
        slot.deaths += 1;
        tracing::error!(function = %id, "the function's actor panicked, a fresh one takes over in {wait:?}");
        let context = self.context.clone();
        let look = async move {
            sleep(wait).await;
            dead.tasks.close();
            dead.tasks.wait().await;
            let begun = dead.begun().clone();
            let remembered = recovery::one(&context, &id, begun).await;
            for published in context.routes.published(&id) {
                if !remembered.observed.iter().any(|observed| observed.id == published) {
                    context.routes.retract(&id, &published);
                }
            }
            (id, remembered)
        };
        ctx.spawn(wrap_future(look).map(|(id, remembered), this: &mut Self, _| {
            let (life, first) = this.revive(&id, remembered);
            let context = this.context.clone();
            if let Some(slot) = this.slots.get_mut(&id) {
                context.usage.track(&id, slot.me.begun.clone());
                let actor = Function::start(slot.me.clone(), context, life, first);
                slot.dead = None;
                slot.handle.send_replace(Some(FunctionHandle { actor, in_flight: slot.in_flight.clone() }));
            }
        }));
    }
}

impl Drop for Registry {
    /// Runs while a panic unwinds: the functions' actors live on, and the next registry needs to find them.
    fn drop(&mut self) {
        let by_function = std::mem::take(&mut self.slots);
        self.handover.leave(Slots { by_function, incarnations: self.incarnations });
    }
}

impl Actor for Registry {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut actix::Context<Self>) {
        ctx.set_mailbox_capacity(1024);
    }
}

impl actix::StreamHandler<SupervisorEvent> for Registry {
    fn handle(&mut self, SupervisorEvent { id, incarnation, what }: SupervisorEvent, ctx: &mut actix::Context<Self>) {
        if self.slots.get(&id).is_none_or(|slot| slot.me.number != incarnation) {
            return;
        }
        match what {
            ActorExit::Finished { handled } => self.dismiss(&id, handled),
            ActorExit::Died => self.replace(id, ctx),
        }
    }
}

impl Handler<To<Apply>> for Registry {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, To(id, apply): To<Apply>, ctx: &mut actix::Context<Self>) -> Self::Result {
        if apply.mode == Mode::Update && !self.slots.contains_key(&id) {
            return Box::pin(std::future::ready(Err(Refused::NotFound(id))));
        }
        let settings = &self.context.settings;
        let known = settings.runtimes.of(&apply.spec).map(drop);
        let granted = known.and_then(|()| settings.capabilities.of(&apply.spec).map(drop));
        if let Err(not_here) = granted.and_then(|()| settings.compat_32bit.of(&apply.spec).map(drop)) {
            return Box::pin(std::future::ready(Err(Refused::Invalid(not_here))));
        }
        let make = apply.mode == Mode::Create;
        if apply.spec.secrets.is_empty() {
            return self.pass_on(&id, apply, make);
        }
        let (context, registry) = (self.context.clone(), ctx.address());
        Box::pin(async move {
            check_secrets(&context, &id, &apply.spec).await?;
            let checked = Checked(To(id, apply));
            registry.send(checked).await.unwrap_or_else(|lost| Err(Refused::Busy(format!("the registry: {lost}"))))
        })
    }
}

/// An [`Apply`] whose secrets are there.
#[derive(Message)]
#[rtype(result = "Result<(), Refused>")]
struct Checked(To<Apply>);

impl Handler<Checked> for Registry {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Checked(To(id, apply)): Checked, _: &mut actix::Context<Self>) -> Self::Result {
        let make = apply.mode == Mode::Create;
        self.pass_on(&id, apply, make)
    }
}

/// The same way for all that is asked of a function that is there.
impl<M> Handler<To<M>> for Registry
where
    M: OfExisting,
    Function: Handler<M>,
{
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, To(id, message): To<M>, _: &mut actix::Context<Self>) -> Self::Result {
        self.pass_on(&id, message, false)
    }
}

impl Handler<Ping> for Registry {
    type Result = ();

    fn handle(&mut self, Ping: Ping, _: &mut actix::Context<Self>) {}
}

/// Refuses a spec whose secrets are not there, before anything is written or touched.
async fn check_secrets(context: &Arc<Context>, id: &FunctionId, spec: &Spec) -> Result<(), Refused> {
    let (secrets, namespace, names) = (context.secrets.clone(), id.namespace.clone(), spec.secrets.clone());
    match tokio::task::spawn_blocking(move || secrets.read(&namespace, &names)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(SecretError::Missing(name))) => Err(Refused::NoSecret(name)),
        Ok(Err(error)) => Err(Refused::Failed(error.to_string())),
        Err(lost) => Err(Refused::Failed(format!("reading secrets: {lost}"))),
    }
}

/// Tears down what no function can claim, however often it takes.
async fn remove_orphan(context: Arc<Context>, id: InstanceId) {
    let mut pause = Duration::from_secs(1);
    while let Err(errors) = tear_down(&context, &id).await {
        tracing::warn!(instance = %id, reason = %errors, "an orphan could not be removed completely, trying again");
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(64));
    }
    tracing::info!(instance = %id, "removed an orphan");
}
