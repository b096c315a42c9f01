//! The upper seam: what a front door asks of whatever runs functions, as small object-safe traits.
//!
//! ```text
//! http (later: queue, cron, scaler, dashboard) --> Engine, Secrets, Namespaces, Logs --> the actors of one machine
//! ```
//! A door sees these traits and [`routes`](crate::routes), and nothing below them: no actor, no table of a store, no
//! container. The engine of one machine is [`LocalEngine`](crate::actors::LocalEngine). Any engine passes the suite in
//! `tests/engine_contract`: what was accepted is durable, a name has one winner, an update keeps the old version until
//! the new one answers, a deletion frees the name at once.
//!
//! No call waits for ever, and none is tied to its caller: a door that drops the future cancels nothing that has begun.

mod changes;
mod instances;
mod log_lines;
mod namespace;
mod refused;
mod view;

use std::time::Duration;

use async_trait::async_trait;

pub use changes::{Change, ChangeLog, Changed, Changes, Missed};
pub use instances::InstanceView;
pub use log_lines::{LogLine, LogLines, LogQuery, LogsRefused, LogsUnreadable};
pub use namespace::{NamespaceRefused, SecretRefused};
pub use refused::Refused;
pub use view::{Mode, PullProgress, Used, View};

use crate::function::{FunctionId, Generation, Namespace, NamespaceMetadata, SecretName, Shedding, Spec, Tier};

/// Runs functions.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Deploys or updates a function. Returns when an instance is ready, when the deployment failed, or after the
    /// engine's own wait, whichever is first; what was asked is durable by then. An update keeps the old version serving
    /// until the new one answers.
    ///
    /// # Errors
    /// [`Refused`]; of a refused creation nothing is kept, and after a refused update what was asked for before it is
    /// asked for again, with the scales that came meanwhile: `refused` of its [`Desired`](crate::function::Desired) tells
    /// of it.
    async fn apply(&self, id: FunctionId, spec: Spec, mode: Mode) -> Result<(), Refused>;

    /// Brings back what a function was in generation `to`, as an update: under a new number, answered as [`Engine::apply`]
    /// is, and refused and undone as an update is. Without `to` it is the newest generation that served before the one that
    /// is asked for: so an update that failed, or has not served yet, is rolled back to what serves instead. How many
    /// instances are asked for stays, and so does whether it is kept down.
    ///
    /// # Errors
    /// [`Refused::NotKept`] if there is no such generation in [`Desired::kept`](crate::function::Desired::kept), when its
    /// turn comes; [`Refused::NoSecret`] for a secret that it named and that was deleted since; as for [`Engine::apply`].
    async fn rollback(&self, id: &FunctionId, to: Option<Generation>) -> Result<(), Refused>;

    /// Deletes a function. Returns when that is durable and no new request reaches it; its name is free then.
    ///
    /// # Errors
    /// [`Refused::NotFound`], or a reason why it could not be made durable.
    async fn delete(&self, id: &FunctionId) -> Result<(), Refused>;

    /// Asks for another number of replicas. Returns when that is durable.
    ///
    /// # Errors
    /// As for [`Engine::delete`].
    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), Refused>;

    /// Keeps a function down, whatever is asked for or called, or no longer. Returns when that is durable; nothing that a
    /// request is under way to is cut short. What is deployed or scaled meanwhile is kept for later. Doing it twice is
    /// doing it once.
    ///
    /// # Errors
    /// As for [`Engine::delete`].
    async fn keep_down(&self, id: &FunctionId, down: bool) -> Result<(), Refused>;

    /// Lets `wanted` instances run in place of the number that was asked for, for this reason, which the function's status
    /// carries. What was asked for stays as it is, and a later [`Engine::scale`] takes the place of this. It wakes nothing:
    /// of a function that is idle, kept down or asked to have none it changes nothing, and no more does `wanted` 0. Returns
    /// when the engine knows of it; it is made durable behind that, and lost at most by a crash right then.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Busy`].
    async fn adjust(&self, id: &FunctionId, wanted: u32, reason: String) -> Result<(), Refused>;

    /// Lets a function that nothing calls go down to a tier; [`Tier::Ready`] ends its idleness. What can't go down just now
    /// (a request is under way, it is not ready, the version was never proven) stays as it is, and it is asked again later.
    /// A call brings it back, and so does [`Engine::scale`] to 1 or more and [`Engine::apply`]. Returns when the engine knows
    /// of it; that a function is idle is made durable behind that, and losing it costs one start.
    ///
    /// # Errors
    /// As for [`Engine::adjust`].
    async fn rest(&self, id: &FunctionId, tier: Tier) -> Result<(), Refused>;

    /// One function as it stands; none once its deletion was accepted.
    ///
    /// # Errors
    /// [`Refused::Busy`] when the engine can't be asked.
    async fn get(&self, id: &FunctionId) -> Result<Option<View>, Refused>;

    /// All functions of a namespace, by name.
    ///
    /// # Errors
    /// As for [`Engine::get`].
    async fn list(&self, namespace: &Namespace) -> Result<Vec<View>, Refused>;

    /// What functions use: one, or all. A function of which nothing runs is left out, and so is one that can't be read.
    async fn measure(&self, only: Option<&FunctionId>) -> Vec<(FunctionId, Used)>;

    /// The cpu time that a function used, as [`Used::cpu_total`]; none where nothing of it runs, or it can't be read. For
    /// those that look often: it begins no new average for those that [`measure`](Engine::measure).
    async fn cpu_time(&self, id: &FunctionId) -> Option<Duration>;

    /// What these functions use; one of which nothing runs, or that can't be read soon, is left out. For those that look often:
    /// as [`cpu_time`](Engine::cpu_time) it begins no new average, so [`Used::cpu_millis`] says nothing new.
    async fn sample(&self, ids: &[FunctionId]) -> Vec<(FunctionId, Used)> {
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.measure(Some(id)).await);
        }
        found
    }

    /// The instances of a function, those that come and go included; none where there is none, or the engine can't tell.
    fn instances(&self, _id: &FunctionId) -> Vec<InstanceView> {
        Vec::new()
    }

    /// What is wrong just now with what it needs, one line each: while there is any, new work may be refused. It is what is
    /// known already; nothing is looked at for it.
    fn faults(&self) -> Vec<String> {
        Vec::new()
    }

    /// What it sheds just now because memory is short: doors shed theirs by it, in the same order.
    fn shedding(&self) -> Shedding {
        Shedding::Nothing
    }

    /// What becomes of functions from now on, or after the change with this number.
    fn watch(&self, after: Option<u64>) -> Changes;
}

