//! A bundle as containerd makes it of a function, whose image is the host's own `/usr`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// A directory with `config.json` and `rootfs`, and a network namespace; both go with it.
pub(crate) struct Bundle {
    directory: tempfile::TempDir,
    pub(crate) name: String,
}

impl Bundle {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shimtest{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::tempdir().unwrap();
        let bundle = Self { directory, name };
        for made in ["usr", "etc", "tmp", "srv/volume/below"] {
            fs::create_dir_all(bundle.rootfs().join(made)).unwrap();
        }
        for link in ["bin", "lib", "lib64", "sbin"] {
            symlink(format!("usr/{link}"), bundle.rootfs().join(link)).unwrap();
        }
        fs::write(bundle.rootfs().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/srv:/bin/sh\n")
            .unwrap();
        fs::write(bundle.rootfs().join("srv/volume/below/file"), "copied\n").unwrap();
        fs::write(bundle.path().join("hosts"), "127.0.0.1 localhost\n").unwrap();
        assert!(Command::new("ip").args(["netns", "add", &bundle.name]).status().unwrap().success());
        bundle
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// The groups of a container of this bundle, below each hierarchy.
    pub(crate) fn cgroups(id: &str) -> String {
        format!("/shimtest-{id}")
    }

    /// Writes `config.json` for a container that runs a command, after `change`.
    pub(crate) fn configure(&self, id: &str, arguments: &[&str], change: impl FnOnce(&mut Value)) {
        let mut seccomp: Value = serde_json::from_str(include_str!("../../config/seccomp.json")).unwrap();
        let aarch64 = cfg!(target_arch = "aarch64");
        seccomp["architectures"] = json!([if aarch64 { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" }]);
        let capabilities = json!([
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_RAW",
            "CAP_SETGID",
            "CAP_SETPCAP",
            "CAP_SETUID",
            "CAP_SYS_CHROOT"
        ]);
        let mount = |at: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": at, "type": kind, "source": source, "options": options});
        let own = ["rbind", "ro", "nosuid", "nodev", "noexec"];
        let mut spec = json!({
            "ociVersion": "1.0.2", "hostname": "hello", "annotations": {},
            "root": {"path": "rootfs", "readonly": false},
            "process": {
                "terminal": false, "args": arguments, "cwd": "/",
                "user": {"uid": 0, "gid": 0, "additionalGids": [0, 5]},
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "X=1", "X=2"],
                "capabilities": {
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
                    "inheritable": [], "ambient": []
                },
                "rlimits": [
                    {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_NOFILE", "soft": 1000, "hard": 2000}
                ],
                "noNewPrivileges": true
            },
            "mounts": [
                mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
                mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
                mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
                mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
                mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
                mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
                mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
                mount("/usr", "bind", "/usr", &["rbind", "ro"]),
                mount("/etc/hosts", "bind", self.path().join("hosts").to_str().unwrap(), &own),
            ],
            "linux": {
                "cgroupsPath": Self::cgroups(id),
                "namespaces": [
                    {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"},
                    {"type": "network", "path": format!("/run/netns/{}", self.name)}
                ],
                "resources": {
                    "devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": 99},
                    "memory": {"limit": 134_217_728, "reservation": 67_108_864},
                    "cpu": {"shares": 512, "quota": 50_000, "period": 100_000}
                },
                "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"},
                "maskedPaths": [
                    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                    "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi", "/proc/interrupts",
                    "/sys/devices/virtual/powercap"
                ],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
                "seccomp": seccomp
            }
        });
        change(&mut spec);
        fs::write(self.path().join("config.json"), spec.to_string()).unwrap();
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}
