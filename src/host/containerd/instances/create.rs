//! Making an instance's container and task of what was prepared, in its network: hosts file -> runtime spec -> container ->
//! task. What fails half-way is `remove`d.

use std::path::Path;

use super::instance_dir::HostName;
use super::oci::{Instance, Places};
use super::prepare::Prepared;
use super::{Inner, containers, made_ahead, runtimes, tasks};
use crate::function::InstanceId;
use crate::host::containerd::mounts::unmount_all;
use crate::host::{Attachment, HostError};

impl Inner {
    /// Makes the container and the task of an instance that was prepared.
    pub(super) async fn create(&self, id: &InstanceId, at: &Attachment) -> Result<(), HostError> {
        let not_prepared = || HostError::Failed(format!("create {id}: it was not prepared"));
        let prepared = self.prepared.take(id).ok_or_else(not_prepared)?;
        let (containerd, options) = (&self.containerd, &self.options);
        let hostname = prepared.config.function.name.as_str();
        // One small file: not worth another thread.
        let hosts = self.dirs.write_hosts(id, &HostName { hostname, address: at.address });
        hosts.map_err(|error| HostError::Failed(format!("write the hosts file of {id}: {error}")))?;
        // One that goes into the user namespace first.
        let ahead = prepared.ids.filter(|_| !runtimes::is_builtin(&prepared.runtime));
        let sys = ahead.map(|_| self.dirs.sys(id));
        let spec = self.runtime_spec(&prepared, at, sys.as_deref())?;
        if let (Some(ids), Some(sys)) = (ahead, sys.clone()) {
            made_ahead::must_be_reachable(&options.containerd_state, ids)?;
            let made = made_ahead::make(at.netns.clone(), sys).await;
            made.map_err(|error| HostError::Failed(format!("make ready for the user namespace of {id}: {error}")))?;
        }
        let Prepared { config, runtime, labels, mounts, .. } = prepared;
        containers::create_container(containerd, &options.snapshotter, runtime, &config, labels, spec).await?;
        let pid = tasks::create(containerd, id, mounts, &self.logs.path(id)).await?;
        if let Some(sys) = sys {
            unmount_all(&sys).map_err(|error| HostError::Failed(format!("unmount {}: {error}", sys.display())))?;
        }
        // Where it is gone already, containerd tells.
        self.first.hold(id, pid);
        self.shards.made(id);
        Ok(())
    }

    /// The OCI runtime spec as containerd takes it: JSON.
    fn runtime_spec(&self, prepared: &Prepared, at: &Attachment, sys: Option<&Path>) -> Result<Vec<u8>, HostError> {
        let Prepared { config, shard, ids, identity, volumes, capabilities, .. } = prepared;
        let files = self.dirs.files(&config.id);
        let places = Places {
            netns: &at.netns,
            resolv_conf: &files.resolv_conf,
            hosts: &files.hosts,
            sys,
            secrets: (!config.spec.secrets.is_empty()).then_some(&files.secrets),
            cgroup: &self.cgroups.path(&config.id),
            shard: *shard,
        };
        let hostname = config.function.name.as_str();
        let machine = self.cgroups.machine(&self.options);
        let (image, ids, spec) = (&config.image.config, *ids, &config.spec);
        let masked = self.masked.as_slice();
        let instance =
            Instance { image, spec, hostname, identity, ids, volumes, capabilities, places, machine, masked };
        serde_json::to_vec(&instance.runtime_spec()?)
            .map_err(|error| HostError::Failed(format!("write the runtime spec of {hostname}: {error}")))
    }
}
