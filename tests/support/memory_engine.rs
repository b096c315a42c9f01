//! An engine in memory: [`Engine`], [`Secrets`], [`Namespaces`] and [`Logs`] without actors, a lifecycle or a machine.
//!
//! ```text
//! apply, scale, delete -> one lock -> Kept (survives a restart) -> instances that are there at once -> Routes, ChangeLog
//! ```
//! For tests of what stands on an engine. It passes the same suite as the engine of one machine: tests/engine_contract.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actord::engine::{
    ChangeLog, Changed, Changes, Engine, LogLine, LogLines, LogQuery, Logs, LogsUnreadable, Mode, NamespaceRefused,
    Namespaces, Refused, SecretRefused, Secrets, Used, View,
};
use actord::function::{
    Desired, Failure, FunctionId, Generation, InstanceId, Namespace, NamespaceMetadata, Phase, SecretName, Spec, Status,
};
use actord::routes::Routes;
use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
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
    /// It is never here.
    Hangs,
}

/// Tells what comes of the image with this reference.
type Images = Arc<dyn Fn(&str) -> Image + Send + Sync>;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct MemoryEngine(Arc<Life>);

/// One life of the engine, from a restart to the next.
struct Life {
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
        Self(Arc::new(Life { images: Arc::new(images), routes, now, changes, kept: Mutex::new(kept) }))
    }

    /// The next life: what was kept is there, and what should run is started. Those who hold this one are told nothing.
    pub fn restart(self, routes: Option<Arc<Routes>>) -> Self {
        let mut kept = std::mem::take(&mut *self.0.kept.lock().unwrap());
        let begun: Vec<(FunctionId, Spec)> = kept
            .functions
            .iter_mut()
            .map(|(id, function)| {
                function.instances.clear();
                let written = function.log.borrow().clone();
                function.log = watch::Sender::new(written);
                (id.clone(), function.desired.serving_spec().clone())
            })
            .collect();
        let changes = ChangeLog::starting_after(self.0.changes.last() + (1 << 20));
        let (images, now) = (self.0.images.clone(), self.0.now);
        let next = Life { images, routes, now, changes, kept: Mutex::new(kept) };
        for (id, spec) in begun {
            let mut kept = next.kept.lock().unwrap();
            let runs = next.image(&spec);
            next.fill(&mut kept, &id, &runs);
            next.tell(&kept, &id);
        }
        Self(Arc::new(next))
    }

    /// Lets a function be there, whatever was there before.
    pub fn put(&self, id: &FunctionId, spec: Spec) {
        self.0.kept.lock().unwrap().functions.remove(id);
        self.0.apply(id, spec, Mode::Create).unwrap();
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

/// What is desired of a function when this spec was accepted after `before`, and failed if there is a reason.
pub fn desired(before: Option<&Desired>, spec: Spec, failed: Option<String>, now: Timestamp) -> Desired {
    let least = spec.min_replicas();
    let good = before.and_then(|it| if it.proven { Some((it.generation, it.spec.clone())) } else { it.good.clone() });
    Desired {
        generation: before.map_or(Generation(1), |before| before.generation.next()),
        spec: Arc::new(spec),
        replicas: before.map_or(least, |before| before.replicas.max(least)),
        good,
        proven: false,
        failed,
        created_at: before.map_or_else(|| now.to_string(), |before| before.created_at.clone()),
    }
}

impl Function {
    fn view(&self, id: &FunctionId) -> View {
        let desired = &self.desired;
        let phase = match &desired.failed {
            Some(_) => Phase::Failed,
            None if desired.replicas == 0 => Phase::Stopped,
            None if self.serving == Some(desired.generation) => Phase::Ready,
            None => Phase::Starting,
        };
        let failure = desired.failed.clone().map(|reason| Failure { generation: desired.generation, reason });
        let ready = u32::try_from(self.instances.len()).unwrap();
        let serving = self.serving.filter(|_| ready > 0);
        let status = Status { desired: Some(desired.clone()), phase, ready, serving, restarts: 0, failure };
        View { id: id.clone(), status, retry_in: None, step: None, pull: None }
    }
}

impl Life {
    fn image(&self, spec: &Spec) -> Image {
        (self.images)(&spec.image)
    }

    fn tell(&self, kept: &Kept, id: &FunctionId) {
        let Some(function) = kept.functions.get(id) else { return };
        if let Some(routes) = &self.routes {
            routes.announce(id, function.desired.replicas == 0);
        }
        self.changes.record(id, Changed::Status(Box::new(function.view(id).status)));
    }

    /// Starts instances until there are as many as desired, and ends those that are too many.
    fn fill(&self, kept: &mut Kept, id: &FunctionId, image: &Image) {
        let (Some(function), Image::Runs(lines)) = (kept.functions.get_mut(id), image) else { return };
        let wanted = function.desired.replicas as usize;
        if let Some(routes) = &self.routes {
            routes.announce(id, wanted == 0);
        }
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
        let failed = if let Image::Fails(reason) = &image { Some(reason.clone()) } else { None };
        let refused = failed.clone().map(Refused::Unrunnable);
        if let (Some(refused), None) = (&refused, &before) {
            return Err(refused.clone());
        }
        let desired = match before {
            Some(before) if *before.spec == spec && before.failed.is_none() => {
                Desired { replicas: before.replicas.max(spec.min_replicas()), ..before }
            }
            before => desired(before.as_ref(), spec, failed, (self.now)()),
        };
        let function = kept.functions.entry(id.clone()).or_insert_with(|| Function {
            desired: desired.clone(),
            instances: Vec::new(),
            serving: None,
            log: watch::Sender::default(),
        });
        let replaced = function.serving != Some(desired.generation);
        function.desired = desired;
        if let Image::Runs(_) = &image {
            let old = if replaced { std::mem::take(&mut function.instances) } else { Vec::new() };
            function.serving = Some(function.desired.generation);
            function.desired.proven = true;
            self.fill(&mut kept, id, &image);
            old.iter().for_each(|instance| self.retract(id, instance));
        }
        self.tell(&kept, id);
        refused.map_or(Ok(image == Image::Hangs), Err)
    }

    fn delete(&self, id: &FunctionId) -> Result<(), Refused> {
        let removed = self.kept.lock().unwrap().functions.remove(id);
        removed.ok_or_else(|| Refused::NotFound(id.clone()))?;
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

    async fn delete(&self, id: &FunctionId) -> Result<(), Refused> {
        self.0.delete(id)
    }

    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), Refused> {
        let mut kept = self.0.kept.lock().unwrap();
        let function = kept.functions.get_mut(id).ok_or_else(|| Refused::NotFound(id.clone()))?;
        function.desired.replicas = replicas;
        let image = self.0.image(function.desired.serving_spec());
        self.0.fill(&mut kept, id, &image);
        self.0.tell(&kept, id);
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
        let wanted = kept
            .functions
            .iter()
            .filter(|(id, function)| only.is_none_or(|only| only == *id) && !function.instances.is_empty());
        let used =
            |count: usize| Used { cpu_millis: 1.0, memory_bytes: (count as u64) << 20, cpu_total: Duration::ZERO };
        wanted.map(|(id, function)| (id.clone(), used(function.instances.len()))).collect()
    }

    fn watch(&self, after: Option<u64>) -> Changes {
        self.0.changes.watch(after)
    }
}

impl Kept {
    fn secret(&self, namespace: &Namespace, name: &SecretName) -> Result<Option<&Vec<u8>>, SecretRefused> {
        match self.namespaces.contains_key(namespace) {
            true => Ok(self.secrets.get(&(namespace.clone(), name.clone()))),
            false => Err(SecretRefused::NoNamespace(namespace.clone())),
        }
    }
}

#[async_trait]
impl Secrets for MemoryEngine {
    async fn list(&self, namespace: &Namespace) -> Result<Vec<SecretName>, SecretRefused> {
        let kept = self.0.kept.lock().unwrap();
        if !kept.namespaces.contains_key(namespace) {
            return Err(SecretRefused::NoNamespace(namespace.clone()));
        }
        Ok(kept.secrets.keys().filter(|(within, _)| within == namespace).map(|(_, name)| name.clone()).collect())
    }

    async fn create(&self, namespace: &Namespace, name: SecretName, value: Vec<u8>) -> Result<(), SecretRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        match kept.secret(namespace, &name)? {
            Some(_) => Err(SecretRefused::Exists(name)),
            None => Ok(drop(kept.secrets.insert((namespace.clone(), name), value))),
        }
    }

    async fn update(&self, namespace: &Namespace, name: SecretName, value: Vec<u8>) -> Result<(), SecretRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        match kept.secret(namespace, &name)? {
            Some(_) => Ok(drop(kept.secrets.insert((namespace.clone(), name), value))),
            None => Err(SecretRefused::NotFound(name)),
        }
    }

    async fn delete(&self, namespace: &Namespace, name: SecretName) -> Result<(), SecretRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        match kept.secret(namespace, &name)? {
            Some(_) => Ok(drop(kept.secrets.remove(&(namespace.clone(), name)))),
            None => Err(SecretRefused::NotFound(name)),
        }
    }
}

