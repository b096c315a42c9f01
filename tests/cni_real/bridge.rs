//! What other software does to the bridge, and that it is put back. Each test has a network namespace of its own whose
//! default route leads into a link that swallows everything: a packet that leaves by it is counted, and goes nowhere.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// What an administrator, or a program, may do. `LINK` stands for the host's end of the first instance's link.
const BREAKS: &[(&str, &str)] = &[
    ("gone", "ip link delete BRIDGE"),
    ("down", "ip link set BRIDGE down"),
    ("without its address", "ip address flush dev BRIDGE"),
    ("without its route", "ip route delete SUBNET dev BRIDGE"),
    ("down and without its address", "ip address flush dev BRIDGE; ip link set BRIDGE down"),
    ("without a port", "ip link set LINK nomaster"),
    ("with a port that is down", "ip link set LINK down"),
];

/// A network namespace without a way out, for as long as it lives.
pub(super) struct Apart(String);

impl Apart {
    /// Runs `test` on a thread in a namespace of its own.
    pub(super) fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
        let apart = Self(format!("apart{:08x}", rand::random::<u32>()));
        sh(&format!("ip netns add {}", apart.0));
        let path = Path::new(NETNS).join(&apart.0);
        let inside = std::thread::spawn(move || {
            let file = fs::File::open(path).unwrap();
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
            sh("for file in all default; do echo 1 > /proc/sys/net/ipv6/conf/$file/disable_ipv6; done
                ip link set lo up; ip link add out0 type veth peer name out1; ip link set out1 up; ip link set out0 up
                ip address add 192.0.2.1/24 dev out0
                ip route add default via 192.0.2.254
                ip neighbour replace 192.0.2.254 lladdr 02:00:00:00:00:fe dev out0 nud permanent");
            // One thread: what it starts is in the namespace, too.
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
        });
        if let Err(panic) = inside.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

pub(super) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Packets that went out by the default route.
pub(super) fn packets_out() -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix("out0:")).unwrap();
    line.split_whitespace().nth(9).unwrap().parse().unwrap()
}

pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, Duration::from_millis(500))
}

fn refusals(bed: &Bed) -> usize {
    let routes = sh("ip route show type unreachable");
    routes.lines().filter(|line| line.contains(&bed.options.subnet.to_string())).count()
}

/// What is written to the log on this thread for as long as the guard lives.
fn log() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let written: Arc<Mutex<Vec<u8>>> = Arc::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || Log(writer.clone())).finish();
    (written, tracing::subscriber::set_default(subscriber))
}

/// The host's end of an instance's link.
pub(super) fn link_of(bed: &Bed, id: &InstanceId) -> String {
    let entry: Value = serde_json::from_slice(&fs::read(bed.result(id)).unwrap()).unwrap();
    entry["result"]["interfaces"][1]["name"].as_str().unwrap().to_owned()
}

