//! What there is of a run's instances, kind by kind, while they run. Every kind has to name the same instances: what
//! one has and another has not is a leak or a loss. Like the leak checker it shares no code with actord.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a check that can't be made is no check")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::leaks::Traces;

type Names = BTreeSet<String>;

/// What lets instances reach the outside, and nothing else: rules for the bridge and the chains that they stand in.
const RULES: usize = 15;

/// The instances that each kind of thing names.
#[derive(Debug)]
pub struct Inventory {
    kinds: BTreeMap<String, Names>,
    /// What should not be there, whatever runs.
    remains: Vec<String>,
    /// The attachments that no instance has claimed.
    warm: Names,
}

impl Inventory {
    /// Looks. `containerd` has to answer.
    pub fn take(traces: &Traces) -> Self {
        let mut all = Self { kinds: BTreeMap::new(), remains: Vec::new(), warm: Names::new() };
        all.containerd(traces);
        all.network(traces);
        all.files(traces);
        all.machine(traces);
        all
    }

    /// The instances whose task runs.
    pub fn running(&self) -> &Names {
        &self.kinds["running task"]
    }

    /// The attachments that no instance has claimed.
    pub fn warm(&self) -> &Names {
        &self.warm
    }

    /// A sentence for each instance that a kind has too many or too few, beside those that run.
    pub fn faults(&self) -> Vec<String> {
        let wanted = self.running();
        let mut faults = self.remains.clone();
        for (kind, found) in &self.kinds {
            faults.extend(found.difference(wanted).map(|id| format!("{kind} of {id} is there, its task does not run")));
            faults.extend(wanted.difference(found).map(|id| format!("{kind} of {id} is missing, its task runs")));
        }
        faults
    }

    fn add(&mut self, kind: &str, names: impl IntoIterator<Item = String>) {
        self.kinds.entry(kind.to_owned()).or_default().extend(names);
    }

    /// What a containerd has that may be restarted just now: where it can't be asked, that is a fault.
    fn containerd(&mut self, traces: &Traces) {
        self.add("running task", []);
        if let Err(fault) = self.asked(traces) {
            self.remains.push(fault);
        }
    }

    fn asked(&mut self, traces: &Traces) -> Result<(), String> {
        let ctr = |arguments: &[&str]| {
            let socket = traces.socket.to_str().unwrap();
            answer("ctr", &[&["--address", socket, "--namespace", &traces.namespace], arguments].concat())
        };
        let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
        self.add("container", ctr(&["containers", "list", "-q"])?.lines().map(str::to_owned));
        let tasks = ctr(&["tasks", "list"])?;
        self.add("task", tasks.lines().skip(1).map(first));
        self.add("running task", tasks.lines().skip(1).filter(|line| line.ends_with("RUNNING")).map(first));
        let snapshots = ctr(&["snapshots", "--snapshotter", &traces.snapshotter, "list"])?;
        let active = snapshots.lines().skip(1).filter(|line| !line.trim_end().ends_with("Committed"));
        self.add("snapshot", active.map(first));
        let leases = ctr(&["leases", "list", "-q"])?;
        self.remains.extend(leases.lines().map(|id| format!("lease {id} is left in containerd")));
        Ok(())
    }

