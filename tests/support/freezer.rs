//! The freezer of one instance's control group, by plain file writes: what no freeze or thaw can be faster than.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a floor that can't be measured is none")]

use std::fs;
use std::path::{Path, PathBuf};

use tokio::time::{Duration, Instant};

/// How long the kernel may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A group's switch: `freezer.state` of the first version, or `cgroup.freeze` of the second.
#[derive(Debug, Clone)]
pub struct Freezer {
    group: PathBuf,
    second: bool,
}

impl Freezer {
    /// Of an instance below this cgroup parent; none while there is no such group.
    pub fn of(parent: &str, instance: &str) -> Option<Self> {
        let group = |root: &str| Path::new(root).join(parent).join(instance);
        let first = group("/sys/fs/cgroup/freezer");
        if first.join("freezer.state").exists() {
            return Some(Self { group: first, second: false });
        }
        let second = group("/sys/fs/cgroup");
        second.join("cgroup.freeze").exists().then_some(Self { group: second, second: true })
    }

    /// Freezes, and waits until every process stands still.
    pub fn freeze(&self) {
        self.write("1", "FROZEN");
        let begun = Instant::now();
        while !self.is_frozen() {
            assert!(begun.elapsed() < PATIENCE, "{} does not freeze", self.group.display());
        }
    }

    /// Thaws. The processes run when this returns.
    pub fn thaw(&self) {
        self.write("0", "THAWED");
    }

    fn write(&self, second: &str, first: &str) {
        let (name, word) = if self.second { ("cgroup.freeze", second) } else { ("freezer.state", first) };
        fs::write(self.group.join(name), word).unwrap();
    }

    /// Whether every process stands still.
    pub fn is_frozen(&self) -> bool {
        let read = |name: &str| fs::read_to_string(self.group.join(name)).unwrap_or_default();
        if self.second {
            read("cgroup.events").lines().any(|line| line == "frozen 1")
        } else {
            read("freezer.state").trim() == "FROZEN"
        }
    }

    /// The processes in the group.
    pub fn processes(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        text.lines().map(|pid| pid.parse().unwrap_or_else(|_| panic!("a process id: {pid:?}"))).collect()
    }
}
