//! What a runtime spec says of resources, as writes to files of control groups. Pure.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    /// The controller of version 1 whose file it is; none for version 2.
    pub(super) controller: Option<&'static str>,
    pub(super) file: &'static str,
    pub(super) text: String,
    /// Whether machines exist that have no such file.
    pub(super) may_be_missing: bool,
}

/// The devices that every container may use, as runc allows them: nodes of any kind may be made, and these used.
const DEVICES: [&str; 10] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

fn one(controller: &'static str, file: &'static str, text: &(impl ToString + ?Sized)) -> Write {
    Write { controller: Some(controller), file, text: text.to_string(), may_be_missing: false }
}

fn two(file: &'static str, text: &(impl ToString + ?Sized)) -> Write {
    Write { controller: None, file, text: text.to_string(), may_be_missing: false }
}

/// The writes for version 1, in their order.
pub(super) fn of_version_1(resources: Option<&LinuxResources>) -> Vec<Write> {
    let mut writes = vec![one("devices", "devices.deny", "a")];
    writes.extend(DEVICES.iter().map(|device| one("devices", "devices.allow", device)));
    let Some(resources) = resources else { return writes };
    if let Some(memory) = resources.memory() {
        // Memory before memory and swap, which may not be less.
        writes.extend(memory.limit().map(|bytes| one("memory", "memory.limit_in_bytes", &bytes)));
        writes.extend(memory.swap().map(|bytes| one("memory", "memory.memsw.limit_in_bytes", &bytes)));
        writes.extend(memory.reservation().map(|bytes| one("memory", "memory.soft_limit_in_bytes", &bytes)));
    }
    if let Some(cpu) = resources.cpu() {
        writes.extend(cpu.shares().map(|shares| one("cpu", "cpu.shares", &shares)));
        writes.extend(cpu.period().map(|micros| one("cpu", "cpu.cfs_period_us", &micros)));
        writes.extend(cpu.quota().map(|micros| one("cpu", "cpu.cfs_quota_us", &micros)));
    }
    writes.extend(pids(resources).map(|text| one("pids", "pids.max", &text)));
    writes
}

/// The writes for version 2 where it has all controllers.
pub(super) fn of_version_2(resources: Option<&LinuxResources>) -> Vec<Write> {
    let Some(resources) = resources else { return Vec::new() };
    let mut writes = Vec::new();
    writes.extend(resources.memory().iter().flat_map(memory));
    writes.extend(resources.cpu().iter().flat_map(cpu));
    writes.extend(pids(resources).map(|text| two("pids.max", &text)));
    writes
}

fn memory(memory: &LinuxMemory) -> Vec<Write> {
    // Version 1 counts swap with the memory, version 2 by itself.
    let swap = memory.limit().zip(memory.swap()).map(|(limit, both)| both.saturating_sub(limit).max(0));
    let swap = swap.map(|bytes| Write { may_be_missing: true, ..two("memory.swap.max", &bytes) });
    let limit = memory.limit().map(|bytes| two("memory.max", &bytes));
    let reservation = memory.reservation().map(|bytes| two("memory.low", &bytes));
    [limit, swap, reservation].into_iter().flatten().collect()
}

fn cpu(cpu: &LinuxCpu) -> Vec<Write> {
    // From 2 to 262144 on the one scale, from 1 to 10000 on the other.
    let weight = cpu.shares().map(|shares| 1 + (shares.max(2) - 2) * 9_999 / 262_142);
    let weight = weight.map(|weight| two("cpu.weight", &weight));
    let quota = cpu.quota().map(|micros| two("cpu.max", &format!("{micros} {}", cpu.period().unwrap_or(100_000))));
    [weight, quota].into_iter().flatten().collect()
}

fn pids(resources: &LinuxResources) -> Option<String> {
    let limit = resources.pids().as_ref()?.limit();
    Some(if limit > 0 { limit.to_string() } else { "max".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> LinuxResources {
        let text = r#"{"memory":{"limit":100,"swap":100,"reservation":50},
            "cpu":{"shares":1024,"quota":50000,"period":100000},"pids":{"limit":64}}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn both_versions_are_told_the_same() {
        let said = |writes: Vec<Write>| -> Vec<String> {
            let others = writes.into_iter().filter(|write| write.controller != Some("devices"));
            others.map(|write| format!("{} {}", write.file, write.text)).collect()
        };
        assert_eq!(
            said(of_version_1(Some(&resources()))),
            [
                "memory.limit_in_bytes 100",
                "memory.memsw.limit_in_bytes 100",
                "memory.soft_limit_in_bytes 50",
                "cpu.shares 1024",
                "cpu.cfs_period_us 100000",
                "cpu.cfs_quota_us 50000",
                "pids.max 64"
            ]
        );
        assert_eq!(
            said(of_version_2(Some(&resources()))),
            [
                "memory.max 100",
                "memory.swap.max 0",
                "memory.low 50",
                "cpu.weight 39",
                "cpu.max 50000 100000",
                "pids.max 64"
            ]
        );
    }

    #[test]
    fn all_devices_are_denied_before_any_is_allowed() {
        let writes = of_version_1(None);
        assert_eq!((writes[0].file, writes[0].text.as_str()), ("devices.deny", "a"));
        assert!(writes[1..].iter().all(|write| write.file == "devices.allow"));
        assert!(of_version_2(None).is_empty());
    }
}
