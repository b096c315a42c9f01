//! The leak checker finds what it is there to find. As root: it plants one leftover of each kind, looks, and takes it
//! away again.
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

#[path = "support/leaks.rs"]
mod leaks;
#[path = "support/run.rs"]
mod run;

use std::path::Path;
use std::process::Command;

use leaks::Traces;
use run::Run;
use sha2::{Digest, Sha256};

/// A run and one instance of it.
fn traces() -> (Run, Traces) {
    let run = Run::new();
    let socket = run.directory().join("containerd.sock");
    let instance = format!("leaky-{}", run.bridge());
    let traces = run.traces(&socket, [instance].into());
    (run, traces)
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
    let (run, traces) = traces();
    assert_eq!(traces.on_the_machine(), [""; 0]);
    let (dir, id) = (run.directory().display(), traces.instances.first().unwrap());
    let Traces { bridge, subnet, cgroup_parent, socket, namespace, .. } = &traces;

    is_found(
        &traces,
        "network namespace",
        &format!("ip netns add {id}; umount /run/netns/{id}"),
        &format!("rm /run/netns/{id}"),
    );
    is_found(&traces, "a link", &format!("ip link add {bridge} type bridge"), &format!("ip link del {bridge}"));
    let route = format!("unreachable {subnet}0/24 metric 7");
    is_found(&traces, "a route", &format!("ip route add {route}"), &format!("ip route del {route}"));
    is_found(&traces, "still given out", &format!("touch {dir}/{subnet}7"), &format!("rm {dir}/{subnet}7"));
    let result = format!("{dir}/cni/results/actord-{id}-eth0");
    is_found(&traces, "a CNI file", &format!("mkdir -p {dir}/cni/results; touch {result}"), &format!("rm {result}"));
    let warm = format!("{dir}/cni/results/other-warm_0123456789ab-eth0");
    is_found(&traces, "a CNI file", &format!("touch {warm}"), &format!("rm {warm}"));
    let warm = format!("{bridge}.warm_0123456789ab");
    is_found(
        &traces,
        "network namespace",
        &format!("ip netns add {warm}; umount /run/netns/{warm}"),
        &format!("rm /run/netns/{warm}"),
    );
    for rule in [format!("FORWARD -i {bridge} -j ACCEPT"), format!("FORWARD -s {subnet}9 -m comment --comment {id}")] {
        is_found(&traces, "a rule", &format!("iptables -w -A {rule}"), &format!("iptables -w -D {rule}"));
    }
    is_found(&traces, "a mount", &format!("mkdir -p {dir}/m; mount -t tmpfs none {dir}/m"), &format!("umount {dir}/m"));
    let pids = Path::new("/sys/fs/cgroup/pids");
    let root = if pids.exists() { pids } else { Path::new("/sys/fs/cgroup") };
    let group = root.join(cgroup_parent).display().to_string();
    is_found(&traces, "a cgroup", &format!("mkdir {group}"), &format!("rmdir {group}"));
    let claim = format!("/run/lock/actord.{bridge}");
    is_found(&traces, "a claim", &format!("touch {claim}"), &format!("rm {claim}"));
    is_found(
        &traces,
        "a state of runc",
        &format!("mkdir -p {dir}/runc/{id}; touch {dir}/runc/{id}/state.json"),
        &format!("rm {dir}/runc/{id}/state.json"),
    );
    let bundle = format!("{dir}/containerd/io.containerd.runtime.v2.task/{namespace}/{id}");
    is_found(&traces, "a bundle", &format!("mkdir -p {bundle}"), &format!("rmdir {bundle}"));
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
}

#[test]
fn what_a_run_that_broke_off_left_is_swept_away() {
    let (run, traces) = traces();
    let (dir, id) = (run.directory().display(), traces.instances.first().unwrap());
    let Traces { bridge, subnet, .. } = &traces;
    sh(&format!(
        "ip link add {bridge} type bridge; ip netns add {bridge}.{id}; mkdir -p /run/lock; touch /run/lock/actord.{bridge}
        ip route add unreachable {subnet}0/24 metric 7
        iptables -w -t nat -N CNI-{chain:024x}; iptables -w -t nat -A CNI-{chain:024x} -d {subnet}0/24 -j ACCEPT
        iptables -w -t nat -A POSTROUTING -s {subnet}2/32 -m comment --comment 'id: \"{id}\"' -j CNI-{chain:024x}
        mkdir {dir}/a; mount -t tmpfs none {dir}/a; mkdir {dir}/a/b; mount -t tmpfs none {dir}/a/b",
        chain = rand::random::<u64>(),
    ));
    let mut process = Command::new("sleep").arg("60").current_dir(&traces.directory).spawn().unwrap();
    assert!(traces.on_the_machine().len() >= 10, "{:?}", traces.on_the_machine());
    run::sweep(&traces);
    process.wait().unwrap();
    assert_eq!(traces.on_the_machine(), [""; 0]);
}
