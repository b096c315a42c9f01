//! How much of the machine an instance may use. runc makes the files of either version of control groups of it.

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    LinuxCpu, LinuxCpuBuilder, LinuxDeviceCgroupBuilder, LinuxMemory, LinuxMemoryBuilder, LinuxPidsBuilder,
    LinuxResources, LinuxResourcesBuilder,
};

use super::Machine;
use crate::function::Spec;

/// The length of a cpu quota's period in microseconds, and the shortest quota that the kernel takes.
const CPU_PERIOD: u64 = 100_000;
const CPU_QUOTA_MIN: u64 = 1_000;

/// The weight of one core's worth of requested cpu beside other groups, and the bounds that the kernel has for it.
const SHARES_OF_A_CORE: u64 = 1_024;
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 1 << 18;

pub(super) fn resources(spec: &Spec, machine: Machine) -> Result<LinuxResources, OciSpecError> {
    let no_device = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?;
    let pids = LinuxPidsBuilder::default().limit(i64::from(spec.pids_limit().unwrap_or(machine.pids_limit))).build()?;
    let mut resources = LinuxResourcesBuilder::default().devices([no_device]).pids(pids);
    if let Some(memory) = memory(spec, machine)? {
        resources = resources.memory(memory);
    }
    if let Some(cpu) = cpu(spec)? {
        resources = resources.cpu(cpu);
    }
    resources.build()
}

/// Kubernetes calls the soft limit (version 1) or low mark (version 2) a request: so much is not taken away as long as
/// others have more to give.
fn memory(spec: &Spec, machine: Machine) -> Result<Option<LinuxMemory>, OciSpecError> {
    let bytes = |given: Option<u64>| given.and_then(|bytes| i64::try_from(bytes).ok());
    let (own, request) = (bytes(spec.memory_limit_bytes()), bytes(spec.memory_request_bytes()));
    let limit = own.or(bytes(machine.memory_limit));
    let mut memory = LinuxMemoryBuilder::default();
    if let Some(limit) = limit {
        memory = memory.limit(limit);
        if machine.swap_limit && own.is_some() {
            // Memory and swap together: a function that is out of memory ends, and does not grind the machine's disk.
            memory = memory.swap(limit);
        }
    }
    if let Some(request) = request {
        memory = memory.reservation(limit.map_or(request, |limit| request.min(limit)));
    }
    (limit.is_some() || request.is_some()).then(|| memory.build()).transpose()
}

fn cpu(spec: &Spec) -> Result<Option<LinuxCpu>, OciSpecError> {
    let (limit, request) = (spec.cpu_limit_millis(), spec.cpu_request_millis());
    let mut cpu = LinuxCpuBuilder::default();
    if let Some(millis) = limit {
        let quota = (millis.saturating_mul(CPU_PERIOD) / 1_000).max(CPU_QUOTA_MIN);
        cpu = cpu.period(CPU_PERIOD).quota(i64::try_from(quota).unwrap_or(i64::MAX));
    }
    if let Some(millis) = request {
        let shares = millis.saturating_mul(SHARES_OF_A_CORE) / 1_000;
        cpu = cpu.shares(shares.clamp(SHARES_MIN, SHARES_MAX));
    }
    (limit.is_some() || request.is_some()).then(|| cpu.build()).transpose()
}
