//! What functions don't see of the kernel's file systems, and what they can't write to there.
//!
//! The published defaults of Docker and containerd as of 2026: keys, memory and timers of the machine, its firmware, and what
//! tells of others' work by heat and power.

use std::fs;
use std::path::Path;

/// What the machine has of each processor.
pub(super) const PROCESSORS: &str = "/sys/devices/system/cpu";

/// Hidden wherever it is.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Read-only: root in a container owns these, and needs no capability to write to them.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The paths to hide on a machine with these processors; what counts when they get hot is told for each.
pub(super) fn masked(processors: &Path) -> Vec<String> {
    let processors = fs::read_dir(processors).into_iter().flatten().flatten();
    let throttles = processors.map(|entry| entry.path().join("thermal_throttle")).filter(|path| path.is_dir());
    let mut throttles: Vec<String> = throttles.map(|path| path.to_string_lossy().into_owned()).collect();
    throttles.sort_unstable();
    MASKED.map(str::to_owned).into_iter().chain(throttles).collect()
}

pub(super) fn read_only() -> Vec<String> {
    READ_ONLY.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_heat_is_hidden_for_each_processor_that_tells_it() {
        let machine = tempfile::tempdir().unwrap();
        for path in ["cpu0/thermal_throttle", "cpu1/thermal_throttle", "cpu2", "cpufreq"] {
            fs::create_dir_all(machine.path().join(path)).unwrap();
        }
        let masked = masked(machine.path());
        let of = |name: &str| machine.path().join(name).join("thermal_throttle").to_string_lossy().into_owned();
        assert_eq!(masked[MASKED.len()..], [of("cpu0"), of("cpu1")]);
        assert!(masked.iter().any(|path| path == "/proc/kcore"));
    }

    #[test]
    fn a_machine_that_tells_nothing_of_its_processors_hides_the_rest() {
        assert_eq!(masked(Path::new("/no/such/directory")), MASKED);
    }

    #[test]
    fn no_less_is_hidden_or_read_only_than_the_runtime_specification_names() {
        use oci_spec::runtime::{get_default_maskedpaths, get_default_readonly_paths};
        let here = masked(Path::new(PROCESSORS));
        assert!(get_default_maskedpaths().iter().all(|path| here.contains(path)));
        assert!(get_default_readonly_paths().iter().all(|path| read_only().contains(path)));
    }
}
