//! Image config + function spec + paths -> the OCI runtime spec of one instance. Pure.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxCpuBuilder, LinuxDeviceCgroupBuilder, LinuxMemoryBuilder,
    LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder,
    Mount, MountBuilder, PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder, RootBuilder, SpecBuilder,
    UserBuilder, get_default_maskedpaths, get_default_readonly_paths,
};

use super::seccomp;
use super::user::Identity;
use crate::function::Spec;
use crate::host::HostError;

/// Where a function finds its secrets.
pub(super) const SECRETS: &str = "/var/openfaas/secrets";

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The most open files of a function's process, where the host allows that many.
pub const OPEN_FILES: u64 = 65_536;

/// The most processes and threads of one instance: room for any server, an end to a fork bomb.
const PIDS: i64 = 4_096;

/// The length of a cpu quota's period in microseconds, and the shortest quota that the kernel takes.
const CPU_PERIOD: u64 = 100_000;
const CPU_QUOTA_MIN: u64 = 1_000;

/// What root in a function may still do. Of Docker's default set these are left out: `MKNOD`, `AUDIT_WRITE` and
/// `SETFCAP`, which servers have no use for. `NET_RAW` is in because it is what other OpenFaaS providers grant. A user
/// other than root has none of them: they are neither inheritable nor ambient.
const CAPABILITIES: [Capability; 11] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// What the host has to say about an instance's spec.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// The hard limit of open files, beyond which runc may not go.
    pub(super) open_files: u64,
    /// Whether swap can be limited.
    pub(super) swap_limit: bool,
}

/// The instance's own files and places on the host.
#[derive(Debug, Clone)]
pub(super) struct Places<'a> {
    pub(super) netns: &'a Path,
    pub(super) resolv_conf: &'a Path,
    pub(super) hosts: &'a Path,
    pub(super) secrets: Option<&'a Path>,
    pub(super) cgroup: &'a str,
}

/// The runtime spec of one instance. `hostname` is the function's name.
pub(super) fn runtime_spec(
    image: &ImageConfiguration,
    spec: &Spec,
    hostname: &str,
    identity: &Identity,
    places: &Places<'_>,
    machine: Machine,
) -> Result<oci_spec::runtime::Spec, HostError> {
    let args = arguments(image)?;
    build(image, spec, hostname, identity, places, machine, args)
        .map_err(|error| HostError::Failed(format!("build the runtime spec of {hostname}: {error}")))
}

fn build(
    image: &ImageConfiguration,
    spec: &Spec,
    hostname: &str,
    identity: &Identity,
    places: &Places<'_>,
    machine: Machine,
    args: Vec<String>,
) -> Result<oci_spec::runtime::Spec, OciSpecError> {
    let mut linux = LinuxBuilder::default()
        .cgroups_path(places.cgroup)
        .namespaces(namespaces(places.netns)?)
        .resources(resources(spec, machine)?)
        .sysctl(HashMap::from([
            // Ports below 1024 and ping, without a capability: the network namespace is the instance's own.
            ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()),
            ("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned()),
        ]))
        .masked_paths(get_default_maskedpaths())
        .readonly_paths(get_default_readonly_paths());
    if let Some(profile) = seccomp::profile()? {
        linux = linux.seccomp(profile);
    }
    SpecBuilder::default()
        .version("1.0.2")
        .hostname(hostname)
        .root(RootBuilder::default().path("rootfs").readonly(spec.read_only_root_filesystem).build()?)
        .mounts(mounts(places)?)
        .process(process(image, spec, identity, machine, args)?)
        .linux(linux.build()?)
        .build()
}

/// Entrypoint and command, as the image has them.
fn arguments(image: &ImageConfiguration) -> Result<Vec<String>, HostError> {
    let config = image.config().as_ref();
    let entrypoint = config.and_then(|config| config.entrypoint().clone()).unwrap_or_default();
    let command = config.and_then(|config| config.cmd().clone()).unwrap_or_default();
    let args: Vec<String> = entrypoint.into_iter().chain(command).collect();
    if args.first().is_none_or(String::is_empty) {
        return Err(HostError::Spec("the image has no entrypoint and no command: set one when it is built".into()));
    }
    Ok(args)
}

