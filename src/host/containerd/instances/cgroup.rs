//! An instance's control groups: where they are, whether the kernel killed in them for lack of memory, their removal.
//!
//! runc makes one under every hierarchy of the machine (several with version 1, one with version 2) and removes them
//! with the container. What is looked at and removed here is always `<hierarchy>/<our parent>/<instance id>`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::sleep;

use super::RuntimeOptions;
use super::freezer::{Freezer, thaw_group};
use super::oci::Machine;
use crate::cgroups::{self, Hierarchy, kill_tree, oom_kills, remove_tree};
use crate::function::InstanceId;
use crate::host::HostError;
use crate::process::{has_ended, stat};

/// The hierarchies of this machine, and the parent of all our groups in them.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    hierarchies: Vec<Hierarchy>,
    parent: String,
}

/// The version of control groups that a group's files are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// Thaws every instance below this control group, whatever is known of it: containerd is not asked. Tells how many were
/// frozen.
///
/// # Errors
/// [`HostError::Failed`] when it can't be read which control groups this machine has.
pub fn thaw_all(cgroup_parent: &str) -> Result<usize, HostError> {
    Ok(Cgroups::of_this_machine(cgroup_parent)?.thaw_all())
}

/// The first process of every instance below this control group, by the instances' ids: containerd is not asked.
///
/// # Errors
/// [`HostError::Failed`] when it can't be read which control groups this machine has.
pub fn first_processes(cgroup_parent: &str) -> Result<BTreeMap<String, i32>, HostError> {
    Ok(Cgroups::of_this_machine(cgroup_parent)?.first_processes())
}

impl Cgroups {
    /// Reads which hierarchies are mounted.
    pub(super) fn of_this_machine(parent: &str) -> Result<Self, HostError> {
        let unknown = |error| HostError::Failed(format!("read the control groups of this machine: {error}"));
        Ok(Self::new(&fs::read_to_string("/proc/self/mountinfo").map_err(unknown)?, parent))
    }

    /// The hierarchies that the text of a `mountinfo` file names.
    pub(super) fn new(mountinfo: &str, parent: &str) -> Self {
        Self { hierarchies: cgroups::parse(mountinfo), parent: parent.trim_matches('/').to_owned() }
    }

