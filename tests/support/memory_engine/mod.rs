//! An engine in memory: `Engine`, `Secrets`, `Namespaces` and `Logs` without actors, a lifecycle or a machine.
//!
//! ```text
//! apply, rollback, scale, keep_down, adjust, rest, delete, a call at zero -> one lock -> Kept (survives a restart) -> instances that are there at once -> Routes, ChangeLog
//! ```
//! For tests of what stands on an engine. It passes the same suite as the engine of one machine: tests/engine_contract.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

mod freezing;
mod logs;
mod namespaces;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use actord::engine::{ChangeLog, Changed, Changes, Engine, InstanceView, LogLine, Mode, Refused, Used, View};
use actord::function::{
    Adjusted, Desired, Failure, FunctionId, Generation, InstanceId, InstancePhase, Namespace, NamespaceMetadata,
    Outlook, Phase, RefusedUpdate, SecretName, Spec, Status, Tier, Uptime,
};
use actord::routes::Routes;
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

/// How long a deployment is waited for.
pub const WAIT: Duration = Duration::from_secs(20);

/// What comes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Its instances serve at once, and write these lines when they start.
    Runs(Vec<String>),
    /// No instance of it ever serves, for this reason.
    Fails(String),
    /// Its instances end at once, again and again, in this way.
    Ends(String),
    /// It is never here.
    Hangs,
}

impl Image {
    fn failure(&self) -> Option<String> {
        if let Self::Fails(reason) = self { Some(reason.clone()) } else { None }
    }
}

/// Tells what comes of the image with this reference.
type Images = Arc<dyn Fn(&str) -> Image + Send + Sync>;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct MemoryEngine(Arc<Life>);

/// One life of the engine, from a restart to the next.
struct Life {
    me: Weak<Self>,
    images: Images,
    routes: Option<Arc<Routes>>,
    now: fn() -> Timestamp,
    changes: ChangeLog,
    kept: Mutex<Kept>,
}

/// What survives a restart. Only the instances in it don't.
#[derive(Default)]
struct Kept {
    functions: BTreeMap<FunctionId, Function>,
    namespaces: BTreeMap<Namespace, NamespaceMetadata>,
    secrets: BTreeMap<(Namespace, SecretName), Vec<u8>>,
    instances_started: u64,
}

struct Function {
    desired: Desired,
    instances: Vec<InstanceId>,
    /// Those of them that are frozen, or were until they ended.
    frozen: BTreeSet<InstanceId>,
    /// How the instances of the newest generation end that never serve.
    ends: Option<String>,
    /// The generation of the instances, once one could be started.
    serving: Option<Generation>,
    /// Closed with the function: its followers have come to the end then.
    log: watch::Sender<Vec<LogLine>>,
}

impl MemoryEngine {
    /// An engine that runs every image, without a line in its log, and publishes nothing.
    pub fn new() -> Self {
        Self::of(|_| Image::Runs(Vec::new()), None, Timestamp::now)
    }

    /// An engine that runs these images, and publishes its instances if there are routes. Nothing answers there.
    pub fn of(
        images: impl Fn(&str) -> Image + Send + Sync + 'static,
        routes: Option<Arc<Routes>>,
        now: fn() -> Timestamp,
    ) -> Self {
        let default = (Namespace::default(), NamespaceMetadata::of_functions());
        let kept = Kept { namespaces: [default].into(), ..Kept::default() };
        let changes = ChangeLog::starting_after(1 << 20);
        let (images, kept) = (Arc::new(images), Mutex::new(kept));
        Self(Arc::new_cyclic(|me| Life { me: me.clone(), images, routes, now, changes, kept }))
    }

