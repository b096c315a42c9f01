//! The CNI adapter on the real machine: real plugins, network namespaces, links and iptables rules. Needs root. Every
//! test has a bridge, a subnet, a network name and directories of its own, and ends by looking for what is left of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use actord::function::InstanceId;
use actord::host::cni::{CniNetwork, CniOptions};
use actord::host::{Attachment, HostError, Network};
use rustix::mount::{UnmountFlags, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

mod alone;
mod bridge;
mod outbound;
mod warm;

#[path = "../support/subnet.rs"]
mod subnet;

use subnet::Subnet;

const NETNS: &str = "/run/netns";
/// The rules of a bridge, where no service is listed.
const RULES: usize = 15;

/// One test's network and all the names that are its own.
struct Bed {
    network: CniNetwork,
    options: CniOptions,
    dir: tempfile::TempDir,
    _subnet: Subnet,
}

impl Bed {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// With the fault plugin behind the built-in chain.
    fn faulty() -> Self {
        Self::with(|options, dir| {
            let faults = ["first", "second"];
            let faults = faults.map(|label| json!({ "type": "cni-fault", "faultDir": dir, "label": label }));
            write_list(options, dir, |_| {}, &faults);
        })
    }

    /// With a list of the user's own whose plugins write iptables rules for every instance.
    fn with_rules() -> Self {
        // The plugin makes it where it is missing, and fails where another test makes it in that moment.
        let chain = ["-w", "-t", "filter", "-N", "CNI-ADMIN"];
        let _ = Command::new("/usr/sbin/iptables").args(chain).stderr(std::process::Stdio::null()).status();
        Self::with(|options, dir| {
            let masquerade = |bridge: &mut Value| bridge["ipMasq"] = json!(true);
            write_list(options, dir, masquerade, &[json!({ "type": "firewall" })]);
        })
    }

    fn with(change: impl Fn(&mut CniOptions, &Path)) -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests make real networks: run them as root");
        let dir = tempfile::tempdir().unwrap();
        let (subnet, number) = (Subnet::draw(24), rand::random::<u32>());
        let mut options = CniOptions::new(subnet.cidr().parse().unwrap(), dir.path().join("state"));
        options.name = format!("nt{number:08x}");
        options.bridge = format!("bt{number:08x}");
        options.plugin_dirs.push(fault_plugin().parent().unwrap().to_owned());
        change(&mut options, dir.path());
        let network = CniNetwork::new(options.clone()).unwrap();
        Self { network, options, dir, _subnet: subnet }
    }

    fn id(&self, name: &str) -> InstanceId {
        format!("{name}-{}", self.options.bridge).parse().unwrap()
    }

    fn exists(bridge: &str) -> bool {
        Path::new("/sys/class/net").join(bridge).exists()
    }

    /// How many of the bridge's own rules there are.
    fn passages(&self) -> usize {
        saved_rules(&self.options.bridge).len()
    }

    fn netns(&self, id: &InstanceId) -> PathBuf {
        self.options.netns_dir.join(format!("{}.{id}", self.options.bridge))
    }

    fn lease_dir(&self) -> PathBuf {
        self.options.state_dir.join("ipam").join(&self.options.name)
    }

    fn result(&self, id: &InstanceId) -> PathBuf {
        self.options.state_dir.join("results").join(format!("{}-{id}-eth0", self.options.name))
    }

    fn fault(&self, verb: &str, what: &str) {
        fs::write(self.dir.path().join(verb), what).unwrap();
    }

    /// The calls that the fault plugin got, in order.
    fn calls(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Everything on the host that carries one of this test's names, apart from the bridge itself.
    fn traces(&self) -> Vec<String> {
        let (bridge, subnet) = (&self.options.bridge, self.options.subnet);
        let network = subnet.network().octets();
        let prefix = format!("{}.{}.{}.", network[0], network[1], network[2]);
        let mut found = Vec::new();
        for entry in fs::read_dir(format!("/sys/class/net/{bridge}/brif")).into_iter().flatten() {
            found.push(format!("link {:?} on the bridge", entry.unwrap().file_name()));
        }
        for entry in fs::read_dir(NETNS).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with(bridge) {
                found.push(format!("network namespace {name}"));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(bridge)).map(|line| format!("mount {line}")));
        for save in ["iptables-nft-save", "iptables-legacy-save"] {
            let output = Command::new(save).output().unwrap();
            let rules = String::from_utf8(output.stdout).unwrap();
            let mark = format!("\"{}\\\"", self.options.name);
            // The rules of the bridge stay as long as the bridge does.
            let lasting = |line: &str| {
                let own = line.contains(&format!("actord:{bridge}")) || line.starts_with(":actord-");
                own && Self::exists(bridge)
            };
            let ours = |line: &&str| {
                (line.contains(&mark) || line.contains(&prefix) || line.contains(bridge)) && !lasting(line)
            };
            found.extend(rules.lines().filter(ours).map(|line| format!("rule {line}")));
        }
        for dir in [self.lease_dir(), self.options.state_dir.join("results")] {
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name != "lock" && !name.starts_with("last_reserved_ip") {
                    found.push(format!("file {name}"));
                }
            }
        }
        found
    }

    /// The kernel removes the links of a namespace that is gone in its own time; all else is gone at once.
    async fn assert_no_traces(&self) {
        let links_go = async {
            while self.traces().iter().any(|trace| trace.starts_with("link ")) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(30), links_go).await;
        assert_eq!(self.traces(), [""; 0]);
    }

    /// Removes the network and looks once more.
    async fn finish(self) {
        self.assert_no_traces().await;
        self.network.teardown_all().await.unwrap();
        assert_eq!(self.traces(), [""; 0]);
        assert!(!Self::exists(&self.options.bridge), "the bridge is left");
        assert!(!self.lease_dir().exists() && !self.options.state_dir.join("results").exists());
    }
}

