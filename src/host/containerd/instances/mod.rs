//! [`Runtime`] on containerd. What takes several steps runs to its end in a task of its own, one act at a time for each
//! instance, so that a caller who goes away leaves nothing half-done.
//!
//! ```text
//! prepare: snapshot -> user, volumes (rootfs) -> files (instance_dir, dns)
//! create:  hosts file -> runtime spec (oci) -> container -> task
//! remove:  task -> container -> snapshot -> cgroup -> remains of shim and runc -> files
//! ```

mod cgroup;
mod containers;
mod create;
pub mod dns;
mod exits;
mod first_process;
mod freezer;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod hidden;
mod instance_dir;
mod made_ahead;
mod name_servers;
mod oci;
mod own_shim;
mod prepare;
mod refusal;
mod remove;
mod reserved;
mod rootfs;
mod runtimes;
mod seccomp;
mod shards;
mod sockets;
mod tasks;
mod usage;
mod user;
mod volumes;
mod written;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;

use self::cgroup::Cgroups;
pub use self::cgroup::{first_processes, thaw_all};
pub use self::dns::Dns;
use self::first_process::FirstProcesses;
use self::freezer::Freezer;
use self::instance_dir::InstanceDirs;
pub use self::oci::OPEN_FILES;
pub use self::own_shim::BUILTIN_SOCKETS;
use self::prepare::PreparedInstances;
pub use self::runtimes::{BUILTIN_SHIM, Runtimes};
use self::shards::Shards;
use super::connection::Containerd;
use super::logs::FileLogs;
use crate::function::{Compat32Bit, Exit, GrantableCapabilities, InstanceId, SecretName};
use crate::host::detached::to_its_end;
use crate::host::keyed_lock::KeyedLock;
use crate::host::{Attachment, HostError, InstanceConfig, InstanceRecord, Runtime, Signal, Termination, Usage};

/// Where and how instances are made.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// containerd's snapshotter: `overlayfs`.
    pub snapshotter: String,
    /// Where containerd keeps what it keeps (`root` in its configuration).
    pub containerd_root: PathBuf,
    /// Where containerd keeps bundles (`state` in its configuration).
    pub containerd_state: PathBuf,
    /// The OCI runtimes that functions may have.
    pub runtimes: Runtimes,
    /// Where runc keeps its state; of our own, since its default is shared by the whole machine.
    pub runc_root: PathBuf,
    /// The control group above those of all instances, such as `/actord`.
    pub cgroup_parent: String,
    /// Each instance's own files, secrets among them: best on a file system in memory.
    pub instances_dir: PathBuf,
    /// Each instance's log.
    pub logs_dir: PathBuf,
    /// The most bytes that the logs of one function take, over all of its instances.
    pub log_max_size: u64,
    /// The name servers that functions ask.
    pub dns: Dns,
    /// The most processes and threads of an instance whose function does not say.
    pub pids_limit: u32,
    /// The most bytes of memory of an instance whose function does not say.
    pub memory_limit: Option<u64>,
    /// The most open files of each process of an instance, where the machine allows that many.
    pub open_files: u64,
    /// The capabilities that functions may ask for.
    pub capabilities: GrantableCapabilities,
    /// Whether functions may ask for the 32-bit way into the kernel.
    pub compat_32bit: Compat32Bit,
}

/// Instances as containerd's containers and tasks.
#[derive(Debug, Clone)]
pub struct ContainerdRuntime(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    containerd: Containerd,
    options: RuntimeOptions,
    cgroups: Cgroups,
    dirs: InstanceDirs,
    logs: FileLogs,
    first: FirstProcesses,
    shards: Shards,
    prepared: PreparedInstances,
    /// The paths of the kernel's file systems that no instance sees.
    masked: Vec<String>,
    /// One at a time of what makes and removes an instance: a removal waits for a creation whose caller went away.
    changing: KeyedLock<InstanceId>,
    /// One at a time of what freezes and thaws an instance: the last one that asked has its will.
    freezing: KeyedLock<InstanceId>,
}

impl ContainerdRuntime {
    /// A runtime on this containerd. Reads which control groups the machine has, and which logs there are; begins to watch
    /// those.
    ///
    /// # Errors
    /// [`HostError::Failed`] when that can't be read.
    pub fn new(containerd: Containerd, options: RuntimeOptions) -> Result<Self, HostError> {
        let cgroups = Cgroups::of_this_machine(&options.cgroup_parent)?;
        Self::with(containerd, options, cgroups)
    }

    /// The same on a machine that has both versions of control groups, as if the first one could not freeze.
    ///
    /// # Errors
    /// As for [`ContainerdRuntime::new`].
    #[cfg(any(test, feature = "testing"))]
    pub fn freezing_by_version_2(containerd: Containerd, options: RuntimeOptions) -> Result<Self, HostError> {
        let cgroups = Cgroups::of_this_machine(&options.cgroup_parent)?.freezing_by_version_2();
        Self::with(containerd, options, cgroups)
    }

