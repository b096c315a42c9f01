//! What an instance can do to others, to the host and to its own place in the network, tried from inside with packets. Each
//! test has a network namespace of its own without a way out.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use actord::host::WarmId;

use super::bridge::{Apart, connect, link_of, packets_out, sh};
use super::*;

type Mac = [u8; 6];

const EVERYONE: Mac = [0xff; 6];
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
/// For experiments (IEEE 802): nothing listens to it.
const EXPERIMENT: u16 = 0x88b5;

/// Frames of one link, as they are on it.
struct Wire(OwnedFd);

impl Wire {
    /// Opens a link of the namespace that the calling thread is in.
    #[allow(unsafe_code)]
    fn open(link: &str) -> Self {
        let name = std::ffi::CString::new(link).unwrap();
        let every = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
        // SAFETY: plain system calls; the address lives as long as the call that reads it.
        unsafe {
            let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
            assert!(socket >= 0, "{}", io::Error::last_os_error());
            let socket = OwnedFd::from_raw_fd(socket);
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
            address.sll_protocol = every;
            address.sll_ifindex = i32::try_from(libc::if_nametoindex(name.as_ptr())).unwrap();
            assert!(address.sll_ifindex > 0, "no link {link}");
            let size = u32::try_from(size_of::<libc::sockaddr_ll>()).unwrap();
            let bound = libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size);
            assert_eq!(bound, 0, "{}", io::Error::last_os_error());
            Self(socket)
        }
    }

    fn send(&self, frame: &[u8]) {
        let sent = rustix::io::write(&self.0, frame).unwrap();
        assert_eq!(sent, frame.len());
    }

    /// All frames up to the one that comes last, without that; fails where it does not come.
    fn until(&self, last: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        loop {
            let mut ready = [rustix::event::PollFd::new(&self.0, rustix::event::PollFlags::IN)];
            let patience = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_eq!(rustix::event::poll(&mut ready, Some(&patience)).unwrap(), 1, "it never came: {found:x?}");
            let mut frame = vec![0; 2048];
            let length = rustix::io::read(&self.0, &mut frame).unwrap();
            frame.truncate(length);
            if last(&frame) {
                return found;
            }
            found.push(frame);
        }
    }
}

/// Runs on a thread inside an instance's namespace.
pub(super) fn inside<T: Send + 'static>(at: &Attachment, act: impl FnOnce() -> T + Send + 'static) -> T {
    let netns = at.netns.clone();
    let acting = std::thread::spawn(move || {
        let file = fs::File::open(netns).unwrap();
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
        act()
    });
    acting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// An instance as it is known on the network.
struct Place {
    id: InstanceId,
    at: Attachment,
    mac: Mac,
    address: Ipv4Addr,
    wire: Wire,
}

impl Place {
    async fn attach(bed: &Bed, name: &str) -> Self {
        let id = bed.id(name);
        let at = bed.network.attach(&id).await.unwrap();
        Self::of(bed, id, at)
    }

    fn of(bed: &Bed, id: InstanceId, at: Attachment) -> Self {
        let entry: Value = serde_json::from_slice(&fs::read(bed.result(&id)).unwrap()).unwrap();
        let mac = mac(entry["result"]["interfaces"][2]["mac"].as_str().unwrap());
        let IpAddr::V4(address) = at.address else { panic!("{}", at.address) };
        let wire = inside(&at, || Wire::open("eth0"));
        Self { id, at, mac, address, wire }
    }
}

fn mac(text: &str) -> Mac {
    let bytes: Vec<u8> = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

fn gateway(bed: &Bed) -> Ipv4Addr {
    (u32::from(bed.options.subnet.network()) + 1).into()
}

fn bridge_mac(bed: &Bed) -> Mac {
    let shown = sh(&format!("ip -o link show dev {}", bed.options.bridge));
    mac(shown.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap())
}

fn frame(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &from, &kind.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// An answer that nobody asked for: that the second address is at the first.
fn claim(to: Mac, from: Mac, hardware: Mac, address: Ipv4Addr, target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 2];
    let payload = [&head[..], &hardware, &address.octets(), &target.0, &target.1.octets()].concat();
    frame(to, from, ARP, &payload)
}

/// The sum that IPv4, ICMP and ICMPv6 have of their own bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let halves = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = halves.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}

/// An IPv4 packet in its frame.
fn packet(to: Mac, from: Mac, [source, target]: [Ipv4Addr; 2], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0].to_vec();
    head.extend(source.octets());
    head.extend(target.octets());
    head[2..4].copy_from_slice(&u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    let sum = checksum(&head);
    head[10..12].copy_from_slice(&sum);
    frame(to, from, IPV4, &[&head, payload].concat())
}

/// A datagram with the words, to a port that nothing listens on.
fn datagram(to: Mac, from: Mac, source: Ipv4Addr, target: Ipv4Addr, words: &[u8]) -> Vec<u8> {
    let length = |size: usize| u16::try_from(size).unwrap().to_be_bytes();
    let udp = [&length(9)[..], &length(9), &length(8 + words.len()), &[0, 0], words].concat();
    packet(to, from, [source, target], 17, &udp)
}

/// A question or an answer of ICMP, with words behind its number.
fn icmp(to: Mac, from: Mac, between: [Ipv4Addr; 2], kind: u8, words: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, 0, 0, 0, 0, 7, 0, 1], words].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum);
    packet(to, from, between, 1, &message)
}