/// A test that fails leaves nothing behind, either.
impl Drop for Bed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for verb in ["ADD", "DEL", "CHECK"] {
            let _ = fs::remove_file(self.dir.path().join(verb));
        }
        let network = self.network.clone();
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(network.teardown_all())
        });
        eprintln!("clean-up after the failure: {:?}", cleaner.join());
    }
}

/// The built-in list with another bridge plugin, and more plugins behind it.
fn write_list(options: &mut CniOptions, dir: &Path, change: impl Fn(&mut Value), more: &[Value]) {
    let mut list: Value = serde_json::from_str(include_str!("../../config/actord.conflist")).unwrap();
    list["name"] = json!(options.name);
    list["plugins"][0]["bridge"] = json!(options.bridge);
    list["plugins"][0]["ipam"]["ranges"] = json!([[{ "subnet": options.subnet }]]);
    list["plugins"][0]["ipam"].as_object_mut().unwrap().remove("dataDir");
    change(&mut list["plugins"][0]);
    list["plugins"].as_array_mut().unwrap().extend_from_slice(more);
    let path = dir.join("test.conflist");
    fs::write(&path, list.to_string()).unwrap();
    options.conflist = Some(path);
}

fn fault_plugin() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_actord")).parent().unwrap().join("examples/cni-fault");
    assert!(path.exists(), "{} is missing: cargo build --example cni-fault", path.display());
    path
}

/// Listens inside the instance's namespace and answers one connection.
fn serve(attachment: &Attachment) -> SocketAddr {
    let netns = attachment.netns.clone();
    let address = attachment.address;
    // A thread of its own, which never leaves the namespace.
    let listener = std::thread::spawn(move || {
        let file = fs::File::open(netns).unwrap();
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
        // Loopback is up in there, too.
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(own.local_addr().unwrap()).unwrap();
        TcpListener::bind((address, 0)).unwrap()
    });
    let listener = listener.join().unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"hello").unwrap();
    });
    address
}