    fn with(containerd: Containerd, options: RuntimeOptions, cgroups: Cgroups) -> Result<Self, HostError> {
        let dirs = InstanceDirs { instances: options.instances_dir.clone() };
        let at = options.logs_dir.clone();
        let logs = FileLogs::open(at, options.log_max_size)
            .map_err(|error| HostError::Failed(format!("open the logs in {}: {error}", options.logs_dir.display())))?;
        let (changing, freezing) = (KeyedLock::default(), KeyedLock::default());
        let (first, shards) = (FirstProcesses::default(), Shards::new(options.runtimes.shards));
        let prepared = PreparedInstances::default();
        Ok(Self(Arc::new(Inner {
            containerd,
            options,
            cgroups,
            dirs,
            logs,
            first,
            shards,
            prepared,
            masked: hidden::masked(Path::new(hidden::PROCESSORS)),
            changing,
            freezing,
        })))
    }

    /// What the instances write.
    #[must_use]
    pub fn logs(&self) -> FileLogs {
        self.0.logs.clone()
    }

    /// Removes what all instances share, once there is none left: the parent control group, runc's directory, and those of
    /// our own shims, which end now.
    pub async fn remove_shared(&self) {
        self.0.cgroups.remove_parent();
        own_shim::all_gone(&self.0.containerd).await;
        for directory in [self.0.options.runc_root.join(&self.0.containerd.namespace), self.0.options.runc_root.clone()]
        {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// Runs `work` where it may block. An error of it is one of `what`.
async fn blocking<T: Send + 'static>(
    what: String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, HostError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(HostError::Failed(format!("{what}: {error}"))),
        Err(error) => Err(HostError::Failed(format!("{what}: {error}"))),
    }
}

impl Inner {
    /// Runs `work` where it may block. An error of it is one of `what`.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        what: String,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, HostError> {
        let inner = Arc::clone(self);
        blocking(what, move || work(&inner)).await
    }

    fn freezer(&self, id: &InstanceId) -> Result<Freezer, HostError> {
        let none =
            || HostError::Failed(format!("{id} can't be frozen: this machine has no control groups that freeze"));
        self.cgroups.freezer(id).ok_or_else(none)
    }

    /// Lets an instance go on. From its turn on nothing is waited for, so no caller leaves that half done. Where nothing can
    /// be frozen, nothing is.
    async fn thaw(&self, id: &InstanceId) -> Result<(), HostError> {
        let Some(freezer) = self.cgroups.freezer(id) else { return Ok(()) };
        let _turn = self.freezing.lock(id.clone()).await;
        freezer::thaw(id, &freezer)
    }

    /// Thaws an instance that has to end: what is frozen takes no signal. What ends it comes next, and may do so all the
    /// same where this fails.
    async fn thaw_to_end(&self, id: &InstanceId) {
        match self.thaw(id).await {
            Ok(()) | Err(HostError::NotFound(_)) => {}
            Err(error) => tracing::warn!(%id, %error, "an instance that has to end may be frozen"),
        }
    }

    async fn list(self: &Arc<Self>) -> Result<Vec<InstanceRecord>, HostError> {
        let mut found: BTreeMap<InstanceId, InstanceRecord> = BTreeMap::new();
        let list = |inner: &Self| Ok([inner.dirs.list()?, inner.logs.list()?].concat());
        let files = self.blocking("list the instances' files".to_owned(), list).await?;
        let snapshots = containers::list_snapshots(&self.containerd, &self.options.snapshotter).await?;
        for id in files.into_iter().chain(snapshots) {
            found.insert(id.clone(), InstanceRecord { id, of: None, running: false });
        }
        let running = tasks::running(&self.containerd).await?;
        for (id, labels) in containers::list_containers(&self.containerd).await? {
            let (running, of) = (running.contains(id.as_str()), containers::of(&labels));
            if let Some((function, _)) = &of {
                self.logs.adopt(&id, function);
                if let Some(shard) = containers::shard(&labels) {
                    self.shards.adopt(&id, function, shard);
                }
            }
            found.insert(id.clone(), InstanceRecord { id, of, running });
        }
        Ok(found.into_values().collect())
    }
}

impl ContainerdRuntime {
    /// Changes an instance, to the end, while nothing else does.
    async fn change<F>(&self, id: &InstanceId, act: impl FnOnce(Arc<Inner>, InstanceId) -> F) -> Result<(), HostError>
    where
        F: Future<Output = Result<(), HostError>> + Send + 'static,
    {
        self.alone(&self.0.changing, id, act).await
    }

