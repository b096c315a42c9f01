//! Memory of processes, in bytes.

use std::fs;

/// What a process holds that lies in memory, shared pages and all.
pub(crate) fn resident(pid: i32) -> f64 {
    line(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// A process's proportional share: of a page that several have, each has its part. Of all processes together it is what
/// they really take.
pub(crate) fn share(pid: i32) -> f64 {
    line(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// The sum of the shares.
pub(crate) fn shares(pids: impl IntoIterator<Item = i32>) -> f64 {
    pids.into_iter().map(share).sum()
}

/// 0 for a process that has ended.
fn line(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.map_or(0.0, |value| value.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0)
}