/// Keeps the secrets of functions. Names go out, values only come in.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The names of a namespace's secrets, sorted.
    ///
    /// # Errors
    /// [`SecretRefused::NoNamespace`], [`SecretRefused::Failed`].
    async fn list(&self, namespace: &Namespace) -> Result<Vec<SecretName>, SecretRefused>;

    /// Makes a secret that is not there yet; it is durable when this returns.
    ///
    /// # Errors
    /// [`SecretRefused`].
    async fn create(&self, namespace: &Namespace, name: SecretName, value: Vec<u8>) -> Result<(), SecretRefused>;

    /// Replaces a secret that is there; it is durable when this returns. Instances that have it get the new value.
    ///
    /// # Errors
    /// [`SecretRefused`].
    async fn update(&self, namespace: &Namespace, name: SecretName, value: Vec<u8>) -> Result<(), SecretRefused>;

    /// Deletes a secret that is there. One that a function names, in what is desired of it or in the spec that it falls back
    /// to, is deleted only by `force`: then the function's next start fails, and instances that have it keep it for as long
    /// as they run. Of a deletion and a deploy that meet, exactly one is refused.
    ///
    /// # Errors
    /// [`SecretRefused`].
    async fn delete(&self, namespace: &Namespace, name: SecretName, force: bool) -> Result<(), SecretRefused>;
}

/// Keeps the namespaces that functions live in. The default one is always there.
#[async_trait]
pub trait Namespaces: Send + Sync {
    /// All of them, the default one first and the others by name.
    ///
    /// # Errors
    /// [`NamespaceRefused::Failed`] when the engine can't be asked.
    async fn list(&self) -> Result<Vec<Namespace>, NamespaceRefused>;

    /// The labels and annotations of one; none if it is not there.
    ///
    /// # Errors
    /// As for [`Namespaces::list`].
    async fn get(&self, namespace: &Namespace) -> Result<Option<NamespaceMetadata>, NamespaceRefused>;

    /// Makes one, with no secret in it.
    ///
    /// # Errors
    /// [`NamespaceRefused`].
    async fn create(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceRefused>;

    /// Replaces the labels and annotations of one.
    ///
    /// # Errors
    /// [`NamespaceRefused`].
    async fn update(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceRefused>;

    /// Deletes one that no function lives in, and its secrets.
    ///
    /// # Errors
    /// [`NamespaceRefused`].
    async fn delete(&self, namespace: &Namespace) -> Result<(), NamespaceRefused>;
}

/// Tells what functions wrote.
#[async_trait]
pub trait Logs: Send + Sync {
    /// The lines that are asked for, in the order of their times over all instances. They are of the function that is
    /// deployed now: what one of the same name wrote that was deleted before is told no more, and a reader that follows
    /// gets the last words of its function, also when the name is another's by then, and nothing of that. The reading is
    /// pulled: nothing is read ahead of a slow reader, and dropping it ends it.
    ///
    /// # Errors
    /// [`LogsRefused::NotFound`]; [`LogsRefused::Unreadable`] when what is there already can't be read; the same may come
    /// up later in the lines.
    async fn read(&self, query: LogQuery) -> Result<LogLines, LogsRefused>;
}
