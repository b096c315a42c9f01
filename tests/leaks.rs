//! The leak checker finds what it is there to find. As root: it plants one leftover of each kind, looks, and takes it
//! away again.
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

#[path = "support/leaks.rs"]
mod leaks;

use std::fs;
use std::path::Path;
use std::process::Command;

use leaks::Traces;
use sha2::{Digest, Sha256};

fn traces(directory: &Path) -> Traces {
    let run: u32 = rand::random();
    Traces {
        directory: directory.to_owned(),
        socket: directory.join("containerd.sock"),
        namespace: format!("leaks-{run:08x}"),
        snapshotter: "overlayfs".to_owned(),
        bridge: format!("lk{run:08x}"),
        // A test network (RFC 5737) that no run uses.
        subnet: "198.51.100.".to_owned(),
        cgroup_parent: format!("leaks-{run:08x}"),
        instances: [format!("leaky-{run:08x}")].into(),
    }
}

fn sh(command: &str) {
    let answer = Command::new("sh").args(["-euc", command]).output().unwrap();
    assert!(answer.status.success(), "{command}: {}", String::from_utf8_lossy(&answer.stderr));
}

/// Plants something with one command, checks that exactly one sentence with these words comes of it, and takes it away.
fn is_found(traces: &Traces, words: &str, plant: &str, remove: &str) {
    sh(plant);
    let found = traces.on_the_machine();
    sh(remove);
    assert!(found.len() == 1 && found[0].contains(words), "after {plant:?}: {found:?}");
    assert_eq!(traces.on_the_machine(), [""; 0], "after {remove:?}");
}

#[test]
fn a_clean_machine_has_no_leaks_and_each_kind_of_leftover_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let traces = traces(directory.path());
    assert_eq!(traces.on_the_machine(), [""; 0]);
    let (dir, id) = (directory.path().display(), traces.instances.first().unwrap());
    let Traces { bridge, cgroup_parent, socket, namespace, .. } = &traces;

    is_found(
        &traces,
        "network namespace",
        &format!("ip netns add {id}; umount /run/netns/{id}"),
        &format!("rm /run/netns/{id}"),
    );
    is_found(&traces, "a link", &format!("ip link add {bridge} type bridge"), &format!("ip link del {bridge}"));
    is_found(&traces, "still given out", &format!("touch {dir}/198.51.100.7"), &format!("rm {dir}/198.51.100.7"));
    let result = format!("{dir}/cni/results/actord-{id}-eth0");
    is_found(&traces, "a CNI file", &format!("mkdir -p {dir}/cni/results; touch {result}"), &format!("rm {result}"));
    for rule in [format!("FORWARD -i {bridge} -j ACCEPT"), format!("FORWARD -s 198.51.100.9 -m comment --comment {id}")]
    {
        is_found(&traces, "a rule", &format!("iptables -w -A {rule}"), &format!("iptables -w -D {rule}"));
    }
    is_found(&traces, "a mount", &format!("mkdir -p {dir}/m; mount -t tmpfs none {dir}/m"), &format!("umount {dir}/m"));
    let pids = Path::new("/sys/fs/cgroup/pids");
    let root = if pids.exists() { pids } else { Path::new("/sys/fs/cgroup") };
    let group = root.join(cgroup_parent).display().to_string();
    is_found(&traces, "a cgroup", &format!("mkdir {group}"), &format!("rmdir {group}"));
    is_found(
        &traces,
        "a state of runc",
        &format!("mkdir -p {dir}/runc/{id}; touch {dir}/runc/{id}/state.json"),
        &format!("rm {dir}/runc/{id}/state.json"),
    );
    let key = socket.join(namespace).join(id);
    let hash: String = Sha256::digest(key.to_str().unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    is_found(
        &traces,
        "shim's socket",
        &format!("mkdir -p /run/containerd/s; touch /run/containerd/s/{hash}"),
        &format!("rm /run/containerd/s/{hash}"),
    );
    let mut process = Command::new("sleep").arg("60").current_dir(&traces.directory).spawn().unwrap();
    let found = traces.on_the_machine();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(found.len() == 1 && found[0].contains("sleep 60"), "{found:?}");
    assert!(fs::exists(directory.path()).unwrap());
}