fn fetch(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The rules of a bridge, in their order.
fn saved_rules(bridge: &str) -> Vec<String> {
    let rules = String::from_utf8(Command::new("iptables-save").output().unwrap().stdout).unwrap();
    rules.lines().filter(|line| line.contains(&format!("actord:{bridge}"))).map(str::to_owned).collect()
}

fn runs(pid: &str) -> bool {
    // A killed orphan may stay a zombie where process 1 does not reap.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['R', 'S', 'D']))
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_instances_have_different_addresses_that_answer_and_detach_twice_leaves_nothing() {
    let bed = Bed::new();
    let (a, b) = (bed.id("a"), bed.id("b"));
    let first = bed.network.attach(&a).await.unwrap();
    let second = bed.network.attach(&b).await.unwrap();
    assert_ne!(first.address, second.address);
    for attachment in [&first, &second] {
        let IpAddr::V4(address) = attachment.address else { panic!("{}", attachment.address) };
        assert!(bed.options.subnet.contains(&address));
        assert_eq!(fetch(serve(attachment)), "hello");
    }
    assert_eq!(first.netns, bed.netns(&a));
    assert_eq!(bed.network.lookup(&a).await.unwrap(), first);
    let mut listed = bed.network.list().await.unwrap();
    listed.sort();
    assert_eq!(listed, [a.clone(), b.clone()]);

    for id in [&a, &b] {
        bed.network.detach(id).await.unwrap();
        assert!(matches!(bed.network.lookup(id).await, Err(HostError::NotFound(_))));
        bed.network.detach(id).await.unwrap();
    }
    assert!(bed.network.list().await.unwrap().is_empty());
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_never_attached_can_be_detached() {
    let bed = Bed::new();
    bed.network.detach(&bed.id("never")).await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_attach_and_detach_at_once_from_nothing() {
    let bed = Arc::new(Bed::new());
    let each = |at: usize| {
        let bed = bed.clone();
        tokio::spawn(async move { bed.network.attach(&bed.id(&format!("f{at}"))).await })
    };
    let mut addresses = Vec::new();
    for task in (0..16).map(each).collect::<Vec<_>>() {
        let attachment = task.await.unwrap().unwrap();
        assert_eq!(fetch(serve(&attachment)), "hello");
        addresses.push(attachment.address);
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 16);
    let each = |id: InstanceId| {
        let bed = bed.clone();
        tokio::spawn(async move { bed.network.detach(&id).await })
    };
    let all = bed.network.list().await.unwrap();
    assert_eq!(all.len(), 16);
    for task in all.into_iter().map(each).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    Arc::into_inner(bed).unwrap().finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_attached_is_not_attached_again_and_keeps_what_it_has() {
    let bed = Bed::new();
    let id = bed.id("twice");
    let first = bed.network.attach(&id).await.unwrap();
    let error = bed.network.attach(&id).await.unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    assert_eq!(bed.network.lookup(&id).await.unwrap(), first);
    bed.network.detach(&id).await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_run_forward_on_add_and_backward_on_del_with_the_result_before_them() {
    let bed = Bed::faulty();
    let id = bed.id("order");
    let attachment = bed.network.attach(&id).await.unwrap();
    bed.network.lookup(&id).await.unwrap();
    bed.network.detach(&id).await.unwrap();
    let calls = bed.calls();
    let order: Vec<_> = calls.iter().map(|call| (call["verb"].as_str().unwrap(), &call["label"])).collect();
    let (first, second) = (&json!("first"), &json!("second"));
    let expected =
        [("ADD", first), ("ADD", second), ("CHECK", first), ("CHECK", second), ("DEL", second), ("DEL", first)];
    assert_eq!(order, expected);
    for call in &calls {
        assert_eq!(call["container"], id.as_str());
        assert_eq!(call["netns"], json!(attachment.netns));
        assert_eq!(call["name"], json!(bed.options.name));
        let address = call["prevResult"]["ips"][0]["address"].as_str().unwrap();
        assert_eq!(address, format!("{}/24", attachment.address), "{call}");
        let expected = ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_PATH", "PATH"];
        assert_eq!(call["environment"], json!(expected), "nothing of our own environment");
    }
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_add_that_fails_says_the_plugins_words_and_leaves_nothing() {
    let bed = Bed::faulty();
    let id = bed.id("failing");
    for (fault, words) in [
        ("error no such luck", "no such luck (code 100)"),
        ("crash", "told to crash"),
        ("garbage", "this is no CNI result"),
        ("silent", "wrote nothing"),
    ] {
        bed.fault("ADD", fault);
        let error = bed.network.attach(&id).await.unwrap_err().to_string();
        for part in ["CNI plugin cni-fault", id.as_str(), words] {
            assert!(error.contains(part), "{fault}: {error}");
        }
        bed.assert_no_traces().await;
        assert!(bed.network.list().await.unwrap().is_empty());
    }
    // The whole chain was undone, the plugins that had not come to their turn included.
    let tail: Vec<_> =
        bed.calls().iter().rev().take(3).map(|call| (call["verb"].clone(), call["label"].clone())).collect();
    assert_eq!(tail, [(json!("DEL"), json!("first")), (json!("DEL"), json!("second")), (json!("ADD"), json!("first"))]);
    bed.fault("ADD", "pass");
    bed.network.attach(&id).await.unwrap();
    bed.network.detach(&id).await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_hangs_is_killed_at_its_deadline_with_its_children_and_leaves_nothing() {
    let mut bed = Bed::faulty();
    bed.options.deadline = Duration::from_secs(2);
    bed.network = CniNetwork::new(bed.options.clone()).unwrap();
    let id = bed.id("hanging");
    bed.fault("ADD", "hang");
    let error = bed.network.attach(&id).await.unwrap_err();
    assert!(matches!(error, HostError::Deadline(_)), "{error:?}");
    assert!(error.to_string().contains("cni-fault") && error.to_string().contains("killed"), "{error}");
    let pids = fs::read_to_string(bed.dir.path().join("hanging")).unwrap();
    for pid in pids.split_whitespace() {
        let gone = async {
            while runs(pid) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let gone = tokio::time::timeout(Duration::from_secs(30), gone).await;
        gone.unwrap_or_else(|_| panic!("process {pid} is still there"));
    }
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_del_that_fails_is_reported_the_rest_is_removed_and_the_next_one_finishes() {
    let bed = Bed::faulty();
    let id = bed.id("stubborn");
    bed.network.attach(&id).await.unwrap();
    bed.fault("DEL", "error not now");
    let error = bed.network.detach(&id).await.unwrap_err().to_string();
    assert_eq!(error.matches("not now").count(), 2, "both plugins' errors: {error}");
    assert!(!bed.netns(&id).exists());
    let left = bed.traces();
    assert_eq!(left.len(), 1, "only the cached result, for the next time: {left:?}");
    let cached: Value = serde_json::from_slice(&fs::read(bed.result(&id)).unwrap()).unwrap();
    assert_eq!(cached["complete"], false, "a detach that did not come to its end leaves nothing that looks whole");
    assert_eq!(bed.network.list().await.unwrap(), std::slice::from_ref(&id));
    assert!(matches!(bed.network.lookup(&id).await, Err(HostError::NotFound(_))));
    bed.fault("DEL", "pass");
    bed.network.detach(&id).await.unwrap();
    assert!(bed.calls().last().unwrap()["prevResult"]["ips"].is_array(), "the retry still had the result");
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_add_whose_roll_back_fails_is_finished_by_detach() {
    let bed = Bed::faulty();
    let id = bed.id("twofold");
    bed.fault("ADD", "error first fault");
    bed.fault("DEL", "error second fault");
    let error = bed.network.attach(&id).await.unwrap_err().to_string();
    assert!(error.contains("first fault"), "{error}");
    assert_eq!(bed.network.list().await.unwrap(), std::slice::from_ref(&id));
    bed.fault("DEL", "pass");
    bed.network.detach(&id).await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_made_instances_are_listed_and_removed_whatever_half_is_there() {
    half_made(Bed::new(), false).await;
    half_made(Bed::with_rules(), true).await;
}

async fn half_made(bed: Bed, rules: bool) {
    let lose_netns = |id: &InstanceId| {
        unmount(bed.netns(id), UnmountFlags::DETACH).unwrap();
        fs::remove_file(bed.netns(id)).unwrap();
    };
    let lose_result = |id: &InstanceId| fs::remove_file(bed.result(id)).unwrap();
    let lose_lease = |at: &Attachment| fs::remove_file(bed.lease_dir().join(at.address.to_string())).unwrap();
    type Lose<'a> = &'a dyn Fn(&InstanceId, &Attachment);
    let cases: [(&str, Lose<'_>); 5] = [
        ("resultless", &|id, _| lose_result(id)),
        ("netnsless", &|id, _| lose_netns(id)),
        ("only-lease", &|id, _| {
            lose_result(id);
            lose_netns(id);
        }),
        ("only-netns", &|id, at| {
            lose_result(id);
            lose_lease(at);
            // As it is when the bridge plugin was killed before it did anything.
            if !rules {
                return;
            }
            let rules = format!("*filter\n-D CNI-FORWARD -s {}/32 -j ACCEPT\nCOMMIT\n", at.address);
            restore(&rules.replace(" -s ", " -d ").replace(" -j", " -m conntrack --ctstate RELATED,ESTABLISHED -j"));
            restore(&rules);
        }),
        ("unmounted", &|id, _| unmount(bed.netns(id), UnmountFlags::DETACH).unwrap()),
    ];
    for (name, lose) in cases {
        let id = bed.id(name);
        let attachment = bed.network.attach(&id).await.unwrap();
        lose(&id, &attachment);
        assert_eq!(bed.network.list().await.unwrap(), std::slice::from_ref(&id), "{name}");
        assert!(matches!(bed.network.lookup(&id).await, Err(HostError::NotFound(_))), "{name}");
        bed.network.detach(&id).await.unwrap();
        bed.assert_no_traces().await;
    }
    bed.finish().await;
}

fn restore(script: &str) {
    let mut child = Command::new("iptables-restore")
        .args(["--noflush", "--wait"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_an_attach_that_a_detach_waits_for_and_undoes() {
    let bed = Bed::faulty();
    let id = bed.id("left-alone");
    bed.fault("ADD", "slow 1500");
    tokio::time::timeout(Duration::from_millis(300), bed.network.attach(&id)).await.unwrap_err();
    bed.network.detach(&id).await.unwrap();
    let verbs: Vec<_> = bed.calls().iter().map(|call| call["verb"].as_str().unwrap().to_owned()).collect();
    assert_eq!(verbs, ["ADD", "ADD", "DEL", "DEL"], "the abandoned attach ran to its end first");
    bed.finish().await;
}

/// What a network that runs may lose, in each of which its instance can't be reached or reaches nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_tells_without_a_plugin_what_an_attachment_by_the_built_in_list_has_lost() {
    let bed = Bed::new();
    // Its plugins are taken away before it is looked up.
    let plugins = bed.dir.path().join("plugins");
    let without = CniNetwork::new(CniOptions { plugin_dirs: vec![plugins.clone()], ..bed.options.clone() });
    without.unwrap_err();
    fs::create_dir_all(&plugins).unwrap();
    for plugin in ["bridge", "host-local"] {
        fs::write(plugins.join(plugin), "no program").unwrap();
    }
    let without = CniNetwork::new(CniOptions { plugin_dirs: vec![plugins], ..bed.options.clone() }).unwrap();
    for (script, words) in [
        ("ip -n NAME link set eth0 down", "is down"),
        ("ip -n NAME address flush dev eth0", "lost its address"),
        ("ip -n NAME route delete default", "lost its default route"),
        ("ip -n NAME link delete eth0", "is gone"),
        ("ip link set LINK nomaster", "not on the bridge"),
        ("rm LEASE", "not leased"),
    ] {
        let id = bed.id("loses");
        let at = bed.network.attach(&id).await.unwrap();
        assert_eq!(without.lookup(&id).await.unwrap(), at);
        let entry: Value = serde_json::from_slice(&fs::read(bed.result(&id)).unwrap()).unwrap();
        let script = script
            .replace("NAME", &format!("{}.{id}", bed.options.bridge))
            .replace("LINK", entry["result"]["interfaces"][1]["name"].as_str().unwrap())
            .replace("LEASE", bed.lease_dir().join(at.address.to_string()).to_str().unwrap());
        assert!(Command::new("sh").args(["-ec", &script]).status().unwrap().success(), "{script}");
        let error = without.lookup(&id).await.unwrap_err();
        assert!(matches!(&error, HostError::Failed(text) if text.contains(words)), "{script}: {error:?}");
        bed.network.detach(&id).await.unwrap();
        bed.assert_no_traces().await;
    }
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_tells_a_network_that_lost_its_rules_from_one_that_is_whole() {
    let bed = Bed::with_rules();
    let id = bed.id("flushed");
    let attachment = bed.network.attach(&id).await.unwrap();
    bed.network.lookup(&id).await.unwrap();
    restore(&format!("*filter\n-D CNI-FORWARD -s {}/32 -j ACCEPT\nCOMMIT\n", attachment.address));
    let error = bed.network.lookup(&id).await.unwrap_err();
    assert!(matches!(&error, HostError::Failed(text) if text.contains("firewall")), "{error:?}");
    bed.network.detach(&id).await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_other_software_flushed_are_made_again_and_never_twice() {
    let bed = Bed::new();
    assert_eq!(bed.passages(), 0, "nothing is made before it is needed");
    let (first, second) = (bed.id("first"), bed.id("second"));
    bed.network.attach(&first).await.unwrap();
    bed.network.attach(&second).await.unwrap();
    bed.network.keep_open().await.unwrap();
    assert_eq!(bed.passages(), RULES, "however many instances there are");
    let bridge = &bed.options.bridge;
    let mark = format!("-m comment --comment actord:{bridge}");
    for (script, lost) in [
        (format!("-D FORWARD -i {bridge} {mark} -j actord-fwd-{bridge}"), 1),
        (format!("-D INPUT -i {bridge} {mark} -j actord-in-{bridge}"), 1),
        (format!("-D actord-fwd-{bridge} {mark} -j ACCEPT"), 1),
        // In another order they are others.
        (format!("-D actord-fwd-{bridge} {mark} -j ACCEPT\n-I actord-fwd-{bridge} {mark} -j ACCEPT"), 0),
        (format!("-F actord-in-{bridge}"), 6),
    ] {
        let before = saved_rules(bridge);
        restore(&format!("*filter\n{script}\nCOMMIT\n"));
        assert_eq!(bed.passages(), RULES - lost, "{script}");
        bed.network.lookup(&first).await.unwrap();
        bed.network.keep_open().await.unwrap();
        assert_eq!(saved_rules(bridge), before, "after {script}");
    }
    for id in [first, second] {
        bed.network.detach(&id).await.unwrap();
    }
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_subnet_is_told_in_words_that_say_what_to_do() {
    let bed = Bed::with(|options, _| options.subnet = format!("{}/29", options.subnet.network()).parse().unwrap());
    let ids: Vec<_> = (0..6).map(|at| bed.id(&format!("full{at}"))).collect();
    for id in &ids[..5] {
        bed.network.attach(id).await.unwrap();
    }
    let error = bed.network.attach(&ids[5]).await.unwrap_err().to_string();
    assert!(error.contains("is taken: delete functions or set a larger subnet"), "{error}");
    bed.network.detach(&ids[0]).await.unwrap();
    bed.network.attach(&ids[5]).await.unwrap();
    for id in &ids {
        bed.network.detach(id).await.unwrap();
    }
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_actord_finds_what_the_one_before_attached_even_with_another_list() {
    let bed = Bed::faulty();
    let id = bed.id("adopted");
    let attachment = bed.network.attach(&id).await.unwrap();
    let built_in = CniNetwork::new(CniOptions { conflist: None, ..bed.options.clone() }).unwrap();
    assert_eq!(built_in.lookup(&id).await.unwrap(), attachment);
    built_in.detach(&id).await.unwrap();
    let last = bed.calls().pop().unwrap();
    assert_eq!(last["verb"], "DEL", "detached by the list that it was attached with");
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_that_overlaps_with_a_route_of_this_host_is_refused() {
    let bed = Bed::new();
    let id = bed.id("route");
    bed.network.attach(&id).await.unwrap();
    let other = CniOptions { bridge: format!("{}x", bed.options.bridge), ..bed.options.clone() };
    let error = CniNetwork::new(other).unwrap_err().to_string();
    assert!(error.contains(&bed.options.bridge) && error.contains("set another subnet"), "{error}");
    CniNetwork::new(bed.options.clone()).unwrap();
    bed.network.detach(&id).await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_not_installed_is_named_at_the_start() {
    let bed = Bed::new();
    let options = CniOptions { plugin_dirs: vec!["/nowhere".into()], ..bed.options.clone() };
    let error = CniNetwork::new(options).unwrap_err().to_string();
    assert!(error.contains("bridge") && error.contains("containernetworking-plugins"), "{error}");
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_removes_running_attachments_too_and_can_be_repeated() {
    let bed = Bed::new();
    for name in ["x", "y"] {
        bed.network.attach(&bed.id(name)).await.unwrap();
    }
    bed.network.teardown_all().await.unwrap();
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_actords_teardown_does_not_make_attaches_fail() {
    let bed = Bed::with_rules();
    let coming_and_going = async {
        for at in 0..12 {
            let id = bed.id(&format!("steady{at}"));
            bed.network.attach(&id).await.unwrap();
            bed.network.detach(&id).await.unwrap();
        }
    };
    let others = async {
        for _ in 0..4 {
            let other = Bed::with_rules();
            other.network.attach(&other.id("other")).await.unwrap();
            other.network.teardown_all().await.unwrap();
            other.finish().await;
        }
    };
    tokio::join!(coming_and_going, others);
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_namespace_is_gone_for_mount_namespaces_that_were_made_before() {
    let bed = Bed::new();
    let id = bed.id("seen");
    bed.network.attach(&id).await.unwrap();
    // As a containerd does that was started in a mount namespace of its own.
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "slave", "cat"]);
    let mut other = unshare.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mounts = format!("/proc/{}/mountinfo", other.id());
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    while fs::read_link(format!("/proc/{}/ns/mnt", other.id())).unwrap() == own {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(fs::read_to_string(&mounts).unwrap().contains(&bed.options.bridge));
    bed.network.detach(&id).await.unwrap();
    let left = fs::read_to_string(&mounts).unwrap();
    drop(other.stdin.take());
    other.wait().unwrap();
    assert!(!left.contains(&bed.options.bridge), "{left}");
    bed.finish().await;
}
