//! TLS on a connection that was just accepted: its handshake, or an answer in plain words to who speaks plain HTTP.
//!
//! ```text
//! first byte: a handshake's -> handshake -> HTTP/2 or HTTP/1.1, as the client chose (ALPN)
//!             another one   -> 400, "TLS is spoken here"
//!             none          -> closed, as is one whose handshake fails
//! ```
//! All of it has to be done in the time that a client has for the head of its first request, which goes on counting then.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::info;

use super::link::IN_TLS;
use super::notices::Notices;
use super::socket::{Counted, Socket};

/// What every handshake of TLS begins with (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// Who came.
pub(super) enum Met {
    /// A client that speaks HTTP/1.1, with what is left of its time.
    Http1(Socket, Duration),
    /// A client that speaks HTTP/2, with what is left of its time.
    Http2(Socket, Duration),
    /// One that does not speak TLS.
    Plain(TcpStream),
    /// One that said nothing and left, or that no handshake was possible with.
    Nobody,
}

/// The handshakes of one listener. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Handshakes {
    failed: Notices<(Option<SocketAddr>, String)>,
}

impl Default for Handshakes {
    fn default() -> Self {
        let failed = |count, (peer, why): &(Option<SocketAddr>, String)| {
            let peer = peer.map(tracing::field::display);
            info!(count, peer, %why, "TLS handshakes failed");
        };
        Self { failed: Notices::told_by(failed) }
    }
}

impl Handshakes {
    /// Speaks TLS with a client, for no longer than this.
    pub(super) async fn meet(&self, tcp: TcpStream, config: Arc<ServerConfig>, within: Duration) -> Met {
        let (begun, peer) = (Instant::now(), tcp.peer_addr().ok());
        let (socket, is_http2) = match timeout(within, begin(tcp, config)).await {
            Ok(Ok(Begun::Tls { socket, is_http2 })) => (socket, is_http2),
            Ok(Ok(Begun::Plain(tcp))) => return Met::Plain(tcp),
            Ok(Ok(Begun::Left)) => return Met::Nobody,
            Ok(Err(error)) => {
                self.failed.note((peer, error.to_string()));
                return Met::Nobody;
            }
            Err(_) => {
                self.failed.note((peer, format!("it was not done within {within:?}")));
                return Met::Nobody;
            }
        };
        let left = within.saturating_sub(begun.elapsed());
        if is_http2 { Met::Http2(socket, left) } else { Met::Http1(socket, left) }
    }
}

enum Begun {
    Tls { socket: Socket, is_http2: bool },
    Plain(TcpStream),
    Left,
}

async fn begin(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Begun> {
    let mut first = [0];
    match tcp.peek(&mut first).await {
        Ok(0) | Err(_) => return Ok(Begun::Left),
        Ok(_) if first[0] != HANDSHAKE => return Ok(Begun::Plain(tcp)),
        Ok(_) => {}
    }
    let mut tls = TlsAcceptor::from(config).accept(Counted::from(tcp)).await?;
    let (_, session) = tls.get_mut();
    session.set_buffer_limit(Some(IN_TLS));
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    Ok(Begun::Tls { socket: Socket::Tls(Box::new(tls)), is_http2 })
}
