//! What functions reach of each other and of this machine, asked from inside, by the real program. `tests/cni_real/alone.rs`
//! asks for what lies beyond, where no packet leaves.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;

use crate::actord::{Actord, until};

/// Functions listen here.
const PORT: u16 = 8080;

/// Runs on a thread in the network namespace of a process.
fn inside<T: Send + 'static>(process: i32, act: impl FnOnce() -> T + Send + 'static) -> T {
    let acting = std::thread::spawn(move || {
        let namespace = File::open(format!("/proc/{process}/ns/net")).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        act()
    });
    acting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A GET from in there: status and body.
fn ask(process: i32, address: SocketAddr, path: &str) -> Result<(u16, String), ErrorKind> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let asked = inside(process, move || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = asked.map_err(|error| error.kind())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()))
}

/// The address of a process's own end: what it would send to the gateway by. Nothing is sent.
fn address(process: i32, gateway: IpAddr) -> IpAddr {
    inside(process, move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect((gateway, PORT)).unwrap();
        socket.local_addr().unwrap().ip()
    })
}

/// At all addresses of this machine, ports that nothing listens on.
fn free() -> impl Iterator<Item = SocketAddr> {
    let any = || SocketAddr::from(([0, 0, 0, 0], rand::random_range(12_000..32_000)));
    std::iter::repeat_with(any).filter(|address| TcpListener::bind(address).is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_call_each_other_by_the_gateway_whatever_their_namespaces_and_reach_nothing_of_it_or_of_others_else()
{
    // What functions call each other by has to listen at their gateway; what only the operator asks does here, too.
    let mut free = free();
    let (public, provider, metrics) = (free.next().unwrap(), free.next().unwrap(), free.next().unwrap());
    let listens = [("--listen", public), ("--provider-listen", provider), ("--metrics-listen", metrics)];
    let listens = listens.map(|(name, address)| [name.to_owned(), address.to_string()]).concat();
    let actord = Actord::start_with(&listens.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let made = actord.system("POST", "/system/namespace/", json!({ "name": "team", "labels": { "openfaas": "1" } }));
    assert_eq!(made.await.status, 201);
    actord.deploy("near", json!({})).await;
    actord.deploy("there", json!({})).await;
    actord.deploy("far", json!({ "namespace": "team" })).await;
    let gateway: IpAddr = format!("{}1", actord.subnet()).parse().unwrap();
    let places = [("near", ""), ("there", ""), ("far", ".team")].map(|(name, namespace)| {
        let process = actord.process(name);
        (format!("{name}{namespace}"), process, address(process, gateway))
    });
    let service = TcpListener::bind("0.0.0.0:0").unwrap();
    let closed = [provider.port(), metrics.port(), service.local_addr().unwrap().port()];
    for (from, process, _) in &places {
        for (to, _, at) in places.iter().filter(|(to, ..)| to != from) {
            let by_gateway = ask(*process, (gateway, public.port()).into(), &format!("/function/{to}/version"));
            assert_eq!(by_gateway.unwrap().0, 200, "{from} to {to} by the gateway");
            let directly = ask(*process, (*at, PORT).into(), "/version");
            assert!(directly.is_err(), "{from} to {to}: {directly:?}");
        }
        for port in closed {
            let reached = ask(*process, (gateway, port).into(), "/metrics");
            assert_eq!(reached, Err(ErrorKind::ConnectionRefused), "{from} to port {port} of the machine");
        }
        let without_password = ask(*process, (gateway, public.port()).into(), "/system/functions");
        assert_eq!(without_password.unwrap().0, 401, "{from}");
    }
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_may_send_nowhere_reaches_its_gateway_alone_also_after_an_update_and_under_the_next_actord() {
    let public = free().next().unwrap();
    let mut actord = Actord::start_with(&["--listen", &public.to_string()]).await;
    let annotated = |outbound: &str| json!({ "annotations": { "actord.outbound": outbound } });
    let refused = actord.apply("POST", "held", annotated("example.com:443")).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("names are not looked up"), "{}", refused.text());
    actord.deploy("held", annotated("none")).await;
    actord.deploy("free", json!({})).await;
    let gateway: IpAddr = format!("{}1", actord.subnet()).parse().unwrap();
    // An address of this machine that is not the gateway's: what goes there does not leave.
    let elsewhere: IpAddr = [192, 0, 2, rand::random_range(1..=254)].into();
    let added = Command::new("ip")
        .args(["address", "add", &format!("{elsewhere}/32"), "dev", &actord.traces().bridge])
        .status()
        .unwrap();
    assert!(added.success());
    let reaches = |process: i32| {
        let ask = |place: IpAddr| ask(process, (place, public.port()).into(), "/function/free/version");
        (ask(gateway).unwrap().0, ask(elsewhere).map(|(status, _)| status))
    };
    assert_eq!(reaches(actord.process("free")), (200, Ok(200)));
    assert_eq!(reaches(actord.process("held")), (200, Err(ErrorKind::TimedOut)));
    actord.kill().await;
    actord.launch(&[]).await;
    assert_eq!(reaches(actord.process("held")), (200, Err(ErrorKind::TimedOut)));
    assert_eq!(actord.update("held", annotated(&format!("{elsewhere}:{}", public.port()))).await.status, 202);
    until("one instance is left", async || actord.processes_of("held").len() == 1).await;
    assert_eq!(reaches(actord.process("held")), (200, Ok(200)));
    actord.finish().await;
}
