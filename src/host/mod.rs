//! The seam: what actord asks of the machine, as small traits.
//!
//! Above it everything runs on `fake` in simulated time; below it [`containerd`] and [`cni`] are thin. The same contract
//! test (`tests/host_contract`) runs on both. Every call is idempotent where its doc says so, and every caller puts a
//! deadline on it (rule 8: nothing waits for ever).

pub mod cni;
pub mod containerd;
mod detached;
mod disks;
mod environment;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
mod full;
mod id_mapping;
mod keyed_lock;
mod logs;
mod memory;
mod probe;
mod service;
mod signal;
mod termination;
mod warm;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oci_spec::image::ImageConfiguration;

pub use crate::function::PullPolicy;
pub use disks::{Directory, Disks, LocalDisks};
pub use environment::effective_environment;
pub use id_mapping::IdMapping;
pub use logs::{Log, LogChunk, LogSet, LogTime, Logs};
pub use memory::{LocalMemory, MemoryGauge};
pub use probe::HttpProbe;
pub use service::HostService;
pub use signal::Signal;
pub use termination::{Termination, stop_signal};
pub use warm::WarmId;

use crate::function::{Answer, Exit, FunctionId, Generation, InstanceId, Outbound, SecretName, Spec, StartError};

/// Why the host did not do what it was asked. Messages name the object and, where there is one, the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The image can't be had: the caller mends the reference, the credentials or the registry.
    #[error("{0}")]
    Image(String),
    /// The spec can't be run as it is: the caller mends it.
    #[error("{0}")]
    Spec(String),
    /// The object that was named is not there.
    #[error("{0} not found")]
    NotFound(String),
    /// The host failed; it may heal.
    #[error("{0}")]
    Failed(String),
    /// The host (or what stands for it, such as containerd) could not be reached at all.
    #[error("{0}")]
    Unavailable(String),
    /// No answer came in time.
    #[error("{0}: no answer in time")]
    Deadline(String),
    /// A disk has no room for it, as this says with the disk's name: the operator frees some.
    #[error("{0}")]
    Full(String),
}

impl From<HostError> for StartError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Image(reason) => Self::Image(reason),
            HostError::Spec(reason) => Self::Spec(reason),
            HostError::Full(reason) => Self::NoRoom(reason),
            other => match full::advice(&other.to_string()) {
                Some(reason) => Self::NoRoom(reason),
                None => Self::Host(other.to_string()),
            },
        }
    }
}

/// An image that is complete on this machine, unpacked and ready to be run, with all that an instance of it needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The reference, normalised: `docker.io/library/nginx:latest`.
    pub reference: String,
    /// The digest of its platform's manifest: what `reference` meant when it was looked up.
    pub digest: String,
    /// The snapshot of its topmost layer: the parent of an instance's own snapshot.
    pub chain_id: String,
    /// In its place, the copy that instances in user namespaces begin from, where they are to have some.
    pub mapped: Option<MappedCopy>,
    /// Its config: entrypoint, environment, user ...
    pub config: Arc<ImageConfiguration>,
}

/// The copy of an image's files for user namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedCopy {
    /// Its snapshot.
    pub snapshot: String,
    /// How users and groups are mapped in it.
    pub ids: IdMapping,
}

/// An image on this machine that came from a registry, and can come from there again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// Its reference, normalised.
    pub name: String,
    /// Whether it is among those that were said to be needed.
    pub needed: bool,
    /// For how long it was not needed, as that was noted last; none: it was needed, or nothing was noted yet.
    pub unneeded: Option<Duration>,
}

/// How far the pull of an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of its layers that are on this machine.
    pub pulled: u64,
    /// Bytes that its layers have, once the registry has told.
    pub total: Option<u64>,
    /// How long the registry asks to wait, while it is waited for.
    pub wait: Option<Duration>,
}

