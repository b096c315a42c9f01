//! What an instance finds in its file tree beside the image: the kernel's file systems, its own files, a place to write.

use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::runtime::{Mount, MountBuilder};

use super::super::reserved::SECRETS;
use super::super::volumes::Volume;
use super::Places;
use crate::function::Spec;

/// Where there is a place to write though the root is read-only.
const SCRATCH: &str = "/tmp";

pub(super) fn mounts(spec: &Spec, volumes: &[Volume], places: &Places<'_>) -> Result<Vec<Mount>, OciSpecError> {
    let own: [(&str, &str, &str, &[&str]); 5] = [
        ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    let sys: (&str, &str, PathBuf, &[&str]) = match places.sys {
        Some(made) => ("/sys", "bind", made.to_owned(), &["rbind", "ro", "nosuid", "nodev", "noexec"]),
        None => ("/sys", "sysfs", "sysfs".into(), &["nosuid", "noexec", "nodev", "ro"]),
    };
    let groups: (&str, &str, PathBuf, &[&str]) =
        ("/sys/fs/cgroup", "cgroup", "cgroup".into(), &["nosuid", "noexec", "nodev", "relatime", "ro"]);
    let bound: [(&str, Option<&Path>, &[&str]); 3] = [
        ("/etc/resolv.conf", Some(places.resolv_conf), &["rbind", "ro", "nosuid", "nodev", "noexec"]),
        ("/etc/hosts", Some(places.hosts), &["rbind", "ro", "nosuid", "nodev", "noexec"]),
        (SECRETS, places.secrets, &["rbind", "ro", "nosuid", "nodev", "noexec"]),
    ];
    let own = own.into_iter().map(|(at, kind, source, options)| (at, kind, PathBuf::from(source), options));
    let kernel = own.chain([sys, groups]);
    let bound = bound.into_iter().filter_map(|(at, source, options)| Some((at, "bind", source?.to_owned(), options)));
    let made = |(at, kind, source, options): (&str, &str, PathBuf, &[&str])| {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        MountBuilder::default().destination(at).typ(kind).source(source).options(options).build()
    };
    // A volume may have our files below it.
    kernel.map(made).chain(in_memory(spec, volumes)).chain(bound.map(made)).collect()
}

/// Places in memory where the root can't be written: the image's volumes, each on top of the one that it lies in, and a
/// `/tmp`, in which watchdogs keep their lock file, unless that is one of them. What lies in one counts towards the memory
/// limit. Each holds half of that, as it would hold half of the machine's memory without one: a program that fills it is
/// told that it is full, and not killed.
fn in_memory<'a>(spec: &'a Spec, volumes: &'a [Volume]) -> impl Iterator<Item = Result<Mount, OciSpecError>> + use<'a> {
    let mount = |at: &Path, mut options: Vec<String>| {
        options.extend(["nosuid", "nodev"].map(str::to_owned));
        options.extend(spec.memory_limit_bytes().map(|bytes| format!("size={}", bytes / 2)));
        MountBuilder::default().destination(at).typ("tmpfs").source("tmpfs").options(options).build()
    };
    let volume = |Volume { uid, gid, mode, empty, .. }: &Volume| {
        let mut options = vec![format!("mode={mode:o}"), format!("uid={uid}"), format!("gid={gid}")];
        // runc copies what the image has there into it.
        options.extend((!empty).then(|| "tmpcopyup".to_owned()));
        options
    };
    let given = volumes.iter().any(|volume| volume.at == Path::new(SCRATCH));
    let scratch = (!given).then(|| (Path::new(SCRATCH), vec!["mode=1777".to_owned()]));
    let all = scratch.into_iter().chain(volumes.iter().map(move |it| (it.at.as_path(), volume(it))));
    all.filter(|_| spec.read_only_root_filesystem).map(move |(at, options)| mount(at, options))
}
