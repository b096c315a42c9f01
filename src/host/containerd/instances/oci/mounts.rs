//! What an instance finds in its file tree beside the image: the kernel's file systems, its own files, a place to write.

use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::runtime::{Mount, MountBuilder};

use super::Places;
use crate::function::Spec;

/// Where a function finds its secrets.
pub(super) const SECRETS: &str = "/var/openfaas/secrets";

pub(super) fn mounts(spec: &Spec, places: &Places<'_>) -> Result<Vec<Mount>, OciSpecError> {
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
    let mounts = kernel.chain(bound).map(|(at, kind, source, options)| {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        MountBuilder::default().destination(at).typ(kind).source(source).options(options).build()
    });
    mounts.chain(scratch(spec)).collect()
}

/// A `/tmp` in memory where the root can't be written: watchdogs keep their lock file there. What lies in it counts
/// towards the memory limit. It holds half of that, as it would hold half of the machine's memory without one: a
/// program that fills it is told that it is full, and not killed.
fn scratch(spec: &Spec) -> Option<Result<Mount, OciSpecError>> {
    let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), "mode=1777".to_owned()];
    options.extend(spec.memory_limit_bytes().map(|bytes| format!("size={}", bytes / 2)));
    let mount = || MountBuilder::default().destination("/tmp").typ("tmpfs").source("tmpfs").options(options).build();
    spec.read_only_root_filesystem.then(mount)
}
