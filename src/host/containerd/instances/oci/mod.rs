//! Image config + function spec + paths -> the OCI runtime spec of one instance. Pure.
//!
//! `process` is what runs, `mounts` what it finds, `resources` how much it may use.

mod mounts;
mod process;
mod resources;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use oci_spec::OciSpecError;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{
    LinuxBuilder, LinuxIdMapping, LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType,
    RootBuilder, SpecBuilder,
};

pub use process::OPEN_FILES;

use super::hidden;
use super::seccomp;
use super::user::Identity;
use super::volumes::Volume;
use crate::function::{Capability, Spec};
use crate::host::{HostError, IdMapping, Termination, stop_signal};

/// The annotation that the OCI image specification has for an image's `StopSignal`.
const STOP_SIGNAL: &str = "org.opencontainers.image.stopSignal";

/// The annotation by which shims are shared, of containerd's own and of actord's.
const SHARD: &str = "io.containerd.runc.v2.group";

/// Ports below 1024 and ping, without a capability: the network namespace is the instance's own.
pub(super) const PARAMETERS: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// What the host has to say about an instance's spec.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// The most open files of a process: no more than the hard limit, beyond which runc may not go.
    pub(super) open_files: u64,
    /// Whether swap can be limited.
    pub(super) swap_limit: bool,
    /// The most processes of an instance whose function does not say.
    pub(super) pids_limit: u32,
    /// The most memory of one, in bytes.
    pub(super) memory_limit: Option<u64>,
}

/// The instance's own files and places on the host.
#[derive(Debug, Clone)]
pub(super) struct Places<'a> {
    pub(super) netns: &'a Path,
    pub(super) resolv_conf: &'a Path,
    pub(super) hosts: &'a Path,
    pub(super) secrets: Option<&'a Path>,
    /// The kernel's view of its devices, where the network has its kernel parameters already, too: both are given to a runtime
    /// that can't make them in a user namespace.
    pub(super) sys: Option<&'a Path>,
    pub(super) cgroup: &'a str,
    /// The shard of its shim, where it shares one.
    pub(super) shard: Option<usize>,
}

/// All that the runtime spec of one instance is made from.
#[derive(Debug, Clone)]
pub(super) struct Instance<'a> {
    pub(super) image: &'a ImageConfiguration,
    pub(super) spec: &'a Spec,
    /// The function's name.
    pub(super) hostname: &'a str,
    pub(super) identity: &'a Identity,
    /// How its users and groups are mapped; none: they are the machine's.
    pub(super) ids: Option<IdMapping>,
    pub(super) volumes: &'a [Volume],
    /// What it may do of what root may, whoever its user is.
    pub(super) capabilities: &'a BTreeSet<Capability>,
    pub(super) places: Places<'a>,
    pub(super) machine: Machine,
    /// The paths that it does not see.
    pub(super) masked: &'a [String],
}

impl Instance<'_> {
    /// The runtime spec.
    ///
    /// # Errors
    /// [`HostError::Spec`] when the image has nothing to run.
    pub(super) fn runtime_spec(&self) -> Result<oci_spec::runtime::Spec, HostError> {
        let arguments = process::arguments(self.image)?;
        self.build(arguments)
            .map_err(|error| HostError::Failed(format!("build the runtime spec of {}: {error}", self.hostname)))
    }

    fn build(&self, arguments: Vec<String>) -> Result<oci_spec::runtime::Spec, OciSpecError> {
        let mut linux = LinuxBuilder::default()
            .cgroups_path(self.places.cgroup)
            .namespaces(namespaces(self.places.netns, self.ids)?)
            .resources(resources::resources(self.spec, self.machine)?)
            .masked_paths(self.masked)
            .readonly_paths(hidden::read_only());
        if self.places.sys.is_none() {
            let parameters = PARAMETERS.map(|(name, value)| (name.to_owned(), value.to_owned()));
            linux = linux.sysctl(HashMap::from(parameters));
        }
        if let Some(ids) = self.ids {
            linux = linux.uid_mappings([mapping(ids)?]).gid_mappings([mapping(ids)?]);
        }
        if let Some(profile) = seccomp::profile(self.capabilities, self.spec.compat_32bit())? {
            linux = linux.seccomp(profile);
        }
        let root = RootBuilder::default().path("rootfs").readonly(self.spec.read_only_root_filesystem).build()?;
        let stop_signal = stop_signal(self.image).map(|text| (STOP_SIGNAL.to_owned(), text.to_owned()));
        let shard = self.places.shard.map(|shard| (SHARD.to_owned(), format!("shard-{shard}")));
        SpecBuilder::default()
            .version("1.0.2")
            .annotations(stop_signal.into_iter().chain(shard).collect::<HashMap<_, _>>())
            .hostname(self.hostname)
            .root(root)
            .mounts(mounts::mounts(self.spec, self.volumes, &self.places)?)
            .process(process::process(self, arguments)?)
            .linux(linux.build()?)
            .build()
    }
}

/// How an instance wants to be ended, from its runtime spec as [`Instance::runtime_spec`] made it, or an older program did.
pub(super) fn termination(spec: &[u8]) -> Result<Termination, serde_json::Error> {
    let spec: oci_spec::runtime::Spec = serde_json::from_slice(spec)?;
    let environment = spec.process().as_ref().and_then(|process| process.env().clone()).unwrap_or_default();
    let variable = |entry: &String| entry.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let signal = spec.annotations().as_ref().and_then(|annotations| annotations.get(STOP_SIGNAL));
    Ok(Termination::of(signal.map(String::as_str), &environment.iter().filter_map(variable).collect()))
}

fn mapping(ids: IdMapping) -> Result<LinuxIdMapping, OciSpecError> {
    LinuxIdMappingBuilder::default().container_id(0_u32).host_id(ids.first()).size(ids.count()).build()
}

fn namespaces(netns: &Path, ids: Option<IdMapping>) -> Result<Vec<LinuxNamespace>, OciSpecError> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    let own = [Pid, Ipc, Uts, Mount, Cgroup].into_iter().chain(ids.map(|_| User));
    let own = own.map(|kind| LinuxNamespaceBuilder::default().typ(kind).build());
    let given = LinuxNamespaceBuilder::default().typ(Network).path(netns).build();
    own.chain([given]).collect()
}