/// Images: from a registry or an archive into the machine.
#[async_trait]
pub trait Images: Send + Sync {
    /// Makes an image complete on this machine. Idempotent. Takes as long as a pull takes: the caller bounds it.
    ///
    /// # Errors
    /// [`HostError::Image`] names the registry, the reference and why.
    async fn ensure(&self, reference: &str, policy: PullPolicy) -> Result<Image, HostError>;

    /// How far the pull of an image is; None when it is not being pulled. Cheap: nothing is asked of the host.
    fn progress(&self, reference: &str) -> Option<Progress>;

    /// Loads all images of an OCI or docker archive (a `.tar`, plain or gzipped) and returns their references.
    ///
    /// # Errors
    /// [`HostError::Image`] names the file and what is wrong with it.
    async fn import(&self, archive: &Path) -> Result<Vec<String>, HostError>;

    /// The images that this installation pulled; `needed` are references. What was imported, or is another's, is not among
    /// them.
    ///
    /// # Errors
    /// As the host says.
    async fn pulled(&self, needed: &BTreeSet<String>) -> Result<Vec<PulledImage>, HostError>;

    /// Notes for how long no function needs a pulled image; none: one does. [`ensure`](Images::ensure) takes the note away.
    /// Where the image is not any more as `known` says, nothing is done: it was taken meanwhile. Says whether it was done.
    ///
    /// # Errors
    /// As the host says.
    async fn note_unneeded(&self, known: &PulledImage, unneeded: Option<Duration>) -> Result<bool, HostError>;

    /// Removes a pulled image, and what no other needs of it, as [`note_unneeded`](Images::note_unneeded) notes: unless it
    /// was taken meanwhile. What runs of it goes on. Where `wait` is set, its room is free when this returns.
    ///
    /// # Errors
    /// As the host says.
    async fn remove(&self, known: &PulledImage, wait: bool) -> Result<bool, HostError>;
}

/// An instance's place on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The instance's own address.
    pub address: IpAddr,
    /// The path of its network namespace.
    pub netns: PathBuf,
}

/// Networks: one network namespace and address per instance.
#[async_trait]
pub trait Network: Send + Sync {
    /// Makes the instance's network namespace and attaches it. On error nothing is left, or `detach` removes it.
    ///
    /// # Errors
    /// [`HostError::Failed`] with the plugin's own words.
    async fn attach(&self, id: &InstanceId) -> Result<Attachment, HostError>;

    /// Lets an attached instance send to these places alone, beside what this machine offers it. Before its task is made.
    /// Idempotent.
    ///
    /// # Errors
    /// [`HostError::Spec`] where this machine's network can't tell them apart; `NotFound` when it is not attached.
    async fn restrict(&self, id: &InstanceId, outbound: &Outbound) -> Result<(), HostError>;

    /// Where an attached instance is; `NotFound` when it is not attached. Used to adopt what runs.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when there is no such attachment or its namespace is gone.
    async fn lookup(&self, id: &InstanceId) -> Result<Attachment, HostError>;

    /// Removes all there is of an instance's network: address, links, rules, namespace, cached results. Idempotent:
    /// "already gone" is done.
    ///
    /// # Errors
    /// [`HostError::Failed`] with everything that could not be removed.
    async fn detach(&self, id: &InstanceId) -> Result<(), HostError>;

    /// What is wrong with what all instances share, so that none of them can be reached just now; known, not looked for.
    fn fault(&self) -> Option<String>;

    /// Every instance of which this network holds anything, complete or half-made.
    ///
    /// # Errors
    /// [`HostError::Failed`] when the state can't be read.
    async fn list(&self) -> Result<Vec<InstanceId>, HostError>;

    /// Makes an attachment that is no instance's yet: all that [`Network::attach`] does, ahead of time. On error nothing is
    /// left, or `discard` removes it.
    ///
    /// # Errors
    /// As [`Network::attach`].
    async fn warm(&self, warm: &WarmId) -> Result<(), HostError>;

