//! The real host, put together from the settings: containerd (our own, unless one was named), images, network, probe.

use std::path::PathBuf;
use std::sync::Arc;

use super::{bounds, emptied, shim_link};
use crate::config::{Config, ImageSignatureKey, RegistryMirror};
use crate::function::{Compat32Bit, GrantableCapabilities, RuntimeNames};
use crate::host::cni::{CniNetwork, CniOptions};
use crate::host::containerd::Containerd;
use crate::host::containerd::daemon::{Daemon, DaemonOptions, HangPolicy, Watch};
use crate::host::containerd::images::{ContainerdImages, ImagesOptions};
use crate::host::containerd::images::{Mirror, SignatureKey};
use crate::host::containerd::instances::Dns;
use crate::host::containerd::instances::{ContainerdRuntime, RuntimeOptions, Runtimes};
use crate::host::{Directory, Host, HostError, HttpProbe, LocalDisks, LocalMemory};

/// What a private containerd's name, root and state are.
pub(super) fn daemon_options(config: &Config) -> DaemonOptions {
    DaemonOptions {
        binary: config.containerd_binary.clone(),
        root: config.data_dir.join("containerd"),
        state: config.state_dir.join("containerd"),
        socket: config.containerd_socket(),
        log: config.data_dir.join("containerd.log"),
        hang_policy: HangPolicy::default(),
    }
}

/// The adapters over one containerd. Cheap to make: nothing is asked of the machine before the first call, but the
/// checks that [`CniNetwork::new`] and [`ContainerdRuntime::new`] make.
pub(super) struct Machine {
    pub(super) images: Arc<ContainerdImages>,
    pub(super) runtime: Arc<ContainerdRuntime>,
    pub(super) network: CniNetwork,
    /// Our own containerd, watched; none where one was named.
    daemon: Option<Watch>,
    disks: LocalDisks,
    state_dir: PathBuf,
}

impl Machine {
    /// Adopts or starts the private containerd, or uses the one that was named. `public_port`: where functions call each
    /// other; a socket that was handed over need not listen where the settings say.
    pub(super) async fn open(config: &Config, host_id: &str, public_port: u16) -> Result<Self, HostError> {
        // What can be wrong with the settings is found before anything is started.
        let options = CniOptions { public_port: Some(public_port).filter(|port| *port > 0), ..cni_options(config) };
        let network = CniNetwork::new(options)?;
        let daemon = match config.containerd {
            Some(_) => None,
            None => Some(Daemon::adopt_or_start(daemon_options(config)).await?.supervise()),
        };
        shim_link::make(&config.state_dir)?;
        let containerd = connect(config, host_id)?;
        let images = Arc::new(ContainerdImages::new(containerd.clone(), images_options(config)));
        let runtime = Arc::new(ContainerdRuntime::new(containerd, runtime_options(config))?);
        let disks = LocalDisks::new(vec![
            Directory { name: "data directory", path: config.data_dir.clone() },
            Directory { name: "state directory", path: config.state_dir.clone() },
        ]);
        Ok(Self { images, runtime, network, daemon, disks, state_dir: config.state_dir.clone() })
    }

    /// The machine as the actors see it.
    pub(super) fn host(&self) -> Host {
        Host {
            images: self.images.clone(),
            network: Arc::new(self.network.clone()),
            runtime: self.runtime.clone(),
            probe: Arc::new(HttpProbe),
            logs: Arc::new(self.runtime.logs()),
            disks: Arc::new(self.disks.clone()),
            memory: Arc::new(LocalMemory::default()),
        }
    }

    /// Measures what the host tells of itself.
    pub(super) fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        self.disks.measure(registry)
    }

    /// Removes what all instances shared, and our containerd itself. Goes on after an error.
    pub(super) async fn remove_shared(self) -> Result<(), HostError> {
        let mut errors = Vec::new();
        errors.extend(self.network.teardown_all().await.err().map(|error| error.to_string()));
        // Those of pulls that were cut off or given up: in a containerd of its own they end with it.
        errors.extend(self.images.recover().await.err().map(|error| error.to_string()));
        self.runtime.remove_shared().await;
        if let Some(daemon) = self.daemon {
            errors.extend(daemon.stop().await.err().map(|error| error.to_string()));
            match emptied::remove(&self.state_dir) {
                Ok(mounts) => {
                    for mount in mounts {
                        let mount = mount.display();
                        tracing::info!("{mount} is a mount point: all that was in it is removed, the mount is left");
                    }
                }
                Err(error) => errors.push(error.to_string()),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(HostError::Failed(errors.join("; "))) }
    }
}

