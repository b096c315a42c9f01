//! `actord doctor`: what is wrong with this machine for actord, and the command that mends it.
//!
//! ```text
//! machine -> Facts::gather (reads and asks, changes nothing) -> Facts::findings (pure) -> a table, or JSON
//! ```
//! One file a topic: what it reads, and what it makes of that. What can't be seen, for want of root or of a program, is a
//! finding of its own. A running actord is looked at and not disturbed.

mod calls;
mod capacity;
mod certificate;
mod cgroups;
mod data;
mod disk;
mod finding;
mod firewall;
mod kernel;
mod network;
mod ports;
mod programs;
mod resources;
mod running;
mod runtimes;
mod source;
mod user_namespaces;
mod waits;
mod zones;

pub use finding::{Finding, State};
pub use running::running_pid;
pub use source::Root;
pub use user_namespaces::refuses_user_namespaces;

use crate::config::Config;
use crate::host::cni::CniOptions;

/// The snapshotter whose root file systems are overlays.
const OVERLAY: &str = "overlayfs";

/// All that the checks look at.
#[derive(Debug)]
pub struct Facts {
    root_user: bool,
    overlay: bool,
    bridge: String,
    kernel: kernel::Kernel,
    cgroups: cgroups::Cgroups,
    waits: waits::Waits,
    user_namespaces: user_namespaces::UserNamespaces,
    zones: zones::Zones,
    runtimes: runtimes::Runtimes,
    programs: programs::Programs,
    network: network::Network,
    capacity: capacity::Capacity,
    certificate: certificate::Certificate,
    firewall: firewall::Firewall,
    ports: ports::Ports,
    disk: disk::Disk,
    resources: resources::Resources,
    data: data::Data,
    calls: calls::Calls,
    running: running::Running,
}

impl Facts {
    /// Looks at the machine under `root`, for an actord with these settings.
    pub async fn gather(root: &Root, config: &Config, cni: &CniOptions) -> Self {
        let running = running::Running::read(root, config).await;
        let data = data::Data::read(config);
        let socket = config.containerd_socket();
        let (programs, runtimes, network, firewall, resources) = tokio::join!(
            programs::Programs::read(&config.containerd_binary, socket.clone(), config.containerd.is_some()),
            runtimes::Runtimes::read(root, config),
            network::Network::read(root, cni, &config.dns),
            firewall::Firewall::read(root),
            resources::Resources::read(root, running.pid, data.written),
        );
        Self {
            root_user: rustix::process::geteuid().is_root(),
            overlay: config.snapshotter == OVERLAY,
            bridge: config.cni_bridge.clone(),
            kernel: kernel::Kernel::read(root),
            cgroups: cgroups::Cgroups::read(root, &config.cgroup_parent),
            ports: ports::Ports::read(root, config),
            capacity: capacity::Capacity::read(root, &config.cni_bridge),
            certificate: certificate::Certificate::read(config),
            disk: disk::Disk::read(root, &config.data_dir, &config.state_dir, &socket),
            waits: waits::Waits::read(root),
            user_namespaces: user_namespaces::UserNamespaces::read(root, config),
            zones: zones::Zones::read(root),
            programs,
            runtimes,
            network,
            firewall,
            resources,
            calls: calls::Calls::read(config),
            data,
            running,
        }
    }

    /// What they mean, topic by topic.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let preflight = self.network.preflight.as_ref().ok();
        let needs_iptables = preflight.is_none_or(|preflight| preflight.needs_iptables);
        let lets_through = preflight.is_none_or(|preflight| preflight.lets_through);
        let mut all = Vec::new();
        if !self.root_user {
            all.push(Finding::unknown("user", "not root: what only root sees is unknown; `actord up` needs root"));
        }
        all.extend(self.kernel.check(self.overlay, self.firewall.variant()));
        all.extend(self.cgroups.check());
        all.extend(self.waits.check());
        all.extend(self.user_namespaces.check());
        all.extend(self.zones.check());
        all.extend(self.programs.check(self.running.pid.is_some()));
        all.extend(self.runtimes.check());
        all.extend(self.network.check());
        all.extend(self.capacity.check());
        all.extend(self.firewall.check(needs_iptables, lets_through, &self.bridge));
        all.extend(self.ports.check(self.running.pid));
        all.extend(self.disk.check(self.overlay));
        all.extend(self.resources.check());
        all.extend(self.data.check());
        all.extend(self.calls.check());
        all.extend(self.certificate.check());
        all.extend(self.running.check());
        all
    }
}