#[test]
fn whatever_the_bridge_lost_is_put_back_instances_answer_again_and_nothing_leaves_meanwhile() {
    Apart::run(|| async {
        let bed = Bed::new();
        let ids = [bed.id("a"), bed.id("b")];
        let mut at = Vec::new();
        for id in &ids {
            at.push(bed.network.attach(id).await.unwrap());
        }
        for (what, script) in BREAKS {
            for attachment in &at {
                assert_eq!(fetch(serve(attachment)), "hello", "before it is {what}");
            }
            let before = packets_out();
            let script = script
                .replace("BRIDGE", &bed.options.bridge)
                .replace("SUBNET", &bed.options.subnet.to_string())
                .replace("LINK", &link_of(&bed, &ids[0]));
            sh(&script);
            let waiting = serve(&at[0]);
            assert!(connect(waiting).is_err(), "{what}: reachable all the same");
            assert_eq!(packets_out(), before, "{what}: packets to a function left by the default route");

            bed.network.keep_bridge().await.unwrap();
            bed.network.keep_open().await.unwrap();
            assert_eq!(bed.network.fault(), None, "{what}");
            assert_eq!(fetch(waiting), "hello", "after it was {what}");
            assert_eq!(fetch(serve(&at[1])), "hello", "after it was {what}");
            for id in &ids {
                bed.network.lookup(id).await.unwrap();
            }
            assert_eq!(packets_out(), before, "{what}");
        }
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

#[test]
fn the_route_that_refuses_is_made_with_the_first_instance_put_back_and_removed_with_the_network() {
    Apart::run(|| async {
        let bed = Bed::new();
        assert_eq!(refusals(&bed), 0, "nothing is made before it is needed");
        let id = bed.id("first");
        let at = bed.network.attach(&id).await.unwrap();
        bed.network.attach(&bed.id("second")).await.unwrap();
        assert_eq!(refusals(&bed), 1);
        sh(&format!("ip route delete unreachable {} metric {}", bed.options.subnet, i32::MAX));
        assert_eq!(refusals(&bed), 0);
        bed.network.keep_open().await.unwrap();
        bed.network.keep_open().await.unwrap();
        assert_eq!(refusals(&bed), 1);

        // Without the route they do leave: what is counted here is what it is for.
        sh(&format!(
            "ip route delete unreachable {} metric {}; ip link delete {}",
            bed.options.subnet,
            i32::MAX,
            bed.options.bridge
        ));
        let before = packets_out();
        assert!(connect((at.address, 8080).into()).is_err());
        assert!(packets_out() > before);
        bed.network.teardown_all().await.unwrap();
        assert_eq!(refusals(&bed), 0);
        bed.finish().await;
    });
}

#[test]
fn a_start_after_a_kill_takes_the_route_for_its_own_and_one_with_another_subnet_removes_it() {
    Apart::run(|| async {
        let bed = Bed::new();
        let id = bed.id("first");
        bed.network.attach(&id).await.unwrap();
        // A kill: nothing was put away.
        let again = CniNetwork::new(bed.options.clone()).unwrap();
        again.keep_open().await.unwrap();
        assert_eq!(refusals(&bed), 1);
        let other = CniOptions { subnet: "198.18.7.0/24".parse().unwrap(), ..bed.options.clone() };
        assert!(CniNetwork::new(other.clone()).unwrap_err().to_string().contains("from an earlier start"));
        assert_eq!(refusals(&bed), 1, "functions of the earlier subnet may be running");
        bed.network.detach(&id).await.unwrap();
        sh(&format!("ip link delete {}", bed.options.bridge));
        assert_eq!(refusals(&bed), 1);
        let other = CniNetwork::new(other).unwrap();
        assert_eq!(refusals(&bed), 0);
        other.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

#[test]
fn a_link_of_another_kind_in_the_bridges_place_is_told_and_left_alone() {
    Apart::run(|| async {
        let bed = Bed::new();
        let (id, bridge) = (bed.id("first"), bed.options.bridge.clone());
        let at = bed.network.attach(&id).await.unwrap();
        sh(&format!("ip link delete {bridge}; ip link add {bridge} type veth peer name other0"));
        let (written, guard) = log();
        let error = bed.network.keep_bridge().await.unwrap_err().to_string();
        for _ in 0..5 {
            assert_eq!(bed.network.keep_bridge().await.unwrap_err().to_string(), error);
        }
        drop(guard);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written.matches("putting it back").count(), 1, "once, however often it is tried: {written}");
        assert!(
            error.contains(&bridge) && error.contains("another kind") && error.contains("remove that link"),
            "{error}"
        );
        assert_eq!(bed.network.fault(), Some(error));
        assert!(bed.options.bridge_fault().unwrap_err().contains("another kind"));
        sh(&format!("ip link delete {bridge}"));
        assert!(bed.options.bridge_fault().unwrap_err().contains("is gone"));
        bed.network.keep_bridge().await.unwrap();
        assert_eq!((bed.network.fault(), bed.options.bridge_fault()), (None, Ok(())));
        assert_eq!(fetch(serve(&at)), "hello");
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

/// The addresses that the kernel need not ask for on the bridge, with the hardware address of each.
fn neighbours(bed: &Bed) -> Vec<(String, String)> {
    let lines = sh(&format!("ip -4 neighbour show dev {} nud permanent", bed.options.bridge));
    let words = lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.map(|words| (words[0].to_owned(), words[2].to_owned())).collect()
}

#[test]
fn an_instance_is_a_lasting_neighbour_of_the_bridge_until_it_is_detached() {
    Apart::run(|| async {
        let bed = Bed::new();
        let (first, second) = (bed.id("first"), bed.id("second"));
        let at = bed.network.attach(&first).await.unwrap();
        let entry: Value = serde_json::from_slice(&fs::read(bed.result(&first)).unwrap()).unwrap();
        let inner = entry["result"]["interfaces"][2]["mac"].as_str().unwrap().to_owned();
        assert_eq!(neighbours(&bed), [(at.address.to_string(), inner)]);
        // Nobody need be asked: not one question has left for it.
        assert_eq!(fetch(serve(&at)), "hello");
        bed.network.attach(&second).await.unwrap();
        bed.network.keep_open().await.unwrap();
        let whole = neighbours(&bed);
        assert_eq!(whole.len(), 2);

        // Other software forgets it, or says something else.
        sh(&format!("ip neighbour delete {} dev {}", at.address, bed.options.bridge));
        bed.network.keep_open().await.unwrap();
        let sorted = |mut all: Vec<_>| {
            all.sort_unstable();
            all
        };
        assert_eq!(sorted(neighbours(&bed)), sorted(whole.clone()));
        sh(&format!("ip link set {0} down; ip link set {0} up", bed.options.bridge));
        assert!(neighbours(&bed).is_empty(), "the kernel forgets them with the link");
        bed.network.keep_bridge().await.unwrap();
        bed.network.keep_open().await.unwrap();
        assert_eq!(sorted(neighbours(&bed)), sorted(whole));

        bed.network.detach(&first).await.unwrap();
        assert!(neighbours(&bed).iter().all(|(address, _)| *address != at.address.to_string()));
        bed.network.detach(&first).await.unwrap();
        assert_eq!(neighbours(&bed).len(), 1);
        bed.network.detach(&second).await.unwrap();
        assert!(neighbours(&bed).is_empty());
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}