fn process(
    image: &ImageConfiguration,
    spec: &Spec,
    identity: &Identity,
    machine: Machine,
    args: Vec<String>,
) -> Result<Process, OciSpecError> {
    let config = image.config().as_ref();
    let directory = config.and_then(|config| config.working_dir().clone()).unwrap_or_default();
    let granted = || CAPABILITIES.into_iter().collect::<std::collections::HashSet<_>>();
    let files = OPEN_FILES.min(machine.open_files);
    ProcessBuilder::default()
        .terminal(false)
        .args(args)
        .env(environment(config.and_then(|config| config.env().clone()).unwrap_or_default(), spec))
        .cwd(Path::new("/").join(directory))
        .user(
            UserBuilder::default()
                .uid(identity.uid)
                .gid(identity.gid)
                .additional_gids(identity.groups.clone())
                .build()?,
        )
        .capabilities(
            LinuxCapabilitiesBuilder::default()
                .bounding(granted())
                .effective(granted())
                .permitted(granted())
                .inheritable([])
                .ambient([])
                .build()?,
        )
        .rlimits([PosixRlimitBuilder::default().typ(PosixRlimitType::RlimitNofile).soft(files).hard(files).build()?])
        .no_new_privileges(true)
        .build()
}

/// The image's environment with the function's own on top; each name once, in the image's order.
fn environment(image: Vec<String>, spec: &Spec) -> Vec<String> {
    let own = spec.environment().into_iter().map(|(name, value)| format!("{name}={value}"));
    let mut environment = vec![DEFAULT_PATH.to_owned()];
    for variable in image.into_iter().chain(own) {
        let name = |text: &str| text.split_once('=').map_or(text, |(name, _)| name).to_owned();
        let same = environment.iter_mut().find(|present| name(present) == name(&variable));
        match same {
            Some(present) => *present = variable,
            None => environment.push(variable),
        }
    }
    environment
}

fn namespaces(netns: &Path) -> Result<Vec<LinuxNamespace>, OciSpecError> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Uts};
    let own = [Pid, Ipc, Uts, Mount, Cgroup].map(|kind| LinuxNamespaceBuilder::default().typ(kind).build());
    let given = LinuxNamespaceBuilder::default().typ(Network).path(netns).build();
    own.into_iter().chain([given]).collect()
}

fn resources(spec: &Spec, machine: Machine) -> Result<LinuxResources, OciSpecError> {
    let no_device = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?;
    let mut resources =
        LinuxResourcesBuilder::default().devices([no_device]).pids(LinuxPidsBuilder::default().limit(PIDS).build()?);
    if let Some(bytes) = spec.memory_limit_bytes().and_then(|bytes| i64::try_from(bytes).ok()) {
        let mut memory = LinuxMemoryBuilder::default().limit(bytes);
        if machine.swap_limit {
            // Memory and swap together: a function that is out of memory ends, and does not grind the machine's disk.
            memory = memory.swap(bytes);
        }
        resources = resources.memory(memory.build()?);
    }
    if let Some(millis) = spec.cpu_limit_millis() {
        let quota = (millis.saturating_mul(CPU_PERIOD) / 1_000).max(CPU_QUOTA_MIN);
        let quota = i64::try_from(quota).unwrap_or(i64::MAX);
        resources = resources.cpu(LinuxCpuBuilder::default().period(CPU_PERIOD).quota(quota).build()?);
    }
    resources.build()
}

