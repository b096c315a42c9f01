//! What an instance has used, read from the files of its control groups: no process is started, containerd is not asked.
//!
//! | | version 1 | version 2 |
//! | --- | --- | --- |
//! | cpu | `cpuacct.usage` (ns) | `cpu.stat`: `usage_usec` |
//! | memory | `memory.usage_in_bytes` | `memory.current` |
//! | of that, easily given back | `memory.stat`: `total_inactive_file` | `memory.stat`: `inactive_file` |

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::cgroup::{Cgroups, Version};
use crate::function::InstanceId;
use crate::host::Usage;

/// The unit of the times in `/proc/PID/stat`. Linux has shown hundredths to programs since long before containers.
const TICKS_PER_SECOND: u64 = 100;

impl Cgroups {
    /// What an instance has used; none when no process of it is left.
    pub(super) fn usage(&self, id: &InstanceId) -> io::Result<Option<Usage>> {
        let missing = |what| io::Error::new(io::ErrorKind::Unsupported, format!("this machine counts no {what}"));
        let (cpu, cpu_version) = self.group_of("cpuacct", id).ok_or_else(|| missing("cpu time"))?;
        let (memory, memory_version) = self.group_of("memory", id).ok_or_else(|| missing("memory"))?;
        let read = || -> io::Result<Option<Usage>> {
            let Some(age) = age(&cpu)? else { return Ok(None) };
            Ok(Some(Usage {
                cpu: cpu_time(&cpu, cpu_version)?,
                memory_bytes: working_set(&memory, memory_version)?,
                age,
            }))
        };
        match read() {
            // The group went before it was opened, or while it was being read.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV) => Ok(None),
            read => read,
        }
    }
}

const ENODEV: i32 = rustix::io::Errno::NODEV.raw_os_error();

fn cpu_time(group: &Path, version: Version) -> io::Result<Duration> {
    Ok(match version {
        Version::One => Duration::from_nanos(number(&group.join("cpuacct.usage"))?),
        Version::Two => Duration::from_micros(line(&group.join("cpu.stat"), "usage_usec")?),
    })
}

/// Memory without the part of the page cache that was not looked at lately: what kubelet and `docker stats` show.
fn working_set(group: &Path, version: Version) -> io::Result<u64> {
    let (used, given_back) = match version {
        Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
        Version::Two => ("memory.current", "inactive_file"),
    };
    // The two are not of the same moment.
    Ok(number(&group.join(used))?.saturating_sub(line(&group.join("memory.stat"), given_back)?))
}

/// How long the group's first process has run; none without a process.
fn age(group: &Path) -> io::Result<Option<Duration>> {
    let processes = fs::read_to_string(group.join("cgroup.procs"))?;
    // One that has just ended has no `stat` any more: the next one then.
    let stat = processes.lines().find_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    let Some(stat) = stat else { return Ok(None) };
    let uptime = fs::read_to_string("/proc/uptime")?;
    let uptime = uptime.split(' ').next().and_then(|seconds| seconds.parse::<f64>().ok());
    let (Some(started), Some(uptime)) = (started(&stat), uptime) else { return Err(unreadable(Path::new("/proc"))) };
    Ok(Some(Duration::from_secs_f64(uptime).saturating_sub(started)))
}

/// When a process was started, counted from the machine's start: field 22 of its `stat`. Field 2 is its name, which may
/// hold spaces and parentheses.
fn started(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: u64 = after_name.split_ascii_whitespace().nth(22 - 3)?.parse().ok()?;
    Some(Duration::from_millis(ticks.saturating_mul(1_000 / TICKS_PER_SECOND)))
}

/// A file that holds one number.
fn number(path: &Path) -> io::Result<u64> {
    fs::read_to_string(path)?.trim().parse().map_err(|_| unreadable(path))
}

/// The number in the line `key N` of a file.
fn line(path: &Path, key: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok());
    value.ok_or_else(|| unreadable(path))
}

