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

use super::fault::Fault;
use super::limits::Write;
use crate::cgroups::{self, Hierarchy, kill_tree, remove_tree};

/// How often the removal of a group is tried again, and how long between.
const TRIES: u32 = 250;
const PAUSE: Duration = Duration::from_millis(2);

/// The hierarchies of this machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Hierarchies(Vec<Hierarchy>);

impl Hierarchies {
    /// Reads which are mounted. That takes the longer the more mounts there are, so it is done once.
    pub(super) fn of_this_machine() -> io::Result<Self> {
        cgroups::hierarchies().map(Self)
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
            cgroups::oom_kills(&fs::read_to_string(hierarchy.group(path).join(file)).unwrap_or_default()) > 0
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

#[cfg(test)]
mod tests {
    use super::*;

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
