//! What functions reach of each other and of this machine, asked from inside, by the real program. `tests/cni_real/alone.rs`
//! asks for what lies beyond, where no packet leaves.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

use crate::actord::Actord;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_call_each_other_by_the_gateway_whatever_their_namespaces_and_reach_nothing_of_it_or_of_others_else()
{
    // What functions call each other by has to listen at their gateway; what only the operator asks does here, too.
    let mut free = std::iter::repeat_with(|| SocketAddr::from(([0, 0, 0, 0], rand::random_range(12_000..32_000))))
        .filter(|address| TcpListener::bind(address).is_ok());
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
    assert_eq!(actord.system("GET", "/system/function/far?namespace=team", Value::Null).await.status, 200);
    actord.finish().await;
}
