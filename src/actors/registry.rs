//! The registry: routes requests to function actors, spawns them, and is their supervisor.
//!
//! An actor that panics tells it so while it unwinds. The registry then waits for the effects that were under way, reads
//! the store and the host, and starts a fresh actor that takes over the same instances; requests wait meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, MailboxError, Message, ResponseFuture};
use rand::Rng;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Supervised;
use super::function::{Function, Incarnation};
use super::instance::tear_down;
use super::logs;
use super::messages::{
    Accept, Apply, Delete, Farewell, Get, List, Mode, Notice, Refused, Resize, Scale, View, Withdraw,
};
use super::recovery::{self, Recovered, Remembered};
use super::routes::{Door, Estate, Route, Routes, Traffic};
use super::surroundings::Surroundings;
use super::tally;
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
    pub(super) around: Arc<Surroundings>,
    estate: Arc<Estate>,
    pub(super) routes: HashMap<FunctionId, Route>,
    incarnations: u64,
}

impl Registry {
    /// Reads the store and the host, then starts the registry with an actor for every function it found: what runs is
    /// adopted, what is missing is started, what nobody wants is torn down.
    ///
    /// # Errors
    /// [`StoreError`] when the store can't be read; nothing was touched then.
    pub async fn recover(around: Arc<Surroundings>) -> Result<Arc<Supervised<Self>>, StoreError> {
        let recovered = recovery::everything(&around).await?;
        let exists = |id: &FunctionId| recovered.functions.get(id).is_some_and(|found| found.desired.is_some());
        tally::recall(&around, exists).await;
        let orphans = recovered.orphans.len();
        tracing::info!(functions = recovered.functions.len(), orphans, "recovered");
        let functions = recovered.functions.iter();
        logs::sweep(&around, functions.filter_map(|(id, found)| Some((id, found.desired.as_ref()?))));
        let (estate, recovered) = (Estate::new(), Mutex::new(Some(recovered)));
        Ok(Supervised::start(move |context| {
            let first = recovered.lock().unwrap_or_else(PoisonError::into_inner).take();
            Self::begin(around.clone(), estate.clone(), first.unwrap_or_default(), context)
        }))
    }

    /// Begins with what its predecessor left, if there was one, and with what was found at start, if this is the first.
    fn begin(around: Arc<Surroundings>, estate: Arc<Estate>, found: Recovered, context: &mut Context<Self>) -> Self {
        context.add_stream(estate.notices());
        let Routes { by_function, incarnations } = estate.take();
        let mut registry = Self { around, estate, routes: by_function, incarnations };
        let died = |route: &Route| route.door.borrow().as_ref().is_none_or(|door| !door.actor.connected());
        let orphaned: Vec<FunctionId> =
            registry.routes.iter().filter(|(_, route)| died(route)).map(|(id, _)| id.clone()).collect();
        for id in orphaned {
            registry.replace(id, context);
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
            self.routes.insert(id, self.route(me, life, first));
        }
        for orphan in recovered.orphans {
            self.around.runtime.spawn(bury(self.around.clone(), orphan));
        }
    }

    fn incarnation(&mut self, id: &FunctionId) -> Incarnation {
        self.incarnations += 1;
        Incarnation {
            id: id.clone(),
            number: self.incarnations,
            tasks: TaskTracker::new(),
            over: CancellationToken::new(),
            notices: self.estate.notices.clone(),
            begun: Arc::default(),
        }
    }

    fn revive(&self, id: &FunctionId, remembered: Remembered) -> (Lifecycle, Vec<Effect>) {
        let seed = rand::rng().random();
        Lifecycle::recover(&id.name, seed, remembered.desired, remembered.observed, self.around.uptime())
    }

    fn route(&self, me: Incarnation, life: Lifecycle, first: Vec<Effect>) -> Route {
        let actor = Function::start(me.clone(), self.around.clone(), life, first);
        let traffic = Arc::<Traffic>::default();
        let door = watch::Sender::new(Some(Door { actor, traffic: traffic.clone() }));
        Route { me, door, traffic, deaths: 0, died: None, dead: None, meter: Arc::default() }
    }