    /// The next life: what was kept is there, and what should run is started. Those who hold this one are told nothing.
    pub fn restart(self, routes: Option<Arc<Routes>>) -> Self {
        let mut kept = std::mem::take(&mut *self.0.kept.lock().unwrap());
        for function in kept.functions.values_mut() {
            function.instances.clear();
            function.frozen.clear();
            let written = function.log.borrow().clone();
            function.log = watch::Sender::new(written);
        }
        let changes = ChangeLog::starting_after(self.0.changes.last() + (1 << 20));
        let (images, now) = (self.0.images.clone(), self.0.now);
        let kept = Mutex::new(kept);
        let next = Self(Arc::new_cyclic(|me| Life { me: me.clone(), images, routes, now, changes, kept }));
        for id in next.functions() {
            next.0.fill_again(&mut next.0.kept.lock().unwrap(), &id);
        }
        next
    }

    /// Lets a function be there, whatever was there before.
    pub fn put(&self, id: &FunctionId, spec: Spec) {
        self.0.kept.lock().unwrap().functions.remove(id);
        self.0.apply(id, spec, Mode::Create).unwrap();
    }

    /// As [`Self::put`], created at this time.
    pub fn put_at(&self, id: &FunctionId, spec: Spec, at: Timestamp) {
        self.put(id, spec);
        self.0.kept.lock().unwrap().functions.get_mut(id).unwrap().desired.created_at = at.to_string();
    }

    /// Lets a function be gone.
    pub fn remove(&self, id: &FunctionId) {
        self.0.delete(id).unwrap();
    }

    /// Lets all functions be gone.
    pub fn clear(&self) {
        let all: Vec<_> = self.0.kept.lock().unwrap().functions.keys().cloned().collect();
        all.iter().for_each(|id| self.remove(id));
    }

    /// All functions, by name and namespace.
    pub fn functions(&self) -> Vec<FunctionId> {
        self.0.kept.lock().unwrap().functions.keys().cloned().collect()
    }

    /// A function as it stands.
    pub fn view(&self, id: &FunctionId) -> Option<View> {
        self.0.kept.lock().unwrap().functions.get(id).map(|function| function.view(id))
    }
}

/// What is desired of a function when this spec was accepted after `before`, given what comes of its image.
pub fn desired(before: Option<&Desired>, spec: Spec, image: &Image, now: Timestamp) -> Desired {
    let (least, by_load) = (spec.min_replicas(), spec.scaling().rule.is_some());
    Desired {
        generation: before.map_or(Generation(1), |before| before.newest_generation().next()),
        spec: Arc::new(spec),
        replicas: before.map_or(least, |before| before.replicas.max(least)),
        kept_down: before.is_some_and(|before| before.kept_down),
        idle: false,
        adjusted: before.and_then(|before| before.adjusted.clone()).filter(|_| by_load),
        accepted_at: now.to_string(),
        history: before.map(Desired::kept).unwrap_or_default(),
        has_served: matches!(image, Image::Runs(_)),
        failed: image.failure(),
        created_at: before.map_or_else(|| now.to_string(), |before| before.created_at.clone()),
        refused: None,
    }
}

impl Function {
    fn view(&self, id: &FunctionId) -> View {
        let desired = &self.desired;
        let ready = u32::try_from(self.instances.len()).unwrap();
        let frozen = self.instances.iter().filter(|instance| self.frozen.contains(instance)).count();
        let frozen = u32::try_from(frozen).unwrap();
        let phase = match &desired.failed {
            _ if desired.kept_down => Phase::Stopped,
            Some(_) => Phase::Failed,
            None if desired.replicas == 0 => Phase::Stopped,
            None if desired.idle => Phase::Idle,
            None if self.serving == Some(desired.generation) && ready > 0 && frozen == ready => Phase::Frozen,
            None if self.serving == Some(desired.generation) => Phase::Ready,
            None if self.ends.is_some() => Phase::BackingOff { until: Uptime::default() },
            None => Phase::Starting,
        };
        let reason = desired.failed.clone().or_else(|| self.ends.clone());
        let failure = reason.map(|reason| Failure { generation: desired.generation, reason });
        let serving = self.serving.filter(|_| ready > 0);
        let status = Status {
            desired: Some(desired.clone()),
            phase,
            since: Uptime::default(),
            ready,
            frozen,
            spares: if phase == Phase::Ready { desired.serving_spec().spare() } else { 0 },
            serving,
            restarts: 0,
            failure,
        };
        let (id, in_phase_for, retry_in) = (id.clone(), None, None);
        View { id, status, in_phase_for, retry_in, step: None, waits_for: None, pull: None, judged: None }
    }
}

