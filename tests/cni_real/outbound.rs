//! Where an instance may send to, tried from inside with packets. Each test has a network namespace of its own without a way
//! out: what leaves for elsewhere is counted, and goes nowhere.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use actord::function::Outbound;
use actord::host::WarmId;

use super::alone::{inside, reach};
use super::bridge::{Apart, connect, link_of, packets_out, sh};
use super::*;

/// Outside, one with a port and one without; and others. None of them is there.
const LISTED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const NETWORK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 200);
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const PLACES: &str = "203.0.113.7:443,198.51.100.0/24,169.254.169.254:80";

fn outbound(text: &str) -> Outbound {
    text.parse().unwrap()
}

/// Whether anything of a datagram to there, of so many bytes, goes out.
fn leaves(at: &Attachment, to: Ipv4Addr, port: u16, size: usize) -> bool {
    let before = packets_out();
    let IpAddr::V4(own) = at.address else { panic!("{}", at.address) };
    let [a, b, c, _] = own.octets();
    let answers = move || connect((Ipv4Addr::new(a, b, c, 1), 8081).into()).unwrap_err();
    inside(at, move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let _ = socket.send_to(&vec![7; size], (to, port));
    });
    // Its gateway answers what was sent after it; where another core has it still, some time later.
    for _ in 0..5 {
        inside(at, answers);
        if packets_out() > before {
            break;
        }
    }
    packets_out() > before
}

/// Whether it is where it should be, with a list of places or with none.
fn is_held(at: &Attachment, listed: bool) {
    for (to, port, size, leaving) in [
        (LISTED, 443, 10, listed),
        // In parts.
        (LISTED, 443, 4000, listed),
        (LISTED, 444, 10, false),
        (LISTED, 444, 4000, false),
        (NETWORK, 1, 10, listed),
        (OTHER, 443, 10, false),
        (OTHER, 53, 10, false),
        // Listed by the function, and closed to all.
        (METADATA, 80, 10, false),
    ] {
        assert_eq!(leaves(at, to, port, size), leaving, "{size} bytes to {to}:{port}, listed: {listed}");
    }
}

#[test]
fn an_instance_sends_to_its_gateway_and_the_places_of_its_list_and_nowhere_else() {
    Apart::run(|| async {
        let bed = Bed::with(|options, _| options.public_port = Some(8080));
        let gateway: Ipv4Addr = (u32::from(bed.options.subnet.network()) + 1).into();
        let listening = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).unwrap();
        let (free, none, some) = (bed.id("free"), bed.id("none"), bed.id("some"));
        let mut at = Vec::new();
        for (id, places) in [(&free, "all"), (&none, "none"), (&some, PLACES)] {
            at.push(bed.network.attach(id).await.unwrap());
            bed.network.restrict(id, &outbound(places)).await.unwrap();
        }
        let held = || {
            is_held(&at[1], false);
            is_held(&at[2], true);
            for to in [LISTED, NETWORK, OTHER] {
                assert!(leaves(&at[0], to, 1, 10), "{to}: another one's limits are not its own");
            }
            for at in &at {
                // Its gateway offers the public API; and it answers what it is asked.
                assert_eq!(reach(at, gateway, 8080), Ok(()));
                assert_eq!(reach(at, gateway, 8081), Err(io::ErrorKind::ConnectionRefused));
                assert_eq!(fetch(serve(at)), "hello");
            }
            // The machine's other addresses are outside for it.
            assert_eq!(reach(&at[0], Ipv4Addr::new(192, 0, 2, 1), 8080), Ok(()));
            assert_eq!(reach(&at[1], Ipv4Addr::new(192, 0, 2, 1), 8080), Err(io::ErrorKind::TimedOut));
        };
        held();
        // Without its filter it is not held; the next look puts it back, with its limits.
        sh(&format!("tc filter delete dev {} ingress", link_of(&bed, &none)));
        assert!(leaves(&at[1], OTHER, 443, 10));
        bed.network.keep_open().await.unwrap();
        held();
        sh(&format!("ip link delete {}", bed.options.bridge));
        bed.network.keep_bridge().await.unwrap();
        held();
        // An actord that comes later knows of them.
        sh(&format!("tc qdisc delete dev {} clsact", link_of(&bed, &some)));
        let next = CniNetwork::new(bed.options.clone()).unwrap();
        next.keep_open().await.unwrap();
        held();
        drop(listening);
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

#[test]
fn a_claimed_instance_has_its_own_limits_and_who_gets_its_address_later_has_none_of_them() {
    Apart::run(|| async {
        let bed = Bed::with(|options, _| options.subnet = format!("{}/29", options.subnet.network()).parse().unwrap());
        let (warm, id) = (WarmId::random(), bed.id("claims"));
        bed.network.warm(&warm).await.unwrap();
        bed.network.keep_open().await.unwrap();
        let at = bed.network.claim(&warm, &id).await.unwrap();
        bed.network.restrict(&id, &outbound("none")).await.unwrap();
        is_held(&at, false);
        bed.network.keep_open().await.unwrap();
        is_held(&at, false);
        bed.network.detach(&id).await.unwrap();
        let mut later = Vec::new();
        for number in 0..5 {
            later.push(bed.network.attach(&bed.id(&format!("later{number}"))).await.unwrap());
        }
        assert!(later.iter().any(|it| it.address == at.address));
        assert!(later.iter().all(|it| leaves(it, OTHER, 443, 10)));
        bed.network.teardown_all().await.unwrap();
        bed.finish().await;
    });
}

/// The plugins of a user's own list decide where its instances send to.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_network_list_of_the_users_own_limits_are_refused_in_words() {
    let bed = Bed::faulty();
    let id = bed.id("foreign");
    bed.network.attach(&id).await.unwrap();
    let refused = bed.network.restrict(&id, &outbound("none")).await.unwrap_err();
    assert!(matches!(&refused, HostError::Spec(why) if why.contains("cni-conflist")), "{refused:?}");
    bed.network.restrict(&id, &Outbound::All).await.unwrap();
    bed.network.detach(&id).await.unwrap();
    bed.finish().await;
}