#[async_trait]
impl Namespaces for MemoryEngine {
    async fn list(&self) -> Result<Vec<Namespace>, NamespaceRefused> {
        let kept = self.0.kept.lock().unwrap();
        let others = kept.namespaces.keys().filter(|namespace| **namespace != Namespace::default()).cloned();
        Ok(std::iter::once(Namespace::default()).chain(others).collect())
    }

    async fn get(&self, namespace: &Namespace) -> Result<Option<NamespaceMetadata>, NamespaceRefused> {
        Ok(self.0.kept.lock().unwrap().namespaces.get(namespace).cloned())
    }

    async fn create(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        if kept.namespaces.contains_key(namespace) {
            return Err(NamespaceRefused::Exists(namespace.clone()));
        }
        kept.namespaces.insert(namespace.clone(), metadata);
        Ok(())
    }

    async fn update(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        let found = kept.namespaces.get_mut(namespace).ok_or_else(|| NamespaceRefused::NotFound(namespace.clone()))?;
        *found = metadata;
        Ok(())
    }

    async fn delete(&self, namespace: &Namespace) -> Result<(), NamespaceRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        if *namespace == Namespace::default() {
            return Err(NamespaceRefused::Default(namespace.clone()));
        }
        let within = kept.functions.keys().filter(|id| id.namespace == *namespace);
        let mut functions: Vec<String> = within.map(|id| id.name.to_string()).collect();
        if !functions.is_empty() {
            functions.sort();
            return Err(NamespaceRefused::InUse { namespace: namespace.clone(), functions });
        }
        kept.namespaces.remove(namespace).ok_or_else(|| NamespaceRefused::NotFound(namespace.clone()))?;
        kept.secrets.retain(|(within, _), _| within != namespace);
        Ok(())
    }
}

