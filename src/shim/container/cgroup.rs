//! A container's control groups: one under every hierarchy of the machine, as runc makes them.
//!
//! A process joins a group of version 1 by writing `0` to its `tasks`: the kernel then moves the one thread that writes.
//! Any other way (another process's number, or `cgroup.procs`) waits until no process of the machine is just being made
//! or ended, which takes most of the time that making a container takes otherwise. A group of version 2 has no such way:
//! a process is made in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::fault::Fault;
use super::limits::Write;

/// How often the removal of a group is tried again, and how long between.
const TRIES: u32 = 250;
const PAUSE: Duration = Duration::from_millis(2);

/// The hierarchies of this machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Hierarchies(Vec<Hierarchy>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) mount: PathBuf,
    /// What a hierarchy of version 1 is mounted with: its controllers, or its name. None for version 2.
    pub(super) controllers: Option<Vec<String>>,
}

impl Hierarchy {
    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().flatten().any(|one| one == controller)
    }

    fn group(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }
}

impl Hierarchies {
    /// Reads which are mounted. That takes the longer the more mounts there are, so it is done once.
    pub(super) fn of_this_machine() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/self/mountinfo")?))
    }

    fn parse(mountinfo: &str) -> Self {
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
        Self(found)
    }

    /// The hierarchies of version 1.
    pub(super) fn of_version_1(&self) -> impl Iterator<Item = &Hierarchy> {
        self.0.iter().filter(|hierarchy| hierarchy.controllers.is_some())
    }

    /// Makes the group of version 2 and opens it; none where that is not mounted.
    pub(super) fn make_unified(&self, path: &str, writes: &[Write]) -> Result<Option<fs::File>, Fault> {
        let Some(hierarchy) = self.0.iter().find(|hierarchy| hierarchy.controllers.is_none()) else { return Ok(None) };
        let group = hierarchy.group(path);
        // Where the other controllers are of version 1, there is nothing to hand down.
        if self.of_version_1().next().is_none() {
            hand_down(&hierarchy.mount, &group)?;
        }
        make(&group)?;
        for write in writes.iter().filter(|write| write.controller.is_none()) {
            set(&group, write)?;
        }
        fs::File::open(&group)
            .map(Some)
            .map_err(|error| Fault::setup(format!("open {}", group.display()))(errno(&error)))
    }

    /// Makes the groups of version 1 with their limits, and takes this process, which has one thread, into each.
    pub(super) fn join(&self, path: &str, writes: &[Write]) -> Result<(), Fault> {
        for hierarchy in self.of_version_1() {
            let group = hierarchy.group(path);
            make(&group)?;
            if hierarchy.has("cpuset") {
                inherit_cpuset(&hierarchy.mount, &group)?;
            }
            let here = |write: &&Write| write.controller.is_some_and(|controller| hierarchy.has(controller));
            for write in writes.iter().filter(here) {
                set(&group, write)?;
            }
            let tasks = group.join("tasks");
            let doing = format!("unable to apply cgroup configuration: failed to write 0: write {}", tasks.display());
            fs::write(&tasks, "0").map_err(|error| Fault::setup(doing)(errno(&error)))?;
        }
        Ok(())
    }

    /// Whether the kernel killed a process of the group for lack of memory.
    pub(super) fn ran_out_of_memory(&self, path: &str) -> bool {
        self.0.iter().any(|hierarchy| {
            let file = match &hierarchy.controllers {
                Some(_) if hierarchy.has("memory") => "memory.oom_control",
                None => "memory.events",
                Some(_) => return false,
            };
            let text = fs::read_to_string(hierarchy.group(path).join(file)).unwrap_or_default();
            text.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
        })
    }

    /// Kills all that runs in the groups, and in those that were made in them.
    pub(super) fn kill(&self, path: &str) {
        self.0.iter().for_each(|hierarchy| kill_tree(&hierarchy.group(path)));
    }

    /// Removes the groups, and those that were made in them, with all that still runs there. None is fine.
    ///
    /// # Errors
    /// What could not be removed.
    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        let groups: Vec<PathBuf> = self.0.iter().map(|hierarchy| hierarchy.group(path)).collect();
        let mut failed = Ok(());
        for _ in 0..TRIES {
            failed = groups.iter().try_for_each(|group| remove_tree(group));
            if failed.is_ok() {
                break;
            }
            groups.iter().for_each(|group| kill_tree(group));
            // A killed process leaves its group when it has ended, a moment after.
            pause();
        }
        failed
    }
}

