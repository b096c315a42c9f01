//! What comes to the ports and is no HTTP: it fills no log, and gets in the way of no client.
//!
//! The log belongs to the process, so a process of its own serves: this test's binary, with one test that is ignored else.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use actord::config::LogFormat;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{House, ask, function};

/// What is sent, and whether its sender then goes away at once, by a reset.
fn garbage() -> Vec<(&'static str, Vec<u8>, bool)> {
    let long = |byte: u8| vec![byte; 200_000];
    vec![
        ("TLS", b"\x16\x03\x01\x00\xf5\x01\x00\x00\xf1\x03\x03\x00\x01\x02".to_vec(), false),
        ("SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec(), false),
        ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".to_vec(), false),
        ("RDP", b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00".to_vec(), false),
        ("SMB", b"\x00\x00\x00\x54\xffSMBr\x00\x00\x00\x00\x18\x01\x28".to_vec(), false),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00".to_vec(), false),
        ("zeros", vec![0; 4_096], false),
        ("binary", (0..=255).collect(), false),
        ("long line", long(b'A'), false),
        ("long binary", long(0xff), false),
        ("long header", [b"GET / HTTP/1.1\r\nX: ".to_vec(), long(b'a')].concat(), false),
        ("PROXY 1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), false),
        ("PROXY 2", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c".to_vec(), false),
        ("SOCKS 4", b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00".to_vec(), false),
        ("SOCKS 5", b"\x05\x01\x00".to_vec(), false),
        ("HTTP proxy", b"CONNECT example.org:443 HTTP/1.1\r\n\r\n".to_vec(), false),
        ("HTTP/0.9", b"GET /\r\n".to_vec(), false),
        ("no host", b"GET / HTTP/1.1\r\n\r\n".to_vec(), false),
        ("RTSP", b"OPTIONS / RTSP/1.0\r\n\r\n".to_vec(), false),
        ("SIP", b"OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/TCP nm\r\n\r\n".to_vec(), false),
        ("Redis", b"*1\r\n$4\r\nPING\r\n".to_vec(), false),
        ("shell", b"() { :; }; /bin/true\n".to_vec(), false),
        (
            "lengths",
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            false,
        ),
        (
            "bad chunk",
            b"POST /function/nosuch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            false,
        ),
        ("half a head", b"GET / HTTP/1.1\r\nHost:".to_vec(), true),
        ("half a body", b"POST /function/nosuch HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nhalf".to_vec(), true),
        (
            "half a chunk",
            b"POST /function/slow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf".to_vec(),
            true,
        ),
        ("gone while it is answered", b"GET /function/slow HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), true),
        ("answer broken off", b"GET /function/broken HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec(), false),
        (
            "chunks broken off",
            b"GET /function/broken/chunks HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec(),
            false,
        ),
        ("silence", Vec::new(), true),
    ]
}

/// Sends one of them, and takes what comes.
async fn send(address: SocketAddr, (name, bytes, resets): (&str, Vec<u8>, bool)) {
    let mut client = TcpStream::connect(address).await.unwrap();
    // A connection that was ended at once can't be written to.
    let _ = client.write_all(&bytes).await;
    if resets {
        tokio::time::sleep(Duration::from_millis(2)).await;
        end_by_reset(&client);
        return;
    }
    let mut came = Vec::new();
    let end = timeout(Duration::from_secs(20), client.read_to_end(&mut came)).await;
    assert!(end.is_ok(), "{name}: the connection goes on: {:?}", String::from_utf8_lossy(&came));
}

/// Lets the end of a connection be a reset.
fn end_by_reset(client: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO)).unwrap();
}

#[actix_web::test]
async fn hundreds_of_connections_that_speak_no_http_are_told_in_a_few_lines() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["strangers::serves_until_it_is_killed", "--exact", "--ignored", "--nocapture"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let log = BufReader::new(child.stderr.take().unwrap());
    let log = actix_web::rt::spawn(async move {
        let (mut lines, mut log) = (Vec::new(), log.lines());
        while let Ok(Some(line)) = log.next_line().await {
            lines.push(line);
        }
        lines
    });
    let addresses: Vec<SocketAddr> = loop {
        let line = said.next_line().await.unwrap().expect("it serves");
        if let Some((_, addresses)) = line.split_once("serves ") {
            break addresses.split(' ').map(|address| address.parse().unwrap()).collect();
        }
    };
    let mut sent = 0;
    for _ in 0..5 {
        for &address in &addresses {
            let all = garbage().into_iter().map(|garbage| send(address, garbage));
            sent += futures_util::future::join_all(all).await.len();
        }
    }
    assert!(sent >= 300, "{sent}");
    for &address in &addresses {
        let reply = ask(address, "GET /healthz HTTP/1.1\r\nHost: h\r\n", "").await;
        assert_eq!(reply.status, 200, "a client is served as before");
    }
    child.kill().await.unwrap();
    let lines = log.await.unwrap();
    let shown = lines.join("\n");
    assert!(lines.iter().all(|line| !line.contains("ERROR")), "{shown}");
    assert!(lines.iter().any(|line| line.contains("can't be read")), "it is told:\n{shown}");
    // One line of each listener, and one a second of the function that breaks off its answers.
    let of_functions = lines.iter().filter(|line| line.contains("broke off")).count();
    assert!(of_functions > 0, "what is not the client's is told as well:\n{shown}");
    assert!(lines.len() - of_functions <= 2 * addresses.len(), "{sent} connections:\n{shown}");
}

#[actix_web::test]
#[ignore = "the other process of the test above"]
async fn serves_until_it_is_killed() {
    actord::telemetry::init("info", LogFormat::Text).unwrap();
    let house = House::public().await;
    let slow = function(|mut connection| async move { while !connection.head().await.is_empty() {} });
    house.publish("slow", slow.await);
    let broken = function(|mut connection| async move {
        match connection.head().await.contains("/chunks") {
            true => connection.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel").await,
            false => connection.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await,
        }
    });
    house.publish("broken", broken.await);
    println!("serves {} {}", house.address, house.metrics);
    std::future::pending::<()>().await;
}