    /// Gives an instance a warm attachment, in one step: it is the one's or the other's, whenever this process ends. Cheap,
    /// as no plugin runs; whether it is still whole is looked for all the same. From then on it is in every way as if the
    /// instance had been attached.
    ///
    /// # Errors
    /// [`HostError::NotFound`] where it is not there or can't be used any more: `discard` it, and take another.
    async fn claim(&self, warm: &WarmId, id: &InstanceId) -> Result<Attachment, HostError>;

    /// Removes all there is of a warm attachment. Idempotent; one that was claimed is the instance's, and stays.
    ///
    /// # Errors
    /// As [`Network::detach`].
    async fn discard(&self, warm: &WarmId) -> Result<(), HostError>;

    /// Every warm attachment of which this network holds anything, complete or half-made, and whether it can be claimed.
    /// Those that were claimed are not among them.
    ///
    /// # Errors
    /// As [`Network::list`].
    async fn list_warm(&self) -> Result<Vec<(WarmId, bool)>, HostError>;
}

/// All that is needed to make an instance, but its network.
#[derive(Debug, Clone)]
pub struct InstanceConfig {
    /// Its id: container id, snapshot key, cgroup and log name.
    pub id: InstanceId,
    /// The function it is an instance of.
    pub function: FunctionId,
    /// The generation it is an instance of.
    pub generation: Generation,
    /// The spec of that generation.
    pub spec: Arc<Spec>,
    /// What [`Images::ensure`] returned.
    pub image: Image,
    /// The secrets that the spec names, with their values.
    pub secrets: BTreeMap<SecretName, Vec<u8>>,
}

/// An instance, or what is left of one, that the runtime knows and that carries our owner label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRecord {
    /// Which one.
    pub id: InstanceId,
    /// Whose it is; unknown for remains without a container record (a lone snapshot, directory or log).
    pub of: Option<(FunctionId, Generation)>,
    /// Whether its process runs.
    pub running: bool,
}

/// What an instance has used of the machine, all of its processes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Cpu time since it was started.
    pub cpu: Duration,
    /// Memory in bytes that can't easily be taken back from it: its working set.
    pub memory_bytes: u64,
    /// How long ago it was started.
    pub age: Duration,
}