fn mounts(places: &Places<'_>) -> Result<Vec<Mount>, OciSpecError> {
    let kernel: [(&str, &str, &str, &[&str]); 7] = [
        ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ];
    let bound: [(&str, Option<&Path>, &[&str]); 3] = [
        ("/etc/resolv.conf", Some(places.resolv_conf), &["rbind", "ro", "nosuid", "nodev", "noexec"]),
        ("/etc/hosts", Some(places.hosts), &["rbind", "ro", "nosuid", "nodev", "noexec"]),
        (SECRETS, places.secrets, &["rbind", "ro", "nosuid", "nodev", "noexec"]),
    ];
    let kernel = kernel.into_iter().map(|(at, kind, source, options)| (at, kind, PathBuf::from(source), options));
    let bound = bound.into_iter().filter_map(|(at, source, options)| Some((at, "bind", source?.to_owned(), options)));
    kernel
        .chain(bound)
        .map(|(at, kind, source, options)| {
            let options: Vec<String> = options.iter().map(ToString::to_string).collect();
            MountBuilder::default().destination(at).typ(kind).source(source).options(options).build()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::function::{Resources, SpecDraft};

    fn image(config: &Value) -> ImageConfiguration {
        let document = json!({
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": [] }, "history": [],
        });
        serde_json::from_value(document).unwrap()
    }

    fn made(config: &Value, draft: SpecDraft) -> Result<Value, HostError> {
        let spec = Spec::try_from(SpecDraft { image: "i".into(), ..draft }).unwrap();
        let places = Places {
            netns: Path::new("/run/netns/f-1"),
            resolv_conf: Path::new("/s/f-1/resolv.conf"),
            hosts: Path::new("/s/f-1/hosts"),
            secrets: (!spec.secrets.is_empty()).then_some(Path::new("/s/f-1/secrets")),
            cgroup: "/actord/f-1",
        };
        let machine = Machine { open_files: 20_000, swap_limit: true };
        let identity = Identity { uid: 100, gid: 101, groups: vec![7] };
        runtime_spec(&image(config), &spec, "f", &identity, &places, machine)
            .map(|made| serde_json::to_value(made).unwrap())
    }

    #[test]
    fn arguments_are_the_entrypoint_followed_by_the_command() {
        let made = |config: &Value| made(config, SpecDraft::default()).unwrap()["process"]["args"].clone();
        assert_eq!(made(&json!({ "Entrypoint": ["/e", "x"], "Cmd": ["y"] })), json!(["/e", "x", "y"]));
        assert_eq!(made(&json!({ "Cmd": ["/c"] })), json!(["/c"]));
    }

    #[test]
    fn an_image_without_a_command_is_the_callers_to_mend() {
        for config in [json!({}), json!({ "Entrypoint": [], "Cmd": [""] })] {
            let error = made(&config, SpecDraft::default()).unwrap_err();
            assert!(matches!(&error, HostError::Spec(reason) if reason.contains("no entrypoint")), "{error:?}");
        }
    }

    #[test]
    fn the_functions_environment_overrides_the_images_and_the_default_path_gives_way() {
        let draft = SpecDraft {
            env_process: "cat".into(),
            env_vars: [("A".to_owned(), "own=1".to_owned()), ("Z".to_owned(), String::new())].into(),
            ..SpecDraft::default()
        };
        let made =
            made(&json!({ "Cmd": ["/c"], "Env": ["PATH=/p", "A=image", "B=image", "fprocess=image"] }), draft).unwrap();
        assert_eq!(made["process"]["env"], json!(["PATH=/p", "A=own=1", "B=image", "fprocess=cat", "Z="]));
    }

    #[test]
    fn limits_become_bytes_without_swap_and_a_cpu_quota() {
        let limits = Resources { memory: Some("128Mi".into()), cpu: Some("250m".into()) };
        let draft = SpecDraft { limits: Some(limits), ..SpecDraft::default() };
        let resources = made(&json!({ "Cmd": ["/c"] }), draft).unwrap()["linux"]["resources"].clone();
        assert_eq!(resources["memory"], json!({ "limit": 134_217_728, "swap": 134_217_728 }));
        assert_eq!(resources["cpu"], json!({ "period": 100_000, "quota": 25_000 }));
        assert_eq!(resources["pids"]["limit"], 4_096);
        assert_eq!(resources["devices"][0]["allow"], false);
    }

    #[test]
    fn a_tiny_cpu_limit_is_the_least_that_the_kernel_takes() {
        let limits = Resources { memory: None, cpu: Some("1m".into()) };
        let draft = SpecDraft { limits: Some(limits), ..SpecDraft::default() };
        let resources = made(&json!({ "Cmd": ["/c"] }), draft).unwrap()["linux"]["resources"].clone();
        assert_eq!(resources["cpu"]["quota"], 1_000);
        assert_eq!(resources.get("memory"), None);
    }

    #[test]
    fn the_process_is_confined_whatever_the_function_asks_for() {
        let made = made(&json!({ "Cmd": ["/c"], "WorkingDir": "app" }), SpecDraft::default()).unwrap();
        let process = &made["process"];
        assert_eq!(process["noNewPrivileges"], true);
        assert_eq!(process["cwd"], "/app");
        assert_eq!(process["user"], json!({ "uid": 100, "gid": 101, "additionalGids": [7] }));
        assert_eq!(process["rlimits"], json!([{ "type": "RLIMIT_NOFILE", "hard": 20_000, "soft": 20_000 }]));
        let bounding = process["capabilities"]["bounding"].as_array().unwrap();
        assert_eq!(bounding.len(), CAPABILITIES.len());
        assert!(!bounding.contains(&json!("CAP_SYS_ADMIN")) && !bounding.contains(&json!("CAP_MKNOD")));
        assert_eq!(process["capabilities"]["ambient"], json!([]));
        let linux = &made["linux"];
        assert!(linux["maskedPaths"].as_array().unwrap().contains(&json!("/proc/kcore")));
        assert!(linux["readonlyPaths"].as_array().unwrap().contains(&json!("/proc/sys")));
        assert_eq!(linux["cgroupsPath"], "/actord/f-1");
        assert_eq!(linux["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
    }

    #[test]
    fn every_namespace_is_the_instances_own_and_the_network_is_the_given_one() {
        let made = made(&json!({ "Cmd": ["/c"] }), SpecDraft::default()).unwrap();
        let namespaces = made["linux"]["namespaces"].as_array().unwrap();
        assert!(namespaces.contains(&json!({ "type": "network", "path": "/run/netns/f-1" })));
        for kind in ["pid", "ipc", "uts", "mount", "cgroup"] {
            assert!(namespaces.contains(&json!({ "type": kind })), "{kind}: {namespaces:?}");
        }
        assert_eq!(made["hostname"], "f");
    }

    #[test]
    fn secrets_are_one_read_only_directory_and_absent_without_secrets() {
        let mounts = |draft| made(&json!({ "Cmd": ["/c"] }), draft).unwrap()["mounts"].as_array().unwrap().clone();
        let at = |mounts: &[Value], path: &str| mounts.iter().find(|mount| mount["destination"] == path).cloned();
        let with = mounts(SpecDraft { secrets: vec!["db".parse().unwrap()], ..SpecDraft::default() });
        let secrets = at(&with, SECRETS).unwrap();
        assert_eq!(secrets["source"], "/s/f-1/secrets");
        assert!(secrets["options"].as_array().unwrap().contains(&json!("ro")));
        let without = mounts(SpecDraft::default());
        assert!(at(&without, SECRETS).is_none());
        assert!(at(&without, "/etc/resolv.conf").unwrap()["options"].as_array().unwrap().contains(&json!("ro")));
    }

    #[test]
    fn the_root_is_read_only_when_asked_for() {
        for asked in [true, false] {
            let draft = SpecDraft { read_only_root_filesystem: asked, ..SpecDraft::default() };
            let root = made(&json!({ "Cmd": ["/c"] }), draft).unwrap()["root"].clone();
            assert_eq!(root, json!({ "path": "rootfs", "readonly": asked }));
        }
    }
}
