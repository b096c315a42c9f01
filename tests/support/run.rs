//! The names of one test run on the real machine, all of them its own, and the broom for a run that broke off.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

#[path = "subnet.rs"]
mod subnet;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

pub use self::subnet::Subnet;
use crate::leaks::Traces;

/// A directory and names that nobody else on this machine has. Removed with the directory when it is dropped.
#[derive(Debug)]
pub struct Run {
    directory: tempfile::TempDir,
    number: u32,
    subnet: Subnet,
}

impl Run {
    /// Draws the names.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("actord-").tempdir().unwrap();
        Self { directory, number: rand::random(), subnet: Subnet::draw(24) }
    }

    /// Everything that the run keeps belongs below it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A bridge's name, of at most 15 characters.
    pub fn bridge(&self) -> String {
        format!("at{:08x}", self.number)
    }

    /// A subnet of 254 addresses.
    pub fn subnet(&self) -> String {
        self.subnet.cidr()
    }

    /// A containerd namespace, which is also the cgroup parent.
    pub fn namespace(&self) -> String {
        format!("actord-{:08x}", self.number)
    }

    /// What the leak checker looks for, with a containerd at this socket.
    pub fn traces(&self, socket: &Path, instances: BTreeSet<String>) -> Traces {
        Traces {
            directory: self.directory().to_owned(),
            socket: socket.to_owned(),
            namespace: self.namespace(),
            snapshotter: "overlayfs".to_owned(),
            bridge: self.bridge(),
            subnet: self.subnet.prefix(),
            cgroup_parent: self.namespace(),
            instances,
        }
    }
}

/// Takes away what a run that broke off left. As good as it can: what it can't remove it passes by.
pub fn sweep(traces: &Traces) {
    let mut traces = traces.clone();
    let named = format!("{}.", traces.bridge);
    traces.instances.extend(traces.namespaces().iter().filter_map(|name| name.strip_prefix(&named)).map(str::to_owned));
    for group in traces.cgroups() {
        // Where it is frozen, version 1 delivers no signal. Each group has one of the two files, or none.
        for (file, thawed) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
            let _ =
                fs::OpenOptions::new().write(true).open(group.join(file)).map(|mut it| it.write_all(thawed.as_bytes()));
        }
    }
    // A process that is ended may have been about to start another.
    for _ in 0..3 {
        for (pid, _) in traces.processes() {
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        quietly("sleep 0.1");
    }
    for (command, table, rule) in traces.firewall_rules() {
        if let Some(rule) = rule.strip_prefix("-A ") {
            quietly(&format!("{command} -w -t {table} -D {rule}"));
        }
        if let Some((_, chain)) = rule.rsplit_once("-j CNI-").filter(|(_, name)| name.len() == 24) {
            quietly(&format!("{command} -w -t {table} -F CNI-{chain}; {command} -w -t {table} -X CNI-{chain}"));
        }
    }
    for (command, table, rule) in traces.firewall_rules() {
        if let Some(chain) = rule.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
            quietly(&format!("{command} -w -t {table} -F {chain}; {command} -w -t {table} -X {chain}"));
        }
    }
    for name in traces.namespaces() {
        quietly(&format!("ip netns delete {name}"));
    }
    quietly(&format!("ip link delete {}", traces.bridge));
    for route in traces.routes() {
        quietly(&format!("ip route delete {route}"));
    }
    for point in traces.mounts().iter().rev() {
        quietly(&format!("umount -l {point}"));
    }
    if let Some(claim) = traces.claim() {
        let _ = fs::remove_file(claim);
    }
    for group in traces.cgroups().iter().rev() {
        let _ = fs::remove_dir(group);
    }
    for socket in traces.shim_sockets() {
        let _ = fs::remove_file(socket);
    }
}

fn quietly(command: &str) {
    let _ = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}