/// Containers and their processes.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Makes what an instance needs that does not depend on its network, so that it can be done beside [`Network::attach`]:
    /// its root file system and files. On error `remove` removes what was made.
    ///
    /// # Errors
    /// [`HostError::Spec`] where the spec or image can't be run, else [`HostError::Failed`].
    async fn prepare(&self, config: &InstanceConfig) -> Result<(), HostError>;

    /// Makes the container of an instance that was prepared and its task, in the network that [`Network::attach`] gave it,
    /// with the process not started yet. On error `remove` removes what was made.
    ///
    /// # Errors
    /// As for [`Runtime::prepare`].
    async fn create(&self, id: &InstanceId, at: &Attachment) -> Result<(), HostError>;

    /// Starts the process of a created instance.
    ///
    /// # Errors
    /// As for [`Runtime::create`].
    async fn start(&self, id: &InstanceId) -> Result<(), HostError>;

    /// Waits until the instance's process has ended, without a deadline. Survives a restart of containerd.
    /// [`Exit::Vanished`] when there is no such task.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] when containerd can't be reached; the caller asks again.
    async fn wait(&self, id: &InstanceId) -> Result<Exit, HostError>;

    /// How an instance wants to be ended, as its image and its spec said when it was created. It is kept with the instance:
    /// an instance that an earlier run of actord made is told of alike.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when there is no container of it; else [`HostError::Failed`].
    async fn termination(&self, id: &InstanceId) -> Result<Termination, HostError>;

    /// Sends a signal to the instance's first process (SIGKILL: to all of them). Idempotent: no process is success.
    ///
    /// # Errors
    /// [`HostError::Failed`].
    async fn kill(&self, id: &InstanceId, signal: Signal) -> Result<(), HostError>;

    /// Gives an instance that was created other values of secrets that it has, each in one step: its process reads all
    /// of the old value or all of the new one. Those that are not named stay as they are. Idempotent.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when there is no such instance, or it has no such secret; else [`HostError::Failed`].
    async fn update_secrets(&self, id: &InstanceId, secrets: &BTreeMap<SecretName, Vec<u8>>) -> Result<(), HostError>;

    /// Removes all there is of an instance: task (killed if it runs), container, snapshot, cgroup, bundle, runtime
    /// state and directory. Its log is ended, see [`Logs`]. Idempotent, and goes on after an error so that one fault leaves little behind.
    ///
    /// # Errors
    /// [`HostError::Failed`] with everything that could not be removed.
    async fn remove(&self, id: &InstanceId) -> Result<(), HostError>;

    /// Every instance that carries our owner label, complete or not.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] or [`HostError::Failed`].
    async fn list(&self) -> Result<Vec<InstanceRecord>, HostError>;

    /// Stops all processes of an instance that runs, until [`Runtime::thaw`]: they use no cpu and answer nothing, but keep
    /// their memory and their connections. What only reads or changes files ([`Runtime::list`], where it still runs,
    /// [`Runtime::usage`], [`Runtime::listening`], [`Runtime::update_secrets`] ...) goes on working; [`Runtime::kill`] and
    /// [`Runtime::remove`] thaw it first. Idempotent. On an error it is not frozen, not even in part, unless the error says
    /// that it could not be thawed either. A caller that goes away before the answer can't know: it thaws.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when no process of it runs, else [`HostError::Failed`].
    async fn freeze(&self, id: &InstanceId) -> Result<(), HostError>;

    /// Lets the processes of a frozen instance go on. Idempotent: one that is not frozen is success.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when no process of it runs, else [`HostError::Failed`].
    async fn thaw(&self, id: &InstanceId) -> Result<(), HostError>;

    /// What an instance that runs has used so far.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when no process of it runs, else [`HostError::Failed`].
    async fn usage(&self, id: &InstanceId) -> Result<Usage, HostError>;

    /// Bytes of the machine's disk that what an instance wrote takes, with what its processes hold open and has no name any
    /// more; an empty file counts as a block. Counting ends as soon as it is more than `most`, and takes its time, so that it
    /// leaves the disk to others. 0 where the snapshotter keeps that nowhere by itself.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when there is no such instance, else [`HostError::Failed`].
    async fn written(&self, id: &InstanceId, most: u64) -> Result<u64, HostError>;

    /// The TCP addresses that the processes of an instance listen on, in its own network namespace; sorted, each once.
    /// Nothing is sent to it. None where its runtime has a network stack of its own, of which the kernel knows nothing.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when no process of it runs, else [`HostError::Failed`].
    async fn listening(&self, id: &InstanceId) -> Result<Option<Vec<SocketAddr>>, HostError>;

    /// The last lines that an instance wrote, at most `bytes` of them: the hint in the message about an early exit.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when there is no log.
    async fn log_tail(&self, id: &InstanceId, bytes: usize) -> Result<String, HostError>;
}

/// What to ask an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Where it should listen.
    pub address: SocketAddr,
    /// The path to ask for.
    pub path: String,
    /// The longest that the question may take, connect included.
    pub timeout: Duration,
}

/// Asks instances, from outside as their callers do. What the answer means is the caller's to say.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Asks once over HTTP, for as long as the check says, and follows no redirect.
    ///
    /// # Errors
    /// Why there is no answer, for a person: no connection, or nothing came in time.
    async fn ask(&self, check: &Check) -> Result<Answer, String>;
}

/// The machine, as the actors see it.
#[derive(Clone)]
pub struct Host {
    /// Images.
    pub images: Arc<dyn Images>,
    /// Networks.
    pub network: Arc<dyn Network>,
    /// Containers.
    pub runtime: Arc<dyn Runtime>,
    /// Readiness.
    pub probe: Arc<dyn Probe>,
    /// What instances wrote.
    pub logs: Arc<dyn Logs>,
    /// What all of it lies on.
    pub disks: Arc<dyn Disks>,
    /// What all of it lives in.
    pub memory: Arc<dyn MemoryGauge>,
}
