//! What of an instance can be made before its network is known: snapshot -> user and volumes -> files. What fails half-way is
//! `remove`d. All that there is to know of the image is in [`Image`]: nothing is read again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use containerd_client::services::v1::container::Runtime;
use containerd_client::types::Mount;

use super::user::{Identity, UserText};
use super::volumes::{self, Volume};
use super::{Inner, containers, rootfs, runtimes};
use crate::function::{Capability, InstanceId, Invalid};
use crate::host::{HostError, IdMapping, Image, InstanceConfig};

/// An instance that has all but its network, its container and its task.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) config: InstanceConfig,
    pub(super) runtime: Runtime,
    /// The shard that its shim is of, where it is one of ours.
    pub(super) shard: Option<usize>,
    /// The labels of the container to be.
    pub(super) labels: HashMap<String, String>,
    /// How its root file system is mounted.
    pub(super) mounts: Vec<Mount>,
    /// How its users and groups are mapped, where it has a user namespace.
    pub(super) ids: Option<IdMapping>,
    pub(super) identity: Identity,
    pub(super) volumes: Vec<Volume>,
    pub(super) capabilities: BTreeSet<Capability>,
}

/// Those whose creation, or removal, has not come yet.
#[derive(Debug, Default)]
pub(super) struct PreparedInstances(Mutex<HashMap<InstanceId, Prepared>>);

impl PreparedInstances {
    fn keep(&self, prepared: Prepared) {
        self.map().insert(prepared.config.id.clone(), prepared);
    }

    pub(super) fn take(&self, id: &InstanceId) -> Option<Prepared> {
        self.map().remove(id)
    }

    fn map(&self) -> MutexGuard<'_, HashMap<InstanceId, Prepared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Makes an instance's root file system and files.
    pub(super) async fn prepare(self: &Arc<Self>, config: InstanceConfig) -> Result<(), HostError> {
        let (containerd, snapshotter) = (&self.containerd, &self.options.snapshotter);
        let InstanceConfig { id, image, .. } = &config;
        let runtime = self.options.runtimes.of(&config.spec, &self.options.runc_root.to_string_lossy())?;
        let capabilities = self.options.capabilities.of(&config.spec).map_err(|Invalid(why)| HostError::Spec(why))?;
        self.options.compat_32bit.of(&config.spec).map_err(|Invalid(why)| HostError::Spec(why))?;
        let shard = runtimes::is_builtin(&runtime).then(|| self.shards.choose(id, &config.function));
        let labels = containers::labels(&containerd.owner, &config, shard)?;
        // A sandbox has a kernel of its own, and users of that.
        let copy = image.mapped.as_ref().filter(|_| runtimes::uses_kernel_network(&runtime));
        let (parent, ids) = copy.map_or((&image.chain_id, None), |copy| (&copy.snapshot, Some(copy.ids)));
        let mounts = containers::prepare_snapshot(containerd, snapshotter, id, parent).await?;
        let (identity, volumes) = self.prepare_root(id, image, &mounts, ids).await?;
        self.write_files(&config, &identity.on_the_machine(ids)?).await?;
        self.prepared.keep(Prepared { config, runtime, shard, labels, mounts, ids, identity, volumes, capabilities });
        Ok(())
    }

    /// Who the image's process runs as, and its volumes; its root file system is looked into only where its config does
    /// not say, or declares volumes.
    async fn prepare_root(
        self: &Arc<Self>,
        id: &InstanceId,
        image: &Image,
        mounts: &[Mount],
        ids: Option<IdMapping>,
    ) -> Result<(Identity, Vec<Volume>), HostError> {
        let user = image.config.config().as_ref().and_then(|config| config.user().clone());
        let paths = volumes::declared(&image.config)?;
        if let Some(identity) = UserText::new(user.as_deref()).by_number().filter(|_| paths.is_empty()) {
            return Ok((identity, Vec::new()));
        }
        let (at, mounts) = (self.dirs.rootfs(id), mounts.to_vec());
        let prepare = move |_: &Self| rootfs::prepare(&mounts, &at, UserText::new(user.as_deref()), &paths, ids);
        self.blocking(format!("prepare the root file system of {id}"), prepare).await?
    }

    /// `owner`: whose its secrets are, as this machine has it.
    async fn write_files(self: &Arc<Self>, config: &InstanceConfig, owner: &Identity) -> Result<(), HostError> {
        let (config, owner) = (config.clone(), owner.clone());
        let resolv_conf = self.options.dns.resolv_conf()?;
        self.blocking(format!("write the files of {}", config.id), move |inner| {
            inner.logs.begin(&config.id, &config.function)?;
            inner.dirs.create(&config.id, &resolv_conf, &owner, &config.secrets)
        })
        .await
    }
}