    /// Runs `act` on an instance, to its end, while this lock is held.
    async fn alone<F>(
        &self,
        lock: &KeyedLock<InstanceId>,
        id: &InstanceId,
        act: impl FnOnce(Arc<Inner>, InstanceId) -> F,
    ) -> Result<(), HostError>
    where
        F: Future<Output = Result<(), HostError>> + Send + 'static,
    {
        let locked = lock.lock(id.clone()).await;
        let act = act(Arc::clone(&self.0), id.clone());
        to_its_end("a call to containerd", async move {
            let _locked = locked;
            act.await
        })
        .await
    }
}

#[async_trait]
impl Runtime for ContainerdRuntime {
    async fn prepare(&self, config: &InstanceConfig) -> Result<(), HostError> {
        let config = config.clone();
        self.change(&config.id.clone(), |inner, _| async move { inner.prepare(config).await }).await
    }

    async fn create(&self, id: &InstanceId, at: &Attachment) -> Result<(), HostError> {
        let at = at.clone();
        self.change(id, |inner, id| async move { inner.create(&id, &at).await }).await
    }

    async fn start(&self, id: &InstanceId) -> Result<(), HostError> {
        self.change(id, |inner, id| async move {
            tasks::start(&inner.containerd, &id).await.map_err(|error| match error {
                // Killed between its creation and its start, of which the message says nothing.
                HostError::Failed(_) if inner.cgroups.ran_out_of_memory(&id) => refusal::too_little_memory(),
                other => other,
            })
        })
        .await
    }

    async fn wait(&self, id: &InstanceId) -> Result<Exit, HostError> {
        self.0.how_it_ends(id).await
    }

    async fn termination(&self, id: &InstanceId) -> Result<Termination, HostError> {
        containers::termination(&self.0.containerd, id).await
    }

    async fn kill(&self, id: &InstanceId, signal: Signal) -> Result<(), HostError> {
        self.0.thaw_to_end(id).await;
        tasks::kill(&self.0.containerd, id, signal).await
    }

    async fn freeze(&self, id: &InstanceId) -> Result<(), HostError> {
        let freezer = self.0.freezer(id)?;
        // Dropped with this future.
        let (_waits, caller_left) = oneshot::channel();
        self.alone(&self.0.freezing, id, |_, id| async move { freezer::freeze(&id, &freezer, caller_left).await }).await
    }

    async fn thaw(&self, id: &InstanceId) -> Result<(), HostError> {
        self.0.thaw(id).await
    }

    async fn update_secrets(&self, id: &InstanceId, secrets: &BTreeMap<SecretName, Vec<u8>>) -> Result<(), HostError> {
        let secrets = secrets.clone();
        self.change(id, |inner, id| async move {
            let one = id.clone();
            let update = move |inner: &Inner| match inner.dirs.update_secrets(&one, &secrets) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                updated => updated.map(|()| true),
            };
            match inner.blocking(format!("update the secrets of {id}"), update).await? {
                true => Ok(()),
                false => Err(HostError::NotFound(format!("instance {id} with these secrets"))),
            }
        })
        .await
    }

    async fn remove(&self, id: &InstanceId) -> Result<(), HostError> {
        self.change(id, |inner, id| async move { inner.remove(&id).await }).await
    }

    async fn list(&self) -> Result<Vec<InstanceRecord>, HostError> {
        self.0.list().await
    }

    async fn usage(&self, id: &InstanceId) -> Result<Usage, HostError> {
        let whose = id.clone();
        let read = move |inner: &Inner| inner.cgroups.usage(&whose);
        let usage = self.0.blocking(format!("read the usage of {id}"), read).await?;
        usage.ok_or_else(|| HostError::NotFound(format!("process of {id}")))
    }

    async fn written(&self, id: &InstanceId, most: u64) -> Result<u64, HostError> {
        self.0.written(id, most).await
    }

    async fn listening(&self, id: &InstanceId) -> Result<Option<Vec<SocketAddr>>, HostError> {
        if !containers::uses_kernel_network(&self.0.containerd, id).await? {
            return Ok(None);
        }
        let none = || HostError::NotFound(format!("process of {id}"));
        let pid = tasks::process(&self.0.containerd, id).await?.ok_or_else(none)?;
        let read = move |_: &Inner| sockets::listening(pid);
        let found = self.0.blocking(format!("read the socket table of {id}"), read).await?;
        found.map(Some).ok_or_else(none)
    }

    async fn log_tail(&self, id: &InstanceId, bytes: usize) -> Result<String, HostError> {
        let log = id.clone();
        let read = move |inner: &Inner| match inner.logs.tail(&log, bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        };
        let text = self.0.blocking(format!("read the log of {id}"), read).await?;
        text.ok_or_else(|| HostError::NotFound(format!("log of instance {id}")))
    }
}