fn has(frame: &[u8], words: &[u8]) -> bool {
    frame.windows(words.len()).any(|part| part == words)
}

/// A router that offers a network of its own, to all that listen.
fn router_advertisement(from: Mac) -> Vec<u8> {
    let mut ip = [0x60, 0, 0, 0, 0, 48, 58, 255].to_vec();
    let source = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let target = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    ip.extend(source);
    ip.extend(target);
    // Type, code, sum, hop limit, flags, lifetime, two times; then a prefix with its lifetimes.
    let mut icmp = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    icmp.extend([3, 4, 64, 0xc0, 0, 0, 7, 8, 0, 0, 7, 8, 0, 0, 0, 0]);
    icmp.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut summed = [&source[..], &target, &[0, 0, 0, 48, 0, 0, 0, 58]].concat();
    summed.extend(&icmp);
    let sum = checksum(&summed);
    icmp[2..4].copy_from_slice(&sum);
    ip.extend(icmp);
    frame([0x33, 0x33, 0, 0, 0, 1], from, 0x86dd, &ip)
}

/// What the second gets of what the first sends, once the host has got all of it.
fn seen_by(bed: &Bed, sender: &Place, frames: &[Vec<u8>], other: &Place) -> Vec<Vec<u8>> {
    let host = Wire::open(&bed.options.bridge);
    for frame in frames {
        sender.wire.send(frame);
    }
    let last = datagram(bridge_mac(bed), sender.mac, sender.address, gateway(bed), b"that was all");
    sender.wire.send(&last);
    host.until(|frame| has(frame, b"that was all"));
    let socket = UdpSocket::bind((gateway(bed), 0)).unwrap();
    socket.send_to(b"and now the host", (other.address, 9)).unwrap();
    // Not what it answers, which tells what was asked.
    let seen = other.wire.until(|frame| frame[..6] == other.mac && has(frame, b"and now the host"));
    seen.into_iter().filter(|frame| frame[6..12] == sender.mac).collect()
}