/// A connection to the containerd of these settings.
pub(super) fn connect(config: &Config, host_id: &str) -> Result<Containerd, HostError> {
    Containerd::new(&config.containerd_socket(), &config.containerd_namespace, host_id)
}

/// The images of the containerd of these settings.
pub(super) fn images_options(config: &Config) -> ImagesOptions {
    ImagesOptions {
        snapshotter: config.snapshotter.clone(),
        insecure_registries: config.insecure_registry.clone(),
        mirrors: config.registry_mirror.iter().map(mirror).collect(),
        authorities: config.registry_ca.clone(),
        signature_keys: config.image_signature_key.iter().map(signature_key).collect(),
        limit: config.pull_timeout,
        ids: config.id_mapping(),
        // Where a containerd was named, it keeps them where it likes.
        root: config.containerd.is_none().then(|| daemon_options(config).root),
        ..ImagesOptions::new(config.docker_config())
    }
}

fn mirror(RegistryMirror { of, host, path }: &RegistryMirror) -> Mirror {
    Mirror { of: of.clone(), host: host.clone(), path: path.clone() }
}

fn signature_key(ImageSignatureKey { prefix, file }: &ImageSignatureKey) -> SignatureKey {
    SignatureKey { prefix: prefix.clone(), file: file.clone() }
}

fn runtime_options(config: &Config) -> RuntimeOptions {
    let daemon = daemon_options(config);
    RuntimeOptions {
        snapshotter: config.snapshotter.clone(),
        containerd_root: daemon.root,
        containerd_state: daemon.state,
        runtimes: runtimes(config),
        runc_root: config.state_dir.join("runc"),
        cgroup_parent: config.cgroup_parent.clone(),
        instances_dir: config.state_dir.join("instances"),
        logs_dir: config.logs_dir(),
        log_max_size: config.log_max_size,
        dns: if config.dns.is_empty() { Dns::host() } else { Dns::Servers(config.dns.clone()) },
        pids_limit: config.pids_limit,
        memory_limit: bounds::memory(config),
        open_files: config.open_files,
        capabilities: capabilities(config),
        compat_32bit: Compat32Bit(config.compat_32bit),
    }
}

/// The names of the runtimes that functions may have.
pub(super) fn runtime_names(config: &Config) -> RuntimeNames {
    RuntimeNames::new(config.runtime.clone(), config.runtimes.iter().map(|listed| listed.name.clone()))
}

/// The capabilities that functions may ask for.
pub(super) fn capabilities(config: &Config) -> GrantableCapabilities {
    GrantableCapabilities::new(config.capabilities.iter().copied())
}

/// The fewest shims that the functions of the built-in runtime share: the death of one takes its functions along.
const FEWEST_SHARDS: usize = 4;

fn runtimes(config: &Config) -> Runtimes {
    let listed = config.runtimes.iter();
    let programs = listed.filter_map(|listed| Some((listed.name.clone(), listed.path.clone()?))).collect();
    Runtimes {
        names: runtime_names(config),
        programs,
        builtin_shim: shim_link::path(&config.state_dir),
        shards: config.parallel_starts.max(FEWEST_SHARDS),
    }
}

pub(super) fn cni_options(config: &Config) -> CniOptions {
    CniOptions {
        name: config.cni_name.clone(),
        bridge: config.cni_bridge.clone(),
        plugin_dirs: config.cni_plugin_dir.clone(),
        conflist: config.cni_conflist.clone(),
        deadline: config.host_timeout,
        reachable: config.allow_from_functions.clone(),
        ..CniOptions::new(config.cni_subnet, config.state_dir.join("cni"))
    }
}
