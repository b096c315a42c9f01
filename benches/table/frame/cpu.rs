//! Processor time: of one process, of a tree of them with all that it starts and loses, and of the whole machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a process has used, threads that ended included, in steps of 10 ms: for long looks. [`Account`] has finer ones.
pub(crate) fn of_process(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

/// A control group that only counts: processes that are put into it, and all that they start, whether it is still there or
/// not. An instance has groups of its own and is not in it.
#[derive(Debug)]
pub(crate) struct Account {
    group: PathBuf,
}

impl Account {
    /// With these processes, and none of their children before now.
    pub(crate) fn open(pids: impl IntoIterator<Item = i32>) -> Self {
        let first = Path::new("/sys/fs/cgroup/cpuacct");
        let root = if first.is_dir() { first } else { Path::new("/sys/fs/cgroup") };
        let account = Self { group: root.join(format!("actord-bench-{:08x}", rand::random::<u32>())) };
        fs::create_dir(&account.group).unwrap_or_else(|error| panic!("{}: {error}", account.group.display()));
        for pid in pids {
            // One that has just ended is no fault.
            let _ = fs::write(account.group.join("cgroup.procs"), pid.to_string());
        }
        account
    }

    /// What they have used since they are in it.
    pub(crate) fn used(&self) -> Duration {
        if let Ok(nanoseconds) = fs::read_to_string(self.group.join("cpuacct.usage")) {
            return Duration::from_nanos(nanoseconds.trim().parse().unwrap());
        }
        let text = fs::read_to_string(self.group.join("cpu.stat")).unwrap();
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).expect("a line with the usage");
        Duration::from_micros(used.parse().unwrap())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // Who is still in it goes back to where everything is that has no group.
        let root = self.group.parent().unwrap();
        for pid in fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(root.join("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(&self.group);
    }
}

/// What all processors have been busy and idle for since the machine's start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    busy: u64,
    all: u64,
}

impl Machine {
    pub(crate) fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap();
        let fields: Vec<u64> =
            text.lines().next().unwrap().split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
        let all = fields.iter().take(8).sum();
        // The fourth is idle, the fifth waits for a disk.
        Self { busy: all - fields[3] - fields[4], all }
    }

    /// Which part of the time since then the processors were busy, 0 to 1.
    pub(crate) fn busy_since(before: Self) -> f64 {
        let now = Self::now();
        (now.busy - before.busy) as f64 / (now.all - before.all).max(1) as f64
    }
}
