//! Looks for what a run left on the machine. Shares no code with actord: it asks `ctr`, `ip` and `iptables-save`, and
//! reads `/proc` and `/sys`. Every finding is a sentence that names the thing and where it is.
//!
//! ```no_run
//! let traces = Traces { directory, socket, namespace, .. };
//! assert_eq!(traces.in_containerd(), [""; 0]); // while containerd lives
//! assert_eq!(traces.on_the_machine(), [""; 0]); // when it was stopped
//! ```
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a check that can't be made is no check")]

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// Where containerd has the bundles of its tasks, in its own directories.
const TASKS: &str = "io.containerd.runtime.v2.task";

/// By what the things of one run are known. All of it must be the run's own.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Everything that the run keeps lies below it.
    pub directory: PathBuf,
    /// The run's containerd.
    pub socket: PathBuf,
    /// Its namespace in it.
    pub namespace: String,
    /// Its snapshotter.
    pub snapshotter: String,
    /// The bridge's name.
    pub bridge: String,
    /// The first three bytes of the run's subnet, with the dot behind them: `10.7.8.`.
    pub subnet: String,
    /// The cgroup parent, without a slash at either end.
    pub cgroup_parent: String,
    /// The instances that the run made.
    pub instances: BTreeSet<String>,
}

impl Traces {
    /// What its containerd holds that is not an image.
    pub fn in_containerd(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (what, arguments) in [
            ("container", &["containers", "list", "-q"][..]),
            ("task", &["tasks", "list", "-q"]),
            ("lease", &["leases", "list", "-q"]),
        ] {
            found.extend(self.ctr(arguments).lines().map(|id| format!("{what} {id} is left in containerd")));
        }
        let downloads = self.ctr(&["content", "active"]);
        found.extend(downloads.lines().skip(1).map(|line| format!("an unfinished download is left: {line}")));
        // Committed snapshots are the images' layers.
        let snapshots = self.ctr(&["snapshots", "--snapshotter", &self.snapshotter, "list"]);
        let active = snapshots.lines().skip(1).filter(|line| !line.trim_end().ends_with("Committed"));
        found.extend(active.map(|line| format!("snapshot {} is left in containerd", line.trim())));
        found
    }

    /// What is left outside of containerd's own records. Its processes count: call it when containerd was stopped.
    pub fn on_the_machine(&self) -> Vec<String> {
        let mut found = Vec::new();
        found.extend(self.namespaces().iter().map(|name| format!("network namespace {name} is left in /run/netns")));
        found.extend(self.links().iter().map(|line| format!("a link is left: {line}")));
        found.extend(self.routes().iter().map(|route| format!("a route is left: {route}")));
        found.extend(self.address_files());
        let rules = self.firewall_rules();
        found.extend(rules.iter().map(|(command, table, rule)| format!("a rule is left: {command} -t {table} {rule}")));
        found.extend(self.mounts().iter().map(|point| format!("a mount is left at {point}")));
        found.extend(self.cgroups().iter().map(|path| format!("a cgroup is left: {}", path.display())));
        found.extend(self.claim().iter().map(|path| format!("a claim is left: {}", path.display())));
        found.extend(self.runc_states());
        found.extend(self.bundles().iter().map(|path| format!("a bundle is left: {}", path.display())));
        found.extend(self.shim_sockets().iter().map(|path| format!("a shim's socket is left: {}", path.display())));
        found.extend(self.processes().iter().map(|(pid, command)| format!("process {pid} is left: {command}")));
        found
    }

    fn ctr(&self, arguments: &[&str]) -> String {
        let socket = self.socket.to_str().unwrap();
        output("ctr", &[&["--address", socket, "--namespace", &self.namespace], arguments].concat())
    }