#[async_trait]
impl Logs for MemoryEngine {
    async fn read(&self, query: LogQuery) -> Result<LogLines, LogsUnreadable> {
        let kept = self.0.kept.lock().unwrap();
        let Some(function) = kept.functions.get(&query.function) else { return Ok(stream::empty().boxed()) };
        let log = function.log.subscribe();
        let (tail, follow) = (query.tail, query.follow);
        let wanted = move |line: &LogLine| query.wants(&line.instance) && query.wants_from(line.time);
        let (mut first, seen): (Vec<LogLine>, usize) = {
            let log = log.borrow();
            (log.iter().filter(|line| wanted(line)).cloned().collect(), log.len())
        };
        let left_out = first.len().saturating_sub(tail.map_or(usize::MAX, |tail| usize::try_from(tail).unwrap()));
        first.drain(..left_out);
        let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
        if !follow {
            return Ok(first.boxed());
        }
        let rest = stream::unfold((log, seen, wanted), |(mut log, seen, wanted)| async move {
            log.changed().await.ok()?;
            let (lines, seen) = {
                let log = log.borrow_and_update();
                (log[seen..].iter().filter(|line| wanted(line)).cloned().collect::<Vec<_>>(), log.len())
            };
            Some((Ok(lines), (log, seen, wanted)))
        });
        let rest =
            rest.filter(|lines| std::future::ready(lines.as_ref().is_ok_and(|lines: &Vec<_>| !lines.is_empty())));
        Ok(first.chain(rest).boxed())
    }
}