#[test]
fn no_instance_gets_what_another_sends_on_layer_2_unless_its_port_was_opened_which_is_undone() {
    Apart::run(|| async {
        let bed = Bed::new();
        let (a, b) = (Place::attach(&bed, "a").await, Place::attach(&bed, "b").await);
        let words = b"for its neighbour";
        let frames = [
            claim(EVERYONE, a.mac, a.mac, a.address, (b.mac, b.address)),
            claim(b.mac, a.mac, a.mac, a.address, (b.mac, b.address)),
            datagram(b.mac, a.mac, a.address, b.address, words),
            datagram(EVERYONE, a.mac, a.address, b.address, words),
            router_advertisement(a.mac),
            frame(EVERYONE, a.mac, EXPERIMENT, words),
        ];
        assert_eq!(seen_by(&bed, &a, &frames, &b), [[0_u8; 0]; 0]);
        // Two that are not isolated: what is counted here would be seen.
        for id in [&a.id, &b.id] {
            sh(&format!("bridge link set dev {} isolated off", link_of(&bed, id)));
        }
        assert!(seen_by(&bed, &a, &frames, &b).len() >= 2, "what it claims");
        bed.network.keep_open().await.unwrap();
        assert_eq!(seen_by(&bed, &a, &frames, &b), [[0_u8; 0]; 0]);
        // A bridge that is made anew, and a port that comes back.
        sh(&format!("ip link delete {}", bed.options.bridge));
        bed.network.keep_bridge().await.unwrap();
        assert_eq!(seen_by(&bed, &a, &frames, &b), [[0_u8; 0]; 0]);
        sh(&format!("ip link set {} nomaster", link_of(&bed, &b.id)));
        bed.network.keep_open().await.unwrap();
        assert_eq!(seen_by(&bed, &a, &frames, &b), [[0_u8; 0]; 0]);
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

#[test]
fn a_claimed_instance_is_alone_too_whatever_was_done_to_it_while_it_was_warm() {
    Apart::run(|| async {
        let bed = Bed::new();
        let a = Place::attach(&bed, "a").await;
        let warm = WarmId::random();
        bed.network.warm(&warm).await.unwrap();
        let ports = sh(&format!("ip -o link show master {}", bed.options.bridge));
        for port in ports.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next()) {
            sh(&format!("bridge link set dev {port} isolated off; tc qdisc delete dev {port} clsact"));
        }
        let id = bed.id("claims");
        let at = bed.network.claim(&warm, &id).await.unwrap();
        let b = Place::of(&bed, id, at);
        let (host, to) = (Wire::open(&bed.options.bridge), bridge_mac(&bed));
        b.wire.send(&datagram(to, b.mac, a.address, gateway(&bed), b"forged"));
        b.wire.send(&datagram(to, b.mac, b.address, gateway(&bed), b"that was all"));
        let heard = host.until(|frame| has(frame, b"that was all"));
        assert!(!heard.iter().any(|frame| has(frame, b"forged")));
        assert!(sh(&format!("bridge -d link show dev {}", link_of(&bed, &b.id))).contains("isolated on"));
        assert!(sh(&format!("tc filter show dev {} ingress", link_of(&bed, &b.id))).contains("direct-action"));
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

#[test]
fn an_instance_is_heard_by_its_own_addresses_alone_and_takes_no_other_ones_place() {
    Apart::run(|| async {
        let bed = Bed::new();
        let (a, b) = (Place::attach(&bed, "a").await, Place::attach(&bed, "b").await);
        let (host, gateway) = (bridge_mac(&bed), gateway(&bed));
        let words = b"by another name";
        let forged = [
            // That the other's address is here, for all and for the host alone; and by the other's hardware address.
            claim(EVERYONE, a.mac, a.mac, b.address, (host, gateway)),
            claim(host, a.mac, a.mac, b.address, (host, gateway)),
            claim(host, b.mac, b.mac, b.address, (host, gateway)),
            claim(host, a.mac, a.mac, gateway, (host, gateway)),
            frame(EVERYONE, b.mac, EXPERIMENT, words),
            datagram(host, a.mac, b.address, gateway, words),
            datagram(host, b.mac, a.address, gateway, words),
            datagram(host, b.mac, b.address, gateway, words),
            datagram(host, a.mac, Ipv4Addr::new(192, 0, 2, 7), gateway, words),
            datagram([1, 0, 0x5e, 0, 0, 0xfb], a.mac, a.address, Ipv4Addr::new(224, 0, 0, 251), words),
            router_advertisement(a.mac),
        ];
        let heard = || {
            let wire = Wire::open(&bed.options.bridge);
            for frame in &forged {
                a.wire.send(frame);
            }
            a.wire.send(&datagram(host, a.mac, a.address, gateway, b"that was all"));
            let heard = wire.until(|frame| has(frame, b"that was all"));
            heard.into_iter().filter(|frame| frame[6..12] != host).collect::<Vec<_>>()
        };
        assert_eq!(fetch(serve(&b.at)), "hello");
        assert_eq!(heard(), [[0_u8; 0]; 0]);
        assert_eq!(fetch(serve(&b.at)), "hello", "its requests come to it");
        let neighbour = || sh(&format!("ip neighbour show {} dev {}", b.address, bed.options.bridge));
        let known = mac(neighbour().split("lladdr ").nth(1).unwrap().split(' ').next().unwrap());
        assert_eq!(known, b.mac);
        // Without the filter it does take it.
        sh(&format!("tc qdisc delete dev {} clsact", link_of(&bed, &a.id)));
        assert!(heard().len() >= 8);
        bed.network.keep_open().await.unwrap();
        assert_eq!(heard(), [[0_u8; 0]; 0]);
        // Only the filter, and not what it hangs on.
        sh(&format!("tc filter delete dev {} ingress", link_of(&bed, &a.id)));
        bed.network.keep_open().await.unwrap();
        assert_eq!(heard(), [[0_u8; 0]; 0]);
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

/// All settings of all links that are not as they have to be.
fn loud(at: &Attachment) -> Vec<String> {
    inside(at, || {
        let wanted = [
            ("ipv4", "forwarding", "0"),
            ("ipv4", "accept_redirects", "0"),
            ("ipv4", "secure_redirects", "0"),
            ("ipv4", "send_redirects", "0"),
            ("ipv4", "accept_source_route", "0"),
            ("ipv6", "disable_ipv6", "1"),
            ("ipv6", "accept_ra", "0"),
            ("ipv6", "accept_redirects", "0"),
            ("ipv6", "forwarding", "0"),
        ];
        let mut found = Vec::new();
        for (family, setting, value) in wanted {
            for link in ["all", "default", "eth0", "lo"] {
                let path = format!("/proc/sys/net/{family}/conf/{link}/{setting}");
                let is = fs::read_to_string(&path).unwrap();
                if is.trim() != value && (link, setting) != ("lo", "disable_ipv6") {
                    found.push(format!("{path} is {}", is.trim()));
                }
            }
        }
        let addresses = fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap();
        found.extend(addresses.lines().filter(|line| !line.ends_with(" lo")).map(str::to_owned));
        TcpListener::bind("[::1]:0").unwrap();
        found
    })
}

#[test]
fn an_instances_namespace_believes_no_router_and_passes_nothing_on() {
    Apart::run(|| async {
        let bed = Bed::new();
        let (a, b) = (Place::attach(&bed, "a").await, Place::attach(&bed, "b").await);
        for place in [&a, &b] {
            assert_eq!(loud(&place.at), [""; 0]);
        }
        // By the host itself, which no port keeps from anything.
        let host = Wire::open(&bed.options.bridge);
        let (host_mac, gateway) = (bridge_mac(&bed), gateway(&bed));
        let passed_on = |words: &[u8]| {
            host.send(&router_advertisement(host_mac));
            host.send(&datagram(a.mac, host_mac, Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1), words));
            host.send(&datagram(a.mac, host_mac, gateway, a.address, b"that was all"));
            // Its answer, that nothing listens there, comes after what it passes on.
            let is_answer = |frame: &[u8]| frame[6..12] == a.mac && frame[12..14] == [8, 0] && frame[23] == 1;
            let seen = a.wire.until(|frame| is_answer(frame) && frame[34] == 3);
            seen.into_iter().filter(|frame| frame[6..12] == a.mac && has(frame, words)).count()
        };
        assert_eq!(passed_on(b"not for it"), 0);
        assert_eq!(loud(&a.at), [""; 0]);
        // Where forwarding is on it does pass it on.
        inside(&a.at, || fs::write("/proc/sys/net/ipv4/conf/all/forwarding", "1").unwrap());
        assert_eq!(passed_on(b"not for it"), 1);
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

#[test]
fn what_an_earlier_version_attached_is_made_as_if_it_were_attached_now_and_goes_on() {
    Apart::run(|| async {
        let bed = Bed::new();
        let a = Place::attach(&bed, "a").await;
        let warm = WarmId::random();
        bed.network.warm(&warm).await.unwrap();
        bed.network.keep_open().await.unwrap();
        // As it left it.
        let age = |path: PathBuf| {
            let mut entry: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            entry.as_object_mut().unwrap().remove("quiet").unwrap();
            fs::write(path, entry.to_string()).unwrap();
        };
        age(bed.result(&a.id));
        age(bed.options.state_dir.join("results").join(format!("{}-{warm}-eth0", bed.options.name)));
        sh(&format!("tc qdisc delete dev {0} clsact; bridge link set dev {0} isolated off", link_of(&bed, &a.id)));
        let bridge = &bed.options.bridge;
        let words = format!("-i {bridge} -m comment --comment actord:{bridge} -j ACCEPT");
        restore(&format!("*filter\n-I FORWARD {words}\nCOMMIT\n"));
        inside(&a.at, || {
            for setting in ["ipv4/conf/all/forwarding", "ipv4/conf/eth0/accept_redirects", "ipv6/conf/eth0/accept_ra"] {
                fs::write(format!("/proc/sys/net/{setting}"), "1").unwrap();
            }
            fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0").unwrap();
        });
        let waiting = serve(&a.at);
        assert!(!loud(&a.at).is_empty());
        let next = CniNetwork::new(bed.options.clone()).unwrap();
        assert_eq!(next.list_warm().await.unwrap(), [(warm.clone(), false)], "it is made anew");
        next.keep_open().await.unwrap();
        assert_eq!(loud(&a.at), [""; 0]);
        assert!(sh(&format!("bridge -d link show dev {}", link_of(&bed, &a.id))).contains("isolated on"));
        assert!(sh(&format!("tc filter show dev {} ingress", link_of(&bed, &a.id))).contains("direct-action"));
        assert_eq!(bed.passages(), RULES, "and the rule that let everything through is gone");
        next.lookup(&a.id).await.unwrap();
        assert_eq!(fetch(waiting), "hello");
        next.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

/// The kinds of ICMP by which the host answers one of this kind.
fn answers_to(bed: &Bed, place: &Place, kind: u8) -> Vec<u8> {
    let (host, wire) = (bridge_mac(bed), inside(&place.at, || Wire::open("eth0")));
    for (kind, words) in [(kind, b"what time is"), (8, b"that was all")] {
        wire.send(&icmp(host, place.mac, [place.address, gateway(bed)], kind, words));
    }
    let is_answer = |frame: &[u8]| frame[6..12] == host && frame[12..14] == [8, 0] && frame[23] == 1;
    let seen = wire.until(|frame| is_answer(frame) && frame[34] == 0 && has(frame, b"that was all"));
    seen.into_iter().filter(|frame| is_answer(frame)).map(|frame| frame[34]).collect()
}

/// Whether a connection from inside an instance comes to be: by its kind of error, if not.
pub(super) fn reach(from: &Attachment, address: Ipv4Addr, port: u16) -> Result<(), io::ErrorKind> {
    inside(from, move || connect((address, port).into()).map(drop).map_err(|error| error.kind()))
}

#[test]
fn an_instance_reaches_the_outside_and_of_the_host_what_is_offered_and_no_other_instance() {
    Apart::run(|| async {
        let (public, listed, unlisted) = (8080, 5432, 9090);
        let bed = Bed::with(|options, _| {
            options.public_port = Some(public);
            options.reachable =
                ["host:5432", "192.0.2.1:7000", "169.254.169.253:80"].map(|it| it.parse().unwrap()).to_vec();
        });
        let (a, b) = (Place::attach(&bed, "a").await, Place::attach(&bed, "b").await);
        let (gateway, outside) = (gateway(&bed), Ipv4Addr::new(192, 0, 2, 1));
        let listening: Vec<_> = [public, listed, unlisted, 53, 7000]
            .into_iter()
            .map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap())
            .collect();
        let refused = Err(io::ErrorKind::ConnectionRefused);
        for address in [gateway, outside] {
            for (port, outcome) in [(public, Ok(())), (listed, Ok(())), (53, Ok(())), (unlisted, refused)] {
                assert_eq!(reach(&a.at, address, port), outcome, "{address}:{port}");
            }
        }
        assert_eq!((reach(&a.at, outside, 7000), reach(&a.at, gateway, 7000)), (Ok(()), refused));

        // Another instance: directly, and by way of the host.
        let serving = serve(&b.at);
        let port = serving.port();
        assert!(reach(&a.at, b.address, port).is_err());
        let script = format!("ip -n {}.{} route add {} via {gateway}", bed.options.bridge, a.id, b.address);
        sh(&script);
        assert_eq!(reach(&a.at, b.address, port), refused);
        assert_eq!(fetch(serving), "hello", "the host reaches it");

        // What is not of this machine leaves it, but for link-local addresses: of those DNS, and what is listed.
        let leaves = |address: [u8; 4], port: u16| {
            let before = packets_out();
            let outcome = reach(&a.at, address.into(), port);
            (packets_out() > before, outcome)
        };
        assert_eq!(leaves([169, 254, 169, 254], 80), (false, refused));
        assert!(leaves([169, 254, 169, 254], 53).0, "where a cloud's name server is");
        assert!(leaves([169, 254, 169, 253], 80).0 && leaves([203, 0, 113, 1], 80).0);

        // Datagrams: DNS is heard, others are not.
        let dns = UdpSocket::bind((gateway, 53)).unwrap();
        let other = UdpSocket::bind((gateway, 5353)).unwrap();
        for socket in [&dns, &other] {
            socket.set_nonblocking(true).unwrap();
        }
        inside(&a.at, move || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for port in [5353, 53] {
                socket.send_to(b"who is it", (gateway, port)).unwrap();
            }
        });
        let mut words = [0; 16];
        let heard = async {
            while let Err(error) = dns.recv(&mut words) {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
        assert_eq!(other.recv(&mut words).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        // Of ICMP an echo (0) is answered; to another question, as for the time, it says that it is not to be reached (3).
        assert_eq!((answers_to(&bed, &a, 8), answers_to(&bed, &a, 13)), (vec![0], vec![3]));
        drop(listening);
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}
