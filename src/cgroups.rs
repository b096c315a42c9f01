//! Control groups as the kernel shows them: which hierarchies are mounted, and a group with those below it. Both sides ask
//! it: actord, of the instances that it looks after, and the shim, of the containers that it makes.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// A hierarchy of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) mount: PathBuf,
    /// What a hierarchy of version 1 is mounted with: its controllers, or its name. None for version 2, of which a machine
    /// has one.
    pub(crate) controllers: Option<Vec<String>>,
}

impl Hierarchy {
    /// Whether it is one of version 1 with this controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().flatten().any(|one| one == controller)
    }

    /// A group by its path in every hierarchy.
    pub(crate) fn group(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }
}

/// Reads which hierarchies are mounted. That takes the longer the more mounts there are.
///
/// # Errors
/// When `mountinfo` can't be read.
pub(crate) fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    Ok(parse(&fs::read_to_string("/proc/self/mountinfo")?))
}

/// The hierarchies in the text of a `mountinfo` file, each once.
pub(crate) fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        let (Some(at), mut kind) = (mount.split(' ').nth(4), kind.split(' ')) else { continue };
        let (Some(kind), Some(options)) = (kind.next(), kind.nth(1)) else { continue };
        let names = || options.split(',').filter(|name| !matches!(*name, "rw" | "ro" | "xattr")).map(str::to_owned);
        let controllers = match kind {
            "cgroup" => Some(names().collect()),
            "cgroup2" => None,
            _ => continue,
        };
        if !found.iter().any(|known| known.controllers == controllers) {
            found.push(Hierarchy { mount: at.into(), controllers });
        }
    }
    found
}

/// The count in a line `oom_kill N`, which both versions write.
pub(crate) fn oom_kills(text: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

/// Kills the processes of a group and of those that they made in it, and thaws them: until then version 1 ends none.
pub(crate) fn kill_tree(group: &Path) {
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process of another pid namespace, which is none that was started here.
    for pid in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    for (file, text) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        let file = fs::OpenOptions::new().write(true).open(group.join(file));
        let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
    }
    for below in groups_in(group) {
        kill_tree(&below);
    }
}

/// Removes a group and those that its processes made in it. The files of a group go with it. None is fine.
///
/// # Errors
/// The group that can't be removed, by name.
pub(crate) fn remove_tree(group: &Path) -> io::Result<()> {
    match fs::remove_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(()) => return Ok(()),
        Err(_) => {}
    }
    for below in groups_in(group) {
        remove_tree(&below)?;
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("remove cgroup {}: {error}", group.display())))
        }
        _ => Ok(()),
    }
}

/// The groups in a group.
pub(crate) fn groups_in(group: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hierarchy_is_known_once_and_version_2_beside_them() {
        let text = "30 25 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw\n\
                    31 25 0:27 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n\
                    31 25 0:27 / /tmp/again rw,nosuid - cgroup cgroup rw,memory\n\
                    32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    33 25 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                    34 25 0:30 / /proc rw - proc proc rw\n";
        let found = parse(text);
        let names: Vec<_> = found.iter().map(|one| one.controllers.as_ref().map(|all| all.join(","))).collect();
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(names, [None, name("memory"), name("cpu,cpuacct"), name("name=systemd")]);
        assert!(found[2].has("cpuacct") && !found[2].has("cpuset"));
        assert_eq!(found[1].group("/a/f-1"), Path::new("/sys/fs/cgroup/memory/a/f-1"));
    }

    #[test]
    fn out_of_memory_is_counted_in_either_versions_file() {
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3);
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"), 0);
        assert_eq!(oom_kills(""), 0);
    }
}
