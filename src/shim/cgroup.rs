//! The control group of a container: who is in it, how much it uses, and its freezer.
//!
//! Both versions are read, and both side by side: where there is a freezer of version 1, the group is one of version 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cgroups::groups_in;

const ROOT: &str = "/sys/fs/cgroup";
/// How long the processes of a container may take to freeze.
const FREEZES_WITHIN: Duration = Duration::from_secs(2);

/// A container's control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cgroup {
    /// Its path below each controller's hierarchy.
    One(Box<Path>),
    /// Its directory.
    Two(Box<Path>),
}

/// What a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Nanoseconds.
    pub(super) cpu: u64,
    /// Bytes.
    pub(super) memory: u64,
    /// Bytes; 0 where the group says that there is none.
    pub(super) memory_limit: u64,
    pub(super) pids: u64,
}

impl Cgroup {
    /// The group that a process is in.
    pub(super) fn of(pid: i32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        Self::read(&text).ok_or_else(|| io::Error::other(format!("no control group of process {pid} is known")))
    }

    fn read(text: &str) -> Option<Self> {
        let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let inside = |path: &str| path.trim_start_matches('/').to_owned();
        if let Some((_, path)) = lines().find(|(controllers, _)| controllers.split(',').any(|name| name == "freezer")) {
            return Some(Self::One(PathBuf::from(inside(path)).into()));
        }
        let (_, path) = lines().find(|(controllers, _)| controllers.is_empty())?;
        Some(Self::Two(Path::new(ROOT).join(inside(path)).into()))
    }

    /// The directory of a controller.
    fn directory(&self, controller: &str) -> PathBuf {
        match self {
            Self::One(path) => Path::new(ROOT).join(controller).join(path),
            Self::Two(directory) => directory.to_path_buf(),
        }
    }

    /// The processes in it and in groups below it. None where it is gone.
    pub(super) fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        collect(&self.directory("freezer"), &mut found);
        found
    }

    /// What it uses now; 0 where its files don't say.
    pub(super) fn usage(&self) -> Usage {
        let number = |controller: &str, file: &str| {
            let text = fs::read_to_string(self.directory(controller).join(file)).unwrap_or_default();
            text.trim().parse::<u64>().unwrap_or_default()
        };
        match self {
            Self::One(_) => Usage {
                cpu: number("cpuacct", "cpuacct.usage"),
                memory: number("memory", "memory.usage_in_bytes"),
                // What stands for none is nearly 2^63.
                memory_limit: Some(number("memory", "memory.limit_in_bytes"))
                    .filter(|limit| *limit < 1 << 62)
                    .unwrap_or(0),
                pids: number("pids", "pids.current"),
            },
            Self::Two(directory) => {
                let stat = fs::read_to_string(directory.join("cpu.stat")).unwrap_or_default();
                let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<u64>().ok());
                Usage {
                    cpu: micros.unwrap_or_default() * 1_000,
                    memory: number("", "memory.current"),
                    memory_limit: number("", "memory.max"),
                    pids: number("", "pids.current"),
                }
            }
        }
    }

    /// Freezes all of it, or nothing.
    pub(super) async fn freeze(&self) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            // A second time where a process has just come: version 1 says FREEZING until it is reminded.
            self.switch(true)?;
            if self.is_frozen()? {
                return Ok(());
            }
            if begun.elapsed() > FREEZES_WITHIN {
                self.thaw()?;
                return Err(io::Error::other(format!("not all of its processes stopped within {FREEZES_WITHIN:?}")));
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets it go on. No group is fine.
    pub(super) fn thaw(&self) -> io::Result<()> {
        match self.switch(false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            written => written,
        }
    }

    fn switch(&self, frozen: bool) -> io::Result<()> {
        let (file, text) = match (self, frozen) {
            (Self::One(_), true) => ("freezer.state", "FROZEN"),
            (Self::One(_), false) => ("freezer.state", "THAWED"),
            (Self::Two(_), true) => ("cgroup.freeze", "1"),
            (Self::Two(_), false) => ("cgroup.freeze", "0"),
        };
        fs::OpenOptions::new().write(true).open(self.directory("freezer").join(file)).and_then(|mut file| {
            use std::io::Write as _;
            file.write_all(text.as_bytes())
        })
    }

    /// Whether all of it is frozen: by whomever, actord writes these files itself.
    pub(super) fn is_frozen(&self) -> io::Result<bool> {
        let read = |file: &str| fs::read_to_string(self.directory("freezer").join(file));
        Ok(match self {
            Self::One(_) => read("freezer.state")?.trim() == "FROZEN",
            Self::Two(_) => read("cgroup.events")?.lines().any(|line| line == "frozen 1"),
        })
    }
}

fn collect(directory: &Path, found: &mut Vec<i32>) {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for below in groups_in(directory) {
        collect(&below, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_of_version_1_where_a_freezer_is() {
        let hybrid = "9:pids:/fn/f-1\n8:freezer:/fn/f-1\n3:cpu,cpuacct:/fn/f-1\n1:name=systemd:/\n0::/x\n";
        let one = Cgroup::read(hybrid).unwrap();
        assert_eq!(one.directory("memory"), Path::new("/sys/fs/cgroup/memory/fn/f-1"));
        let two = Cgroup::read("0::/fn/f-1\n").unwrap();
        assert_eq!(two.directory("memory"), Path::new("/sys/fs/cgroup/fn/f-1"));
        assert_eq!(Cgroup::read("1:name=systemd:/\n"), None);
    }

    #[test]
    fn processes_of_a_group_and_of_those_below_it_are_found() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("cgroup.procs"), "3\n4\n").unwrap();
        fs::write(directory.path().join("below/cgroup.procs"), "7\n").unwrap();
        let group = Cgroup::Two(directory.path().into());
        assert_eq!(group.processes(), [3, 4, 7]);
        drop(directory);
        assert_eq!(group.processes(), [0_i32; 0]);
        assert!(group.thaw().is_ok(), "a group that is gone is not frozen");
    }
}