    /// Whether a text names the bridge, an address of the subnet or an instance.
    fn names(&self, text: &str) -> bool {
        let word = |needle: &str| {
            text.match_indices(needle).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_ascii_digit() || c == '.'))
        };
        text.contains(&self.bridge) || word(&self.subnet) || self.instances.iter().any(|id| text.contains(id))
    }

    fn is_inside(&self, path: &str) -> bool {
        Path::new(path).starts_with(&self.directory)
    }

    /// Network namespaces that are named after the bridge or an instance, and those with an address of the subnet in them.
    pub fn namespaces(&self) -> Vec<String> {
        let addresses = |name: &str| {
            // Others' namespaces come and go meanwhile.
            let answer = Command::new("ip").args(["-n", name, "-o", "address"]).output().unwrap();
            String::from_utf8_lossy(&answer.stdout).into_owned()
        };
        let names = children(Path::new("/run/netns")).into_iter().map(|path| file_name(&path));
        names.filter(|name| self.names(name) || self.names(&addresses(name))).collect()
    }

    /// The bridge, and links that it is the master of.
    fn links(&self) -> Vec<String> {
        let links = output("ip", &["-o", "link"]);
        let own = |line: &&str| line.split([':', ' ', '@']).any(|word| word == self.bridge);
        links.lines().filter(own).map(str::to_owned).collect()
    }

    /// Routes to the subnet that no link takes along when it goes.
    pub fn routes(&self) -> Vec<String> {
        let routes = output("ip", &["-4", "route", "show", "table", "all"]);
        let lasting = |line: &&str| self.names(line) && !line.contains(" dev ");
        routes.lines().filter(lasting).map(|line| line.trim().to_owned()).collect()
    }

    /// Addresses that host-local gave out, and cached results, wherever they are kept.
    fn address_files(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.directory, &mut |path| {
            let name = file_name(path);
            if name.parse::<IpAddr>().is_ok() {
                found.push(format!("an address is still given out: {}", path.display()));
            } else if path.iter().any(|part| part == "cni") && (name.contains("warm_") || self.names(&name)) {
                found.push(format!("a CNI file is left: {}", path.display()));
            }
        });
        walk(Path::new("/var/lib/cni"), &mut |path| {
            if self.names(&path.to_string_lossy()) {
                found.push(format!("a CNI file is left outside of the run's directory: {}", path.display()));
            }
        });
        found
    }

    /// Rules that name the run, as `-A CHAIN ...`, with their command and table.
    pub fn firewall_rules(&self) -> Vec<(&'static str, String, String)> {
        let mut found = Vec::new();
        for command in ["iptables", "ip6tables"] {
            let mut table = String::new();
            for line in output(&format!("{command}-save"), &[]).lines() {
                if let Some(name) = line.strip_prefix('*') {
                    name.clone_into(&mut table);
                } else if self.names(line) {
                    found.push((command, table.clone(), line.to_owned()));
                }
            }
        }
        found
    }

    /// Mount points below the directory, or named after the run; the first were mounted first.
    pub fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        points.filter(|point| self.is_inside(point) || self.names(point)).map(str::to_owned).collect()
    }

    /// Control groups in any hierarchy; parents come before their children.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk_directories(Path::new("/sys/fs/cgroup"), &mut |path| {
            let own = path.strip_prefix("/sys/fs/cgroup").unwrap().to_string_lossy().contains(&self.cgroup_parent);
            if own || self.instances.contains(&file_name(path)) {
                found.push(path.to_owned());
            }
        });
        found
    }

    /// The note that says whose the bridge is.
    pub fn claim(&self) -> Option<PathBuf> {
        Some(Path::new("/run/lock").join(format!("actord.{}", self.bridge))).filter(|path| path.exists())
    }

    /// runc keeps a `state.json` per container under its root, whoever chose that.
    fn runc_states(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.directory, &mut |path| {
            if file_name(path) == "state.json" {
                found.push(format!("a state of runc is left: {}", path.display()));
            }
        });
        for root in ["/run/containerd/runc", "/run/runc"] {
            let shared = Path::new(root);
            let states = children(&shared.join(&self.namespace)).into_iter().chain(children(shared));
            let left = states.filter(|path| self.instances.contains(&file_name(path)));
            found.extend(left.map(|path| format!("a state of runc is left: {}", path.display())));
        }
        found
    }

    /// containerd keeps what a shim works with, and the built-in runtime what it has to remove, in a directory for each.
    fn bundles(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk_directories(&self.directory, &mut |path| {
            if self.instances.contains(&file_name(path)) && path.ancestors().any(|above| above.ends_with(TASKS)) {
                found.push(path.to_owned());
            }
        });
        found
    }

    /// containerd 1.6 and later name a shim's socket by a hash of their own address, namespace and container id.
    pub fn shim_sockets(&self) -> Vec<PathBuf> {
        let socket = |id: &String| {
            let key = self.socket.join(&self.namespace).join(id);
            let hash: String =
                Sha256::digest(key.as_os_str().as_encoded_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            Path::new("/run/containerd/s").join(hash)
        };
        let mut found: Vec<_> = self.instances.iter().map(socket).filter(|path| path.exists()).collect();
        // Those of actord's own shims, and their locks, are in a directory of this name beside containerd's socket.
        walk(&self.directory, &mut |path| {
            if path.parent().is_some_and(|parent| file_name(parent) == "shims") {
                found.push(path.to_owned());
            }
        });
        found
    }

    /// Processes that were started with the directory in their arguments, work in it, or are in the cgroup.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let own = i32::try_from(std::process::id()).unwrap();
        let directory = self.directory.to_str().unwrap();
        let mut found = Vec::new();
        for process in children(Path::new("/proc")) {
            let Some(pid) = file_name(&process).parse().ok().filter(|pid| *pid != own) else { continue };
            let read =
                |file: &str| String::from_utf8_lossy(&fs::read(process.join(file)).unwrap_or_default()).into_owned();
            let link = |file: &str| fs::read_link(process.join(file)).map(|path| path.display().to_string());
            // Nobody reaps orphans on some machines: what has ended is not left.
            if read("stat").rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X'])) {
                continue;
            }
            let command = read("cmdline").replace('\0', " ");
            let inside = ["cwd", "exe", "root"].iter().any(|file| link(file).is_ok_and(|path| self.is_inside(&path)));
            if command.contains(directory) || inside || read("cgroup").contains(&self.cgroup_parent) {
                found.push((pid, command.trim().to_owned()));
            }
        }
        found
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let answer = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let words = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success(), "{program} {arguments:?}: {words}");
    String::from_utf8(answer.stdout).unwrap()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is in a directory; nothing when it is not there (any more).
fn children(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Every file below a directory, links not followed.
fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    for path in children(directory) {
        match path.symlink_metadata() {
            Ok(about) if about.is_dir() => walk(&path, visit),
            Ok(_) => visit(&path),
            Err(_) => {}
        }
    }
}

/// Every directory below a directory, links not followed.
fn walk_directories(directory: &Path, visit: &mut impl FnMut(&Path)) {
    for path in children(directory) {
        if path.symlink_metadata().is_ok_and(|about| about.is_dir()) {
            visit(&path);
            walk_directories(&path, visit);
        }
    }
}
