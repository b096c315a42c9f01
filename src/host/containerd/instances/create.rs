//! Making an instance: snapshot -> user and volumes -> files -> container -> task. What fails half-way is `remove`d. All that
//! there is to know of the image is in [`Image`]: nothing is read again.

use std::sync::Arc;

use containerd_client::types::Mount;

use super::containers;
use super::instance_dir::{Files, HostName};
use super::oci::{Instance, Places};
use super::user::{Identity, UserText};
use super::volumes::{self, Volume};
use super::{Inner, rootfs, runtimes, tasks};
use crate::function::InstanceId;
use crate::host::{HostError, Image, InstanceConfig};

impl Inner {
    /// Makes an instance and its task.
    pub(super) async fn create(self: &Arc<Self>, creation: &InstanceConfig) -> Result<(), HostError> {
        let (containerd, options) = (&self.containerd, &self.options);
        let InstanceConfig { id, image, .. } = creation;
        let runtime = options.runtimes.of(&creation.spec, &options.runc_root.to_string_lossy())?;
        let shard = runtimes::is_builtin(&runtime).then(|| self.shards.choose(id, &creation.function));
        let labels = containers::labels(&containerd.owner, creation, shard)?;
        let mounts = containers::prepare_snapshot(containerd, &options.snapshotter, id, &image.chain_id).await?;
        let (identity, volumes) = self.prepare_root(id, image, &mounts).await?;
        let files = self.write_files(creation, &identity).await?;
        let spec = self.runtime_spec(creation, &identity, &volumes, &files, shard)?;
        containers::create_container(containerd, &options.snapshotter, runtime, creation, labels, spec).await?;
        let pid = tasks::create(containerd, id, mounts, &self.logs.path(id)).await?;
        // Where it is gone already, containerd tells.
        self.first.hold(id, pid);
        self.shards.made(id);
        Ok(())
    }

    /// Who the image's process runs as, and its volumes; its root file system is looked into only where its config does
    /// not say, or declares volumes.
    async fn prepare_root(
        self: &Arc<Self>,
        id: &InstanceId,
        image: &Image,
        mounts: &[Mount],
    ) -> Result<(Identity, Vec<Volume>), HostError> {
        let user = image.config.config().as_ref().and_then(|config| config.user().clone());
        let paths = volumes::declared(&image.config)?;
        if let Some(identity) = UserText::new(user.as_deref()).by_number().filter(|_| paths.is_empty()) {
            return Ok((identity, Vec::new()));
        }
        let (at, mounts) = (self.dirs.rootfs(id), mounts.to_vec());
        let prepare = move |_: &Self| rootfs::prepare(&mounts, &at, UserText::new(user.as_deref()), &paths);
        self.blocking(format!("prepare the root file system of {id}"), prepare).await?
    }

    async fn write_files(self: &Arc<Self>, creation: &InstanceConfig, identity: &Identity) -> Result<Files, HostError> {
        let (creation, identity) = (creation.clone(), identity.clone());
        let resolv_conf = self.options.dns.resolv_conf()?;
        self.blocking(format!("write the files of {}", creation.id), move |inner| {
            let hostname = creation.function.name.as_str();
            let name = HostName { hostname, address: creation.address, resolv_conf: &resolv_conf };
            inner.logs.begin(&creation.id, &creation.function)?;
            inner.dirs.create(&creation.id, &name, &identity, &creation.secrets)
        })
        .await
    }

    /// The OCI runtime spec as containerd takes it: JSON.
    fn runtime_spec(
        &self,
        creation: &InstanceConfig,
        identity: &Identity,
        volumes: &[Volume],
        files: &Files,
        shard: Option<usize>,
    ) -> Result<Vec<u8>, HostError> {
        let places = Places {
            netns: &creation.netns,
            resolv_conf: &files.resolv_conf,
            hosts: &files.hosts,
            secrets: (!creation.spec.secrets.is_empty()).then_some(&files.secrets),
            cgroup: &self.cgroups.path(&creation.id),
            shard,
        };
        let hostname = creation.function.name.as_str();
        let machine = self.cgroups.machine(self.options.pids_limit);
        let instance = Instance {
            image: &creation.image.config,
            spec: &creation.spec,
            hostname,
            identity,
            volumes,
            places,
            machine,
        };
        serde_json::to_vec(&instance.runtime_spec()?)
            .map_err(|error| HostError::Failed(format!("write the runtime spec of {hostname}: {error}")))
    }
}