    fn network(&mut self, traces: &Traces) {
        // What an instance has claimed is called as it was before: its result says whose it is.
        let (mut of, mut results, mut addresses) = (BTreeMap::new(), Names::new(), Names::new());
        for path in files(&traces.directory.join("state/cni")) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap_or_default();
            if name.starts_with(&traces.subnet) {
                addresses.insert(text.lines().next().unwrap_or_default().trim().to_owned());
            } else if path.iter().any(|part| part == "results") {
                let id = name.strip_prefix(&format!("{}-", traces.bridge)).and_then(|name| name.strip_suffix("-eth0"));
                let entry: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                let called = entry["containerId"].as_str().unwrap_or_default().to_owned();
                of.insert(called, id.unwrap_or(&name).to_owned());
                results.insert(id.unwrap_or(&name).to_owned());
            }
        }
        let prefix = format!("{}.", traces.bridge);
        let named = names(Path::new("/run/netns")).into_iter();
        let spaces: Names = named.filter_map(|name| Some(name.strip_prefix(&prefix)?.to_owned())).collect();
        let links = output("ip", &["-o", "link", "show", "master", &traces.bridge]);
        let ports = links.lines().count();
        let spaces_are_empty = spaces.is_empty();
        if ports != spaces.len() {
            self.remains
                .push(format!("{ports} interfaces in the bridge for {} network namespaces: {links}", spaces.len()));
        }
        let neighbours = output("ip", &["-4", "neighbour", "show", "dev", &traces.bridge, "nud", "permanent"]);
        if neighbours.lines().count() != spaces.len() {
            self.remains
                .push(format!("neighbours of the bridge for {} network namespaces: {neighbours}", spaces.len()));
        }
        let whose = |names: Names| names.into_iter().map(|name| of.get(&name).cloned().unwrap_or(name));
        let kinds = [("network namespace", spaces), ("CNI result", results), ("address", addresses)];
        let kinds = kinds.map(|(kind, names)| (kind, whose(names).partition::<Names, _>(|name| is_warm(name))));
        // Those that no instance has claimed are whole, too.
        let warm: Names = kinds.iter().flat_map(|(_, (warm, _))| warm.clone()).collect();
        self.warm.clone_from(&warm);
        for (kind, (there, of_instances)) in kinds {
            self.remains.extend(warm.difference(&there).map(|name| format!("{name} has no {kind}")));
            self.add(kind, of_instances);
        }
        // The bridge's rules are for all instances; one that names an address, or is there twice, is a leftover.
        let mut rules = BTreeMap::new();
        for (_, table, rule) in traces.firewall_rules() {
            *rules.entry((table, rule)).or_insert(0) += 1;
        }
        for ((table, rule), times) in &rules {
            let own_chain = rule.starts_with(":actord-");
            let lasting = own_chain || rule.contains(&format!("actord:{}", traces.bridge));
            if !lasting || *times > 1 {
                self.remains.push(format!("{times} times the {table} rule {rule}"));
            }
        }
        if !spaces_are_empty && rules.len() < RULES {
            self.remains.push(format!("{} of {RULES} rules let instances reach the outside: {rules:?}", rules.len()));
        }
    }

    fn files(&mut self, traces: &Traces) {
        let at = |path: &str| traces.directory.join(path);
        self.add("runc state", names(&at("state/runc").join(&traces.namespace)));
        // The built-in runtime keeps its own in the bundle.
        let bundles = at("state/containerd/io.containerd.runtime.v2.task").join(&traces.namespace);
        let own = |id: &String| {
            let address = fs::read_to_string(bundles.join(id).join("address")).unwrap_or_default();
            address.contains("/shims/") && bundles.join(id).join("init.pid").exists()
        };
        self.add("runc state", names(&bundles).into_iter().filter(own));
        self.add("instance directory", names(&at("state/instances")));
        for (kind, suffix) in [("log", ".log"), ("log's index", ".idx")] {
            let own = |name: String| Some(name.strip_suffix(suffix)?.to_owned());
            self.add(kind, names(&at("data/logs")).into_iter().filter_map(own));
        }
        let bundles = format!("containerd/io.containerd.runtime.v2.task/{}", traces.namespace);
        self.add("bundle", names(&at("state").join(&bundles)));
        self.add("bundle's working directory", names(&at("data").join(&bundles)));
        let of = |point: &String| Some(point.strip_suffix("/rootfs")?.rsplit_once('/')?.1.to_owned());
        self.add("mount", traces.mounts().iter().filter_map(of));
    }

    fn machine(&mut self, traces: &Traces) {
        let roots = names(Path::new("/sys/fs/cgroup")).into_iter().map(|name| Path::new("/sys/fs/cgroup").join(name));
        for parent in roots.map(|root| root.join(&traces.cgroup_parent)).filter(|parent| parent.is_dir()) {
            let groups = fs::read_dir(&parent).unwrap().flatten().filter(|entry| entry.path().is_dir());
            let ids: Vec<_> = groups.map(|entry| entry.file_name().into_string().unwrap()).collect();
            self.add(&format!("cgroup in {}", parent.display()), ids);
        }
        let shims = shims(&traces.namespace);
        for (id, pids) in shims.iter().filter(|(_, pids)| pids.len() > 1) {
            self.remains.push(format!("{} shims of {id}: {pids:?}", pids.len()));
        }
        self.add("shim", shims.into_keys());
    }
}

/// Whether an attachment is called so that no instance has claimed.
fn is_warm(name: &str) -> bool {
    name.starts_with("warm_")
}

/// The shims of a containerd namespace: by instance, those that live. One of actord's own has a whole shard's: it is the
/// parent of their first processes, each of which is in a control group that is named after its instance.
pub fn shims(namespace: &str) -> BTreeMap<String, Vec<i32>> {
    let mut found: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (pid, arguments) in processes() {
        let after = |flag: &str| arguments.iter().skip_while(|word| *word != flag).nth(1);
        if after("-namespace").is_none_or(|name| name != namespace) || arguments.iter().any(|word| word == "delete") {
            continue;
        }
        if arguments[0].ends_with("containerd-shim-runc-v2") {
            if let Some(id) = after("-id") {
                found.entry(id.clone()).or_default().push(pid);
            }
        } else if arguments[0].ends_with("containerd-shim-actord-v1") {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            let groups = children
                .split_whitespace()
                .filter_map(|child| fs::read_to_string(format!("/proc/{child}/cgroup")).ok());
            for groups in groups {
                let mut named = groups.lines().filter_map(|line| line.split_once(&format!("/{namespace}/")));
                if let Some((_, id)) = named.next() {
                    found.entry(id.split('/').next().unwrap_or(id).to_owned()).or_default().push(pid);
                }
            }
        }
    }
    found
}

/// Every process that has not ended, with its arguments; those of the kernel's own are left out.
pub fn processes() -> Vec<(i32, Vec<String>)> {
    let pids = names(Path::new("/proc")).into_iter().filter_map(|name| name.parse::<i32>().ok());
    let read = |pid: i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())?;
        let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        Some((pid, words.collect()))
    };
    pids.filter_map(read).collect()
}

fn output(program: &str, arguments: &[&str]) -> String {
    answer(program, arguments).unwrap()
}

fn answer(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{program} {arguments:?}: {words}"));
    }
    Ok(String::from_utf8(output.stdout).unwrap())
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            _ => found.push(entry.path()),
        }
    }
    found
}
