//! A house that speaks TLS, and clients of it that share no code with actord.

use std::net::SocketAddr;
use std::sync::Arc;

use actord::http::{ApiFlavor, Settings};
use actord::tls::{Files, Tls};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{House, Reply};

/// The name that the certificates are for.
const NAME: &str = "faas.example";

/// A certificate that its own key has signed, and the key, as PEM.
pub(super) fn made() -> (String, String) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A server that speaks TLS, with its certificate in files.
pub(super) struct Secure {
    pub(super) house: House,
    pub(super) tls: Tls,
    pub(super) files: Files,
    pub(super) certificate: String,
    _home: tempfile::TempDir,
}

impl Secure {
    pub(super) async fn house(set: impl FnOnce(&mut Settings)) -> Self {
        let (home, (certificate, key)) = (tempfile::tempdir().unwrap(), made());
        let files = Files { certificate: home.path().join("tls.crt"), key: home.path().join("tls.key") };
        std::fs::write(&files.certificate, &certificate).unwrap();
        std::fs::write(&files.key, &key).unwrap();
        let tls = Tls::open(files.clone()).unwrap();
        let house = House::with(ApiFlavor::Public, |settings| {
            set(settings);
            settings.tls = Some(tls.clone());
        });
        Self { house: house.await, tls, files, certificate, _home: home }
    }

    /// A client that offers these protocols.
    pub(super) async fn connect(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        self.connect_by(rustls::ALL_VERSIONS, protocols).await
    }

    /// A client that speaks these versions of TLS.
    pub(super) async fn connect_by(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.house.address).await.unwrap();
        shake(tcp, &self.certificate, versions, protocols).await.unwrap()
    }

    /// A client whose kernel takes next to nothing for it.
    pub(super) async fn connect_deaf(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let tcp = socket.connect(self.house.address).await.unwrap();
        shake(tcp, &self.certificate, rustls::ALL_VERSIONS, protocols).await.unwrap()
    }

    /// A client of HTTP/2.
    pub(super) async fn http2(&self) -> Http2Client {
        Http2Client::new(self.connect(&["h2"]).await, &h2::client::Builder::new()).await
    }
}

/// Speaks TLS with who shows this certificate.
pub(super) async fn shake(
    tcp: TcpStream,
    certificate: &str,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// Asks for a path, on a connection that goes on.
pub(super) async fn get_over_http1(client: &mut TlsStream<TcpStream>, path: &str) -> Reply {
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n").as_bytes()).await.unwrap();
    let mut came = Vec::new();
    loop {
        let is_open = client.read_buf(&mut came).await.unwrap() > 0;
        let reply = Reply::parse(&came);
        if !is_open || reply.status != 0 && reply.complete {
            return reply;
        }
    }
}

/// A client of HTTP/2 on one connection.
pub(super) struct Http2Client {
    pub(super) address: SocketAddr,
    send: SendRequest<Bytes>,
    driver: actix_web::rt::task::JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Http2Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Http2Client {
    pub(super) async fn new(tls: TlsStream<TcpStream>, builder: &h2::client::Builder) -> Self {
        let address = tls.get_ref().0.local_addr().unwrap();
        let (send, connection) = builder.handshake(tls).await.unwrap();
        Self { address, send, driver: actix_web::rt::spawn(connection) }
    }

    /// How many requests it may have under way.
    pub(super) fn most_streams(&self) -> usize {
        self.send.current_max_send_streams()
    }

    /// How the connection ends.
    pub(super) async fn end(&mut self) -> Result<(), h2::Error> {
        (&mut self.driver).await.unwrap()
    }

    /// Begins a request; `is_all` where it has no body.
    pub(super) async fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        is_all: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        self.try_begin(method, path, headers, is_all).await.unwrap()
    }

    pub(super) async fn try_begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        is_all: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut request = http::Request::builder().method(method).uri(format!("https://{NAME}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut ready = self.send.clone().ready().await?;
        ready.send_request(request.body(()).unwrap(), is_all)
    }

    pub(super) async fn get(&mut self, path: &str) -> Reply {
        self.ask("GET", path, &[]).await
    }

    /// A request without a body.
    pub(super) async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let (answer, _) = self.begin(method, path, headers, true).await;
        reply(answer.await.unwrap()).await
    }

    pub(super) async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        let (answer, mut sending) = self.begin("POST", path, headers, false).await;
        actix_web::rt::spawn(async move {
            // Where the answer comes first, the rest is not wanted.
            let _ = sending.send_data(body, true);
            std::future::poll_fn(|cx| sending.poll_reset(cx)).await
        });
        reply(answer.await.unwrap()).await
    }
}

/// The whole of an answer, in the words of HTTP/1.1.
pub(super) async fn reply(answer: http::Response<RecvStream>) -> Reply {
    let (parts, mut body) = answer.into_parts();
    let mut head = format!("HTTP/2 {}", parts.status.as_u16());
    for (name, value) in &parts.headers {
        head += &format!("\r\n{name}: {}", value.to_str().unwrap());
    }
    let mut came = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        came.extend_from_slice(&piece);
    }
    Reply { status: parts.status.as_u16(), head, body: came, complete: true }
}