fn unreadable(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} has another shape", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A machine whose hierarchies are directories, with a group of this very process in each.
    fn machine(base: &Path, mounts: &[(&str, &str)], files: &[(&str, &str)]) -> Cgroups {
        let mountinfo: String =
            mounts.iter().map(|(at, kind)| format!("1 1 0:1 / {}/{at} rw - {kind}\n", base.display())).collect();
        for (at, _) in mounts {
            let group = base.join(at).join("actord/f-1");
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("cgroup.procs"), format!("{}\n", std::process::id())).unwrap();
        }
        for (path, text) in files {
            let (mount, file) = path.split_once('/').unwrap();
            fs::write(
                [mount, "actord/f-1", file].iter().fold(base.to_owned(), |at: PathBuf, part| at.join(part)),
                text,
            )
            .unwrap();
        }
        Cgroups::new(&mountinfo, "/actord")
    }

    fn used(cgroups: &Cgroups) -> io::Result<Option<(u64, u64)>> {
        let used = cgroups.usage(&"f-1".parse().unwrap())?;
        let running_for = |age: Duration| assert!(age < Duration::from_secs(3_600), "{age:?}");
        Ok(used.map(|used| {
            running_for(used.age);
            (used.cpu.as_nanos().try_into().unwrap(), used.memory_bytes)
        }))
    }

    #[test]
    fn version_1_tells_cpu_and_memory_in_hierarchies_of_their_own_also_beside_version_2() {
        let base = tempfile::tempdir().unwrap();
        let mounts = [
            ("unified", "cgroup2 cgroup2 rw"),
            ("memory", "cgroup cgroup rw,memory"),
            ("cpu", "cgroup cgroup rw,cpu,cpuacct"),
        ];
        let files = [
            ("cpu/cpuacct.usage", "1500000001\n"),
            ("memory/memory.usage_in_bytes", "5000\n"),
            ("memory/memory.stat", "cache 4000\ninactive_file 1\ntotal_cache 4000\ntotal_inactive_file 3000\n"),
        ];
        assert_eq!(used(&machine(base.path(), &mounts, &files)).unwrap(), Some((1_500_000_001, 2_000)));
    }

    #[test]
    fn version_2_tells_all_in_one_group() {
        let base = tempfile::tempdir().unwrap();
        let files = [
            ("all/cpu.stat", "usage_usec 1500001\nuser_usec 1000000\nsystem_usec 500001\n"),
            ("all/memory.current", "5000\n"),
            ("all/memory.stat", "anon 1000\ninactive_anon 9\ninactive_file 6000\n"),
        ];
        let cgroups = machine(base.path(), &[("all", "cgroup2 cgroup2 rw")], &files);
        assert_eq!(used(&cgroups).unwrap(), Some((1_500_001_000, 0)), "never less than nothing");
    }

    #[test]
    fn what_is_gone_or_has_no_process_uses_nothing_and_what_can_not_be_read_is_an_error() {
        let base = tempfile::tempdir().unwrap();
        let cgroups = machine(base.path(), &[("all", "cgroup2 cgroup2 rw")], &[]);
        assert_eq!(used(&cgroups).unwrap(), None, "its files went before they were opened");
        let group = base.path().join("all/actord/f-1");
        fs::write(group.join("cpu.stat"), "nr_periods 0\n").unwrap();
        assert!(used(&cgroups).unwrap_err().to_string().contains("cpu.stat"));
        // Beyond what Linux gives out.
        for nobody in ["", "4194305\n"] {
            fs::write(group.join("cgroup.procs"), nobody).unwrap();
            assert_eq!(used(&cgroups).unwrap(), None);
        }
        assert!(used(&Cgroups::new("", "/actord")).is_err());
    }

    #[test]
    fn a_start_is_found_behind_any_name() {
        let rest = (3..=30).map(|field| format!(" {field}00")).collect::<String>();
        assert_eq!(started(&format!("7 (a) b) S{}", &rest[" 300".len()..])), Some(Duration::from_secs(22)));
        assert_eq!(started("7 (short) S 1"), None);
    }
}