    /// The same without the freezer of version 1.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn freezing_by_version_2(mut self) -> Self {
        for controllers in self.hierarchies.iter_mut().filter_map(|hierarchy| hierarchy.controllers.as_mut()) {
            controllers.retain(|controller| controller != "freezer");
        }
        self
    }

    /// The OCI spec's `cgroupsPath` of an instance.
    pub(super) fn path(&self, id: &InstanceId) -> String {
        format!("/{}/{id}", self.parent)
    }

    /// What an instance's spec has to know of the machine, with what one gets that does not say.
    pub(super) fn machine(&self, options: &RuntimeOptions) -> Machine {
        let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let v1 = self.hierarchies.iter().find(|hierarchy| hierarchy.has("memory"));
        Machine {
            open_files: open_files.unwrap_or(u64::MAX).min(options.open_files),
            swap_limit: v1.is_none_or(|memory| memory.mount.join("memory.memsw.limit_in_bytes").exists()),
            pids_limit: options.pids_limit,
            memory_limit: options.memory_limit.filter(|_| self.limits_memory()),
        }
    }

    /// Whether this machine's kernel can limit memory at all: that of some small boards has to be told to at its start.
    fn limits_memory(&self) -> bool {
        self.hierarchies.iter().any(|hierarchy| match hierarchy.controllers {
            Some(_) => hierarchy.has("memory"),
            None => fs::read_to_string(hierarchy.mount.join("cgroup.controllers"))
                .is_ok_and(|text| text.split_ascii_whitespace().any(|controller| controller == "memory")),
        })
    }

    /// Whether the kernel killed a process of the instance because it used more memory than it may. Only until the
    /// group is removed.
    pub(super) fn ran_out_of_memory(&self, id: &InstanceId) -> bool {
        let Some((group, version)) = self.group_of("memory", id) else { return false };
        let file = match version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        fs::read_to_string(group.join(file)).is_ok_and(|text| oom_kills(&text) > 0)
    }

    /// The processes of an instance, in groups that it made itself, too.
    pub(super) fn processes(&self, id: &InstanceId) -> Vec<u32> {
        let mut found = Vec::new();
        let mut groups: Vec<_> = self.group_of("memory", id).into_iter().map(|(group, _)| group).collect();
        while let Some(group) = groups.pop() {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|pid| pid.parse::<u32>().ok()));
            groups.extend(cgroups::groups_in(&group));
        }
        found
    }

    /// Kills every process that is left in the instance's groups, frozen or not. The id is never used twice, so they are
    /// its own.
    pub(super) fn kill(&self, id: &InstanceId) {
        for hierarchy in &self.hierarchies {
            kill_tree(&self.group(hierarchy, id));
        }
    }

    /// Removes the instance's groups, with what still runs in them. Returns what could not be removed.
    pub(super) async fn remove(&self, id: &InstanceId) -> Vec<String> {
        let groups = || self.hierarchies.iter().map(|hierarchy| self.group(hierarchy, id));
        // A killed process leaves its group a moment after it was killed.
        for _ in 0..50 {
            if groups().all(|group| remove_tree(&group).is_ok()) {
                return Vec::new();
            }
            self.kill(id);
            sleep(Duration::from_millis(20)).await;
        }
        groups().filter_map(|group| remove_tree(&group).err()).map(|error| error.to_string()).collect()
    }

    /// Thaws all instances, and tells how many were frozen.
    pub(super) fn thaw_all(&self) -> usize {
        let parents = self.hierarchies.iter().map(|hierarchy| hierarchy.mount.join(&self.parent));
        let groups = parents.flat_map(|parent| fs::read_dir(parent).into_iter().flatten().flatten());
        groups.filter(|group| thaw_group(&group.path())).count()
    }

    /// The process of each instance that has been there for the longest.
    fn first_processes(&self) -> BTreeMap<String, i32> {
        let parents = self.hierarchies.iter().map(|hierarchy| hierarchy.mount.join(&self.parent));
        let groups = parents.flat_map(|parent| fs::read_dir(parent).into_iter().flatten().flatten());
        let mut first: BTreeMap<String, (u64, i32)> = BTreeMap::new();
        for group in groups {
            let Ok(id) = group.file_name().into_string() else { continue };
            let processes = fs::read_to_string(group.path().join("cgroup.procs")).unwrap_or_default();
            for pid in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
                let Some((_, started)) = stat(pid).filter(|(state, _)| !has_ended(*state)) else { continue };
                let this = (started, pid.as_raw_nonzero().get());
                let first = first.entry(id.clone()).or_insert(this);
                *first = this.min(*first);
            }
        }
        first.into_iter().map(|(id, (_, pid))| (id, pid)).collect()
    }

    /// Removes the parent of all groups where it is empty.
    pub(super) fn remove_parent(&self) {
        for hierarchy in &self.hierarchies {
            let _ = fs::remove_dir(hierarchy.mount.join(&self.parent));
        }
    }

    /// The instance's group in which this controller does its work: version 1 has a hierarchy for it, or version 2 does.
    pub(super) fn group_of(&self, controller: &str, id: &InstanceId) -> Option<(PathBuf, Version)> {
        let one = self.hierarchies.iter().find(|hierarchy| hierarchy.has(controller));
        let two = || self.hierarchies.iter().find(|hierarchy| hierarchy.controllers.is_none());
        let one = one.map(|hierarchy| (hierarchy, Version::One));
        let (hierarchy, version) = one.or_else(|| two().map(|hierarchy| (hierarchy, Version::Two)))?;
        Some((self.group(hierarchy, id), version))
    }

    /// What freezes an instance; none on a machine without control groups.
    pub(super) fn freezer(&self, id: &InstanceId) -> Option<Freezer> {
        let (group, version) = self.group_of("freezer", id)?;
        Some(match version {
            Version::One => Freezer::One(group),
            Version::Two => Freezer::Two(group),
        })
    }

    fn group(&self, hierarchy: &Hierarchy, id: &InstanceId) -> PathBuf {
        hierarchy.mount.join(&self.parent).join(id.as_str())
    }
}

/// Whether a process is in a control group of this instance, as far as this process can see.
pub(super) fn is_of(id: &InstanceId, pid: Pid) -> bool {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap_or_default();
    names(&groups, id)
}

/// Whether one of the groups in the text of a `/proc/PID/cgroup` is the instance's, or below it. Its id is used once.
fn names(groups: &str, id: &InstanceId) -> bool {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.flat_map(|path| path.split('/')).any(|part| part == id.as_str())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_hybrid_machine_has_a_memory_hierarchy_of_version_1_beside_version_2() {
        let text = "30 25 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw\n\
                    31 25 0:27 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n\
                    31 25 0:27 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n\
                    32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n\
                    33 25 0:29 / /proc rw - proc proc rw\n";
        let found = Cgroups::new(text, "/actord");
        assert_eq!(found.hierarchies.len(), 3);
        let group = |controller| found.group_of(controller, &"f-1".parse().unwrap());
        let at = |mount: &str, version| Some((Path::new(mount).join("actord/f-1"), version));
        assert_eq!(group("memory"), at("/sys/fs/cgroup/memory", Version::One));
        assert_eq!(group("cpuacct"), at("/sys/fs/cgroup/cpu,cpuacct", Version::One));
        assert_eq!(group("io"), at("/sys/fs/cgroup/unified", Version::Two));
    }

    #[test]
    fn a_process_is_an_instances_by_the_group_that_it_is_in_or_below() {
        let id = "f-1".parse().unwrap();
        for (groups, expected) in [
            ("4:memory:/actord/f-1\n0::/\n", true),
            ("0::/actord/f-1/its/own\n", true),
            ("0::/../actord/f-1\n", true),
            ("4:memory:/actord/f-11\n1:name=f-1:/x\n", false),
            ("", false),
        ] {
            assert_eq!(names(groups, &id), expected, "{groups}");
        }
    }
}