impl Life {
    fn image(&self, spec: &Spec) -> Image {
        (self.images)(&spec.image)
    }

    fn tell(&self, kept: &Kept, id: &FunctionId) {
        if let Some(function) = kept.functions.get(id) {
            self.changes.record(id, Changed::Status(Box::new(function.view(id).status)));
        }
    }

    /// Lets as many instances be there as are desired, of what serves.
    fn fill_again(&self, kept: &mut Kept, id: &FunctionId) {
        let image = kept.functions.get(id).map(|function| self.image(function.desired.serving_spec()));
        image.into_iter().for_each(|image| self.fill(kept, id, &image));
        self.tell(kept, id);
    }

    /// Starts instances until there are as many as desired, and ends those that are too many.
    fn fill(&self, kept: &mut Kept, id: &FunctionId, image: &Image) {
        let Some(function) = kept.functions.get_mut(id) else { return };
        let wanted = function.desired.running_replicas() as usize;
        self.announce(id, &function.desired);
        let Image::Runs(lines) = image else { return };
        while function.instances.len() > wanted {
            let ended = function.instances.pop().unwrap();
            self.retract(id, &ended);
        }
        while function.instances.len() < wanted {
            kept.instances_started += 1;
            let instance: InstanceId = format!("{}-{}", id.name, kept.instances_started).parse().unwrap();
            let line = |text: &String| LogLine { instance: instance.clone(), time: (self.now)(), text: text.clone() };
            function.log.send_modify(|log| log.extend(lines.iter().map(line)));
            if let Some(routes) = &self.routes {
                routes.publish(id, &instance, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
            }
            function.instances.push(instance);
        }
    }

    /// Says what a request can expect that finds no instance, and has it wake a function that is at zero.
    fn announce(&self, id: &FunctionId, desired: &Desired) {
        let Some(routes) = &self.routes else { return };
        let outlook = match desired {
            Desired { kept_down: true, .. } => Outlook::KeptDown,
            Desired { replicas: 0, .. } | Desired { idle: true, .. } => Outlook::AtZero,
            _ => Outlook::Coming,
        };
        let at_zero = outlook == Outlook::AtZero;
        routes.announce(id, outlook);
        if let Some(entry) = routes.find(id).filter(|_| at_zero) {
            let (me, id) = (self.me.clone(), id.clone());
            tokio::spawn(async move {
                if entry.demand().await
                    && let Some(me) = me.upgrade()
                {
                    me.wake(&id);
                }
            });
        }
    }

    fn wake(&self, id: &FunctionId) {
        let mut kept = self.kept.lock().unwrap();
        let Some(function) = kept.functions.get_mut(id) else { return };
        let desired = &mut function.desired;
        if desired.running_replicas() == 0 && !desired.kept_down {
            desired.idle = false;
            if desired.replicas == 0 {
                desired.replicas = desired.serving_spec().min_replicas();
            }
            self.fill_again(&mut kept, id);
        }
    }

    fn retract(&self, id: &FunctionId, instance: &InstanceId) {
        if let Some(routes) = &self.routes {
            routes.retract(id, instance);
        }
    }

    /// Accepts a spec. Says whether an instance of it is still waited for.
    fn apply(&self, id: &FunctionId, spec: Spec, mode: Mode) -> Result<bool, Refused> {
        let mut kept = self.kept.lock().unwrap();
        let before = kept.functions.get(id).map(|function| function.desired.clone());
        match (mode, &before) {
            (Mode::Create, Some(_)) => return Err(Refused::Exists(id.clone())),
            (Mode::Update, None) => return Err(Refused::NotFound(id.clone())),
            _ if !kept.namespaces.contains_key(&id.namespace) => {
                return Err(Refused::NoNamespace(id.namespace.clone()));
            }
            _ => {}
        }
        let there = |name: &&SecretName| kept.secrets.contains_key(&(id.namespace.clone(), (*name).clone()));
        if let Some(missing) = spec.secrets.iter().find(|name| !there(name)) {
            return Err(Refused::NoSecret(missing.clone()));
        }
        let image = self.image(&spec);
        let refused = image.failure().map(Refused::Unrunnable);
        if let (Some(why), Some(function)) = (image.failure(), kept.functions.get_mut(id)) {
            let generation = function.desired.newest_generation().next();
            let update =
                RefusedUpdate { generation, image: spec.image.clone(), reason: why, at: (self.now)().to_string() };
            function.desired.refused = Some(update.into());
            self.tell(&kept, id);
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        let desired = match before {
            Some(before) if *before.spec == spec && before.failed.is_none() => {
                Desired { replicas: before.replicas.max(spec.min_replicas()), idle: false, ..before }
            }
            before => desired(before.as_ref(), spec, &image, (self.now)()),
        };
        let function = kept.functions.entry(id.clone()).or_insert_with(|| Function {
            desired: desired.clone(),
            instances: Vec::new(),
            frozen: BTreeSet::new(),
            ends: None,
            serving: None,
            log: watch::Sender::default(),
        });
        let mut old = Vec::new();
        if matches!(image, Image::Runs(_)) && function.serving != Some(desired.generation) {
            old = std::mem::take(&mut function.instances);
            function.serving = Some(desired.generation);
        }
        function.ends = if let Image::Ends(how) = &image { Some(how.clone()) } else { None };
        function.desired = desired;
        self.fill(&mut kept, id, &image);
        old.iter().for_each(|instance| self.retract(id, instance));
        self.tell(&kept, id);
        let kept_down = kept.functions[id].desired.kept_down;
        Ok(image == Image::Hangs && !kept_down)
    }

    fn delete(&self, id: &FunctionId) -> Result<(), Refused> {
        let mut kept = self.kept.lock().unwrap();
        kept.functions.remove(id).ok_or_else(|| Refused::NotFound(id.clone()))?;
        if let Some(routes) = &self.routes {
            routes.published(id).iter().for_each(|instance| routes.retract(id, instance));
            routes.forget(id);
        }
        self.changes.record(id, Changed::Deleted);
        Ok(())
    }
}

#[async_trait]
impl Engine for MemoryEngine {
    async fn apply(&self, id: FunctionId, spec: Spec, mode: Mode) -> Result<(), Refused> {
        if self.0.apply(&id, spec, mode)? {
            tokio::time::sleep(WAIT).await;
        }
        Ok(())
    }

    async fn rollback(&self, id: &FunctionId, to: Option<Generation>) -> Result<(), Refused> {
        let desired =
            self.view(id).and_then(|view| view.status.desired).ok_or_else(|| Refused::NotFound(id.clone()))?;
        match desired.rollback_target(to) {
            Some(target) => self.apply(id.clone(), (*target.spec).clone(), Mode::Update).await,
            None => {
                let kept = desired.kept().iter().map(|kept| kept.generation).collect();
                Err(Refused::NotKept { id: id.clone(), to, kept })
            }
        }
    }

    async fn delete(&self, id: &FunctionId) -> Result<(), Refused> {
        self.0.delete(id)
    }

    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), Refused> {
        let mut kept = self.0.kept.lock().unwrap();
        let function = kept.functions.get_mut(id).ok_or_else(|| Refused::NotFound(id.clone()))?;
        function.desired = function.desired.clone().scaled(replicas);
        self.0.fill_again(&mut kept, id);
        Ok(())
    }

    async fn keep_down(&self, id: &FunctionId, down: bool) -> Result<(), Refused> {
        let mut kept = self.0.kept.lock().unwrap();
        let function = kept.functions.get_mut(id).ok_or_else(|| Refused::NotFound(id.clone()))?;
        function.desired = function.desired.clone().stopped(down);
        self.0.fill_again(&mut kept, id);
        Ok(())
    }

    async fn adjust(&self, id: &FunctionId, wanted: u32, reason: String) -> Result<(), Refused> {
        let mut kept = self.0.kept.lock().unwrap();
        let function = kept.functions.get_mut(id).ok_or_else(|| Refused::NotFound(id.clone()))?;
        if function.desired.running_replicas() > 0 && wanted > 0 {
            function.desired.adjusted = Some(Adjusted { replicas: wanted, reason });
            self.0.fill_again(&mut kept, id);
        }
        Ok(())
    }

    async fn rest(&self, id: &FunctionId, tier: Tier) -> Result<(), Refused> {
        let mut kept = self.0.kept.lock().unwrap();
        let function = kept.functions.get_mut(id).ok_or_else(|| Refused::NotFound(id.clone()))?;
        let proven = !function.desired.is_on_trial();
        let load = self.0.routes.as_ref().and_then(|routes| routes.find(id)).map(|entry| entry.load());
        let called = load.is_some_and(|load| load.in_flight + load.parked > 0);
        match tier {
            Tier::Stopped if called => {}
            Tier::Stopped if proven && function.desired.running_replicas() > 0 => function.desired.idle = true,
            Tier::Ready => function.desired.idle = false,
            Tier::Frozen => self.0.freeze(&mut kept, id),
            Tier::Stopped => {}
        }
        self.0.fill_again(&mut kept, id);
        Ok(())
    }

    async fn get(&self, id: &FunctionId) -> Result<Option<View>, Refused> {
        Ok(self.view(id))
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<View>, Refused> {
        let kept = self.0.kept.lock().unwrap();
        let of_namespace = kept.functions.iter().filter(|(id, _)| id.namespace == *namespace);
        let mut views: Vec<View> = of_namespace.map(|(id, function)| function.view(id)).collect();
        views.sort_by(|a, b| a.id.name.cmp(&b.id.name));
        Ok(views)
    }

    async fn measure(&self, only: Option<&FunctionId>) -> Vec<(FunctionId, Used)> {
        let kept = self.0.kept.lock().unwrap();
        let counts = kept.functions.iter().map(|(id, function)| (id, function.instances.len() as u64));
        let wanted = counts.filter(|(id, count)| *count > 0 && only.is_none_or(|only| only == *id));
        let used = |count| Used { cpu_millis: 1.0, memory_bytes: count << 20, cpu_total: Duration::ZERO };
        wanted.map(|(id, count)| (id.clone(), used(count))).collect()
    }

    async fn cpu_time(&self, id: &FunctionId) -> Option<Duration> {
        self.measure(Some(id)).await.first().map(|(_, used)| used.cpu_total)
    }

    fn instances(&self, id: &FunctionId) -> Vec<InstanceView> {
        let kept = self.0.kept.lock().unwrap();
        let Some(function) = kept.functions.get(id) else { return Vec::new() };
        let shown = |instance: &InstanceId| InstanceView {
            id: instance.clone(),
            generation: function.serving.unwrap_or_default(),
            phase: if function.frozen.contains(instance) { InstancePhase::Frozen } else { InstancePhase::Ready },
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))),
        };
        function.instances.iter().map(shown).collect()
    }

    fn watch(&self, after: Option<u64>) -> Changes {
        self.0.changes.watch(after)
    }
}
