//! A restart through handed-over sockets costs nobody a request with TLS, either.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::manager::{Manager, until};

const NAME: &str = "faas.example";
const PATH: &str = "/function/hello/bytes?n=20000";
const LENGTH: usize = 20_000;

/// A client that trusts the certificate that it writes.
fn client(home: &Path) -> ClientConfig {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    fs::write(home.join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(home.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_root_certificates(roots).with_no_client_auth()
}

async fn connect(address: SocketAddr, config: &ClientConfig, protocol: &str) -> Result<TlsStream<TcpStream>, String> {
    let mut config = config.clone();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let tcp = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
    let tls = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), tcp).await;
    tls.map_err(|error| format!("handshake: {error}"))
}

/// One request on a connection of its own.
async fn by_http1(address: SocketAddr, config: &ClientConfig) -> Result<(), String> {
    let mut tls = connect(address, config, "http/1.1").await?;
    let head = format!("GET {PATH} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    tls.write_all(head.as_bytes()).await.map_err(|error| format!("send: {error}"))?;
    let mut came = Vec::new();
    tls.read_to_end(&mut came).await.map_err(|error| format!("after {} bytes: {error}", came.len()))?;
    let body = came.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| came.len() - at - 4);
    (came.starts_with(b"HTTP/1.1 200 ") && body == LENGTH).then_some(()).ok_or(format!("{body} bytes of HTTP/1.1"))
}

/// Requests on one connection, until it takes no more.
async fn by_http2(address: SocketAddr, config: &ClientConfig, seen: &Seen) -> Result<(), String> {
    let tls = connect(address, config, "h2").await?;
    let (send, connection) = h2::client::handshake(tls).await.map_err(|error| format!("begin: {error}"))?;
    tokio::spawn(connection);
    while !seen.is_over.load(Ordering::Relaxed) {
        // A connection that is ending says so before it is used.
        let Ok(mut ready) = send.clone().ready().await else { return Ok(()) };
        let request = http::Request::get(format!("https://{NAME}{PATH}")).body(()).unwrap();
        let Ok((answer, _)) = ready.send_request(request, true) else { return Ok(()) };
        let answer = match answer.await {
            Ok(answer) => answer,
            // It crossed the server's last word, which says that it was not begun: it is sent again (RFC 9113, 6.8).
            Err(error) if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) => return Ok(()),
            Err(error) => return Err(format!("answer: {error}")),
        };
        let status = answer.status();
        let (mut body, mut length) = (answer.into_body(), 0);
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(|error| format!("after {length} bytes: {error}"))?;
            length += piece.len();
            body.flow_control().release_capacity(piece.len()).map_err(|error| error.to_string())?;
        }
        if status != http::StatusCode::OK || length != LENGTH {
            return Err(format!("{status} with {length} bytes of HTTP/2"));
        }
        seen.answered.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(3)).await;
    }
    Ok(())
}

#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    failed: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_under_load_fail_no_request_over_tls() {
    let mut manager = Manager::new();
    let home = tempfile::tempdir().unwrap();
    let config = client(home.path());
    let file = |name: &str| home.path().join(name).display().to_string();
    let settings = ["--tls-certificate".to_owned(), file("tls.crt"), "--tls-key".to_owned(), file("tls.key")];
    manager.actord.settings.extend(settings);
    manager.start().await;
    manager.deploy("hello").await;
    let (seen, address) = (Arc::new(Seen::default()), manager.actord.public);
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let (seen, config) = (seen.clone(), config.clone());
            tokio::spawn(async move {
                while !seen.is_over.load(Ordering::Relaxed) {
                    let done = match number % 2 {
                        0 => by_http2(address, &config, &seen).await,
                        _ => by_http1(address, &config).await.map(|()| {
                            seen.answered.fetch_add(1, Ordering::Relaxed);
                        }),
                    };
                    if let Err(error) = done {
                        seen.failed.lock().unwrap().push(error);
                    }
                    sleep(Duration::from_millis(3)).await;
                }
            })
        })
        .collect();
    let answered = async |more: usize| {
        let before = seen.answered.load(Ordering::Relaxed);
        until("requests are answered", async || seen.answered.load(Ordering::Relaxed) >= before + more).await;
    };
    for _ in 0..2 {
        answered(300).await;
        assert!(manager.actord.stop().await.success(), "{}", manager.actord.end_of_log());
        manager.start().await;
    }
    answered(300).await;
    seen.is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(*seen.failed.lock().unwrap(), [""; 0], "of {}", seen.answered.load(Ordering::Relaxed));
    manager.actord.finish().await;
}
