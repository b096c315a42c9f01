//! A real host for tests: a containerd of its own, a bridge and subnet of its own, all in one directory.
//!
//! Call [`RealHost::stop`] at the end. Dropped without it (a test that failed), it sweeps the machine instead.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't be set up has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actord::function::{Compat32Bit, GrantableCapabilities};
use actord::host::cni::{CniNetwork, CniOptions};
use actord::host::containerd::Containerd;
use actord::host::containerd::daemon::{Daemon, DaemonOptions, HangPolicy};
use actord::host::containerd::images::{ContainerdImages, ImagesOptions};
use actord::host::containerd::instances::{ContainerdRuntime, Dns, RuntimeOptions};
use actord::host::{Directory, Host, HostError, HttpProbe, LocalDisks, LocalMemory};

use crate::leaks::Traces;
use crate::oci_runtimes::runtimes;
use crate::run::{Run, sweep};

/// Everything that is made of adapters, composed as the product composes it.
pub struct RealHost {
    run: Run,
    daemon: Option<Daemon>,
    network: CniNetwork,
    runtime: ContainerdRuntime,
    host: Host,
}

impl RealHost {
    /// Starts a containerd and puts the adapters on it.
    pub async fn start() -> Self {
        Self::start_with(ContainerdRuntime::new).await
    }

    /// The same, with a runtime that is made so.
    pub async fn start_with(
        runtime: impl FnOnce(Containerd, RuntimeOptions) -> Result<ContainerdRuntime, HostError>,
    ) -> Self {
        let run = Run::new();
        let directory = run.directory();
        let daemon = Daemon::adopt_or_start(DaemonOptions {
            binary: "containerd".into(),
            root: directory.join("root"),
            state: directory.join("state"),
            socket: socket(directory),
            log: directory.join("containerd.log"),
            hang_policy: HangPolicy::default(),
        });
        let daemon = daemon.await.unwrap();
        let containerd = Containerd::new(&socket(directory), &run.namespace(), "contract").unwrap();
        let images = ContainerdImages::new(containerd.clone(), ImagesOptions::new(directory.join("docker.json")));
        let network = CniNetwork::new(CniOptions {
            name: run.namespace(),
            bridge: run.bridge(),
            ..CniOptions::new(run.subnet().parse().unwrap(), directory.join("cni"))
        });
        let network = network.unwrap();
        let runtime = runtime(
            containerd,
            RuntimeOptions {
                snapshotter: "overlayfs".to_owned(),
                containerd_root: directory.join("root"),
                containerd_state: directory.join("state"),
                runtimes: runtimes(directory, &[]),
                runc_root: directory.join("runc"),
                cgroup_parent: format!("/{}", run.namespace()),
                instances_dir: directory.join("instances"),
                logs_dir: directory.join("logs"),
                log_max_size: 16 << 20,
                dns: Dns::Servers(vec!["192.0.2.53".parse().unwrap()]),
                pids_limit: 4_096,
                memory_limit: None,
                open_files: 65_536,
                capabilities: GrantableCapabilities::default(),
                compat_32bit: Compat32Bit::default(),
            },
        );
        let runtime = runtime.unwrap();
        let host = Host {
            images: Arc::new(images),
            network: Arc::new(network.clone()),
            runtime: Arc::new(runtime.clone()),
            probe: Arc::new(HttpProbe),
            logs: Arc::new(runtime.logs()),
            disks: Arc::new(LocalDisks::new(vec![Directory { name: "directory", path: directory.to_owned() }])),
            memory: Arc::new(LocalMemory::default()),
        };
        Self { run, daemon: Some(daemon), network, runtime, host }
    }

    /// The machine as the actors see it.
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// What to look for when these instances are gone.
    pub fn traces(&self, instances: BTreeSet<String>) -> Traces {
        self.run.traces(&socket(self.run.directory()), instances)
    }

    /// Removes what all instances share, and ends containerd. The directory stays until the host is dropped.
    pub async fn stop(&mut self) {
        self.network.teardown_all().await.unwrap();
        self.runtime.remove_shared().await;
        self.daemon.take().expect("stop is called once").stop().await.unwrap();
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("containerd.sock")
}

impl Drop for RealHost {
    fn drop(&mut self) {
        // The directory can't go while something is mounted in it.
        if self.daemon.is_some() {
            sweep(&self.traces(BTreeSet::new()));
        }
    }
}