    /// Sends a request to a function's actor, which is made if `make` says so.
    fn pass_on<M>(&mut self, id: &FunctionId, message: M, make: bool) -> ResponseFuture<Result<(), Refused>>
    where
        M: Message<Result = Result<(), Refused>> + Send + 'static,
        Function: Handler<M>,
    {
        if !self.routes.contains_key(id) {
            if !make {
                return Box::pin(std::future::ready(Err(Refused::NotFound(id.clone()))));
            }
            let me = self.incarnation(id);
            let route = self.route(me, Lifecycle::new(&id.name, rand::rng().random()), Vec::new());
            self.routes.insert(id.clone(), route);
        }
        let Some(route) = self.routes.get_mut(id) else {
            return Box::pin(std::future::ready(Err(Refused::NotFound(id.clone()))));
        };
        // Counted now: the actor might be dismissed before the request gets there.
        let counted = route.traffic.clone();
        counted.enter();
        let (mut door, id) = (route.door.subscribe(), id.clone());
        Box::pin(async move {
            let there = timeout(REPLACEMENT, door.wait_for(Option::is_some)).await;
            let door = there.ok().and_then(Result::ok).and_then(|door| door.clone());
            // It may be another one's by now, who knows nothing of this request.
            let Some(Door { actor, .. }) =
                door.filter(|door| Arc::ptr_eq(&door.traffic, &counted) || door.traffic.enter())
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
    pub(super) fn actor(&self, id: &FunctionId) -> Option<actix::Addr<Function>> {
        self.routes.get(id).and_then(|route| route.door.borrow().as_ref().map(|door| door.actor.clone()))
    }

    /// The functions that have an actor.
    #[cfg(test)]
    pub(super) fn routed(&self) -> Vec<FunctionId> {
        self.routes.keys().cloned().collect()
    }

    /// A function has nothing left to do: forgets it, unless a request is on its way to it.
    fn dismiss(&mut self, id: &FunctionId, handled: u64) {
        if self.routes.get(id).is_some_and(|route| route.traffic.dismiss(handled)) {
            self.routes.remove(id);
            self.around.board.clear(id);
        }
    }

    /// An actor died: a fresh one takes over what the dead one owned, when its effects have ended.
    fn replace(&mut self, id: FunctionId, context: &mut Context<Self>) {
        let successor = self.incarnation(&id);
        let Some(route) = self.routes.get_mut(&id) else { return };
        route.door.send_replace(None);
        let last = std::mem::replace(&mut route.me, successor);
        // A registry that died in the middle of this left the true predecessor here: its successor never lived.
        let dead = route.dead.get_or_insert(last).clone();
        route.traffic = Arc::default();
        if route.died.replace(Instant::now()).is_some_and(|before| before.elapsed() > FORGIVEN) {
            route.deaths = 0;
        }
        let wait = AGAIN_FIRST.saturating_mul(1 << route.deaths.min(16)).min(AGAIN_LONGEST);
        route.deaths += 1;
        tracing::error!(function = %id, "the function's actor panicked, a fresh one takes over in {wait:?}");
        let around = self.around.clone();
        let look = async move {
            sleep(wait).await;
            dead.tasks.close();
            dead.tasks.wait().await;
            let begun = dead.begun().clone();
            let remembered = recovery::one(&around, &id, begun).await;
            for published in around.endpoints.published(&id) {
                if !remembered.observed.iter().any(|observed| observed.id == published) {
                    around.endpoints.retract(&id, &published);
                }
            }
            (id, remembered)
        };
        context.spawn(wrap_future(look).map(|(id, remembered), this: &mut Self, _| {
            let (life, first) = this.revive(&id, remembered);
            let around = this.around.clone();
            if let Some(route) = this.routes.get_mut(&id) {
                let actor = Function::start(route.me.clone(), around, life, first);
                route.dead = None;
                route.door.send_replace(Some(Door { actor, traffic: route.traffic.clone() }));
            }
        }));
    }
}

impl Drop for Registry {
    /// Runs while a panic unwinds: the functions' actors live on, and the next registry needs to find them.
    fn drop(&mut self) {
        let by_function = std::mem::take(&mut self.routes);
        self.estate.leave(Routes { by_function, incarnations: self.incarnations });
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(1024);
    }
}

impl actix::StreamHandler<Notice> for Registry {
    fn handle(&mut self, Notice { id, incarnation, what }: Notice, context: &mut Context<Self>) {
        if self.routes.get(&id).is_none_or(|route| route.me.number != incarnation) {
            return;
        }
        match what {
            Farewell::Finished { handled } => self.dismiss(&id, handled),
            Farewell::Died => self.replace(id, context),
        }
    }
}

impl Handler<Apply> for Registry {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Apply { id, spec, mode }: Apply, context: &mut Context<Self>) -> Self::Result {
        if mode == Mode::Update && !self.routes.contains_key(&id) {
            return Box::pin(std::future::ready(Err(Refused::NotFound(id))));
        }
        if spec.secrets.is_empty() {
            return self.pass_on(&id, Accept { spec, mode }, mode == Mode::Create);
        }
        let (around, registry) = (self.around.clone(), context.address());
        Box::pin(async move {
            check_secrets(&around, &id, &spec).await?;
            let checked = Checked(Apply { id, spec, mode });
            registry.send(checked).await.unwrap_or_else(|lost| Err(Refused::Busy(format!("the registry: {lost}"))))
        })
    }
}

/// An [`Apply`] whose secrets are there.
#[derive(Message)]
#[rtype(result = "Result<(), Refused>")]
struct Checked(Apply);

impl Handler<Checked> for Registry {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Checked(Apply { id, spec, mode }): Checked, _: &mut Context<Self>) -> Self::Result {
        self.pass_on(&id, Accept { spec, mode }, mode == Mode::Create)
    }
}

impl Handler<Delete> for Registry {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Delete { id }: Delete, _: &mut Context<Self>) -> Self::Result {
        self.pass_on(&id, Withdraw, false)
    }
}