#[allow(clippy::disallowed_methods)]
fn pause() {
    std::thread::sleep(PAUSE);
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn make(group: &Path) -> Result<(), Fault> {
    let doing = || format!("unable to apply cgroup configuration: mkdir {}", group.display());
    fs::create_dir_all(group).map_err(|error| Fault::setup(doing())(errno(&error)))
}

fn set(group: &Path, write: &Write) -> Result<(), Fault> {
    let file = group.join(write.file);
    let Write { text, .. } = write;
    match fs::write(&file, text) {
        // Swap is not counted on every machine.
        Err(error) if write.may_be_missing && error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let file = file.display();
            let doing =
                format!("error setting cgroup config for procHooks process: failed to write \"{text}\": write {file}");
            Err(Fault::setup(doing)(errno(&error)))
        }
        Ok(()) => Ok(()),
    }
}

/// Gives each group on the way down the processors and memory that the one above it has: nothing can join it before.
fn inherit_cpuset(mount: &Path, group: &Path) -> Result<(), Fault> {
    let below = group.strip_prefix(mount).unwrap_or(group);
    let mut above = mount.to_owned();
    for name in below.components() {
        let next = above.join(name);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let read = |group: &Path| fs::read_to_string(group.join(file)).unwrap_or_default();
            if read(&next).trim().is_empty() {
                let doing = format!("unable to apply cgroup configuration: write {}", next.join(file).display());
                fs::write(next.join(file), read(&above)).map_err(|error| Fault::setup(doing)(errno(&error)))?;
            }
        }
        above = next;
    }
    Ok(())
}

/// Has each group on the way down hand its controllers on: version 2 wants to be told.
fn hand_down(mount: &Path, group: &Path) -> Result<(), Fault> {
    let mut above = mount.to_owned();
    for name in group.strip_prefix(mount).unwrap_or(group).components() {
        let has = |file: &str| fs::read_to_string(above.join(file)).unwrap_or_default();
        let (all, given) = (has("cgroup.controllers"), has("cgroup.subtree_control"));
        for controller in all.split_whitespace().filter(|one| !given.split_whitespace().any(|known| known == *one)) {
            // One that can't be handed on is missed where a limit of it is set.
            let _ = fs::write(above.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        above.push(name);
        make(&above)?;
    }
    Ok(())
}

fn kill_tree(group: &Path) {
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process of another pid namespace, which is none that was started here.
    for pid in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    // Version 1 ends no process that is frozen.
    if group.join("freezer.state").exists() {
        let _ = fs::write(group.join("freezer.state"), "THAWED");
    }
    for below in groups_in(group) {
        kill_tree(&below);
    }
}

fn remove_tree(group: &Path) -> io::Result<()> {
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

fn groups_in(group: &Path) -> impl Iterator<Item = PathBuf> {
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
        let Hierarchies(found) = Hierarchies::parse(text);
        let names: Vec<_> = found.iter().map(|one| one.controllers.as_ref().map(|all| all.join(","))).collect();
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(names, [None, name("memory"), name("cpu,cpuacct"), name("name=systemd")]);
        assert!(found[2].has("cpuacct") && !found[2].has("cpuset"));
        assert_eq!(found[1].group("/a/f-1"), Path::new("/sys/fs/cgroup/memory/a/f-1"));
    }

    #[test]
    fn nothing_to_remove_is_fine() {
        let directory = tempfile::tempdir().unwrap();
        let mount = directory.path().to_owned();
        let hierarchies = Hierarchies(vec![Hierarchy { mount: mount.clone(), controllers: None }]);
        hierarchies.remove("/gone/f-1").unwrap();
        fs::create_dir_all(mount.join("a/f-1/below/it")).unwrap();
        hierarchies.remove("/a/f-1").unwrap();
        assert!(!mount.join("a/f-1").exists() && mount.join("a").exists());
    }
}