impl Handler<Scale> for Registry {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, Scale { id, replicas }: Scale, _: &mut Context<Self>) -> Self::Result {
        self.pass_on(&id, Resize(replicas), false)
    }
}

impl Handler<Get> for Registry {
    type Result = Option<View>;

    fn handle(&mut self, Get { id }: Get, _: &mut Context<Self>) -> Self::Result {
        self.around.board.view(&id, self.around.uptime())
    }
}

impl Handler<List> for Registry {
    type Result = Vec<View>;

    fn handle(&mut self, List { namespace }: List, _: &mut Context<Self>) -> Self::Result {
        self.around.board.list(&namespace, self.around.uptime())
    }
}

/// Refuses a spec whose secrets are not there, before anything is written or touched.
async fn check_secrets(around: &Arc<Surroundings>, id: &FunctionId, spec: &Spec) -> Result<(), Refused> {
    let (secrets, namespace, names) = (around.secrets.clone(), id.namespace.clone(), spec.secrets.clone());
    match tokio::task::spawn_blocking(move || secrets.read(&namespace, &names)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(SecretError::Missing(name))) => Err(Refused::NoSecret(name)),
        Ok(Err(error)) => Err(Refused::Store(error.to_string())),
        Err(lost) => Err(Refused::Store(format!("reading secrets: {lost}"))),
    }
}

/// Tears down what nobody can claim, however often it takes.
async fn bury(around: Arc<Surroundings>, id: InstanceId) {
    let mut pause = Duration::from_secs(1);
    while let Err(reason) = tear_down(&around, &id).await {
        tracing::warn!(instance = %id, %reason, "an orphan could not be removed completely, trying again");
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(64));
    }
    tracing::info!(instance = %id, "removed an orphan");
}
