//! Between a client's connection and the routes.
//!
//! ```text
//! socket -> admission -> stream (head: read whole, and let through or refused; framing: the body's end) -> actix -> turn -> version -> routes
//!           with TLS: handshake -> stream, or http2 where the client chose that -> routes
//! ```
//! actix answers a head that it can't read with an empty 400 and a line in the log, frames pipelined answers by the wrong
//! request, and sends chunks to clients that know none. So it gets one whole head at a time that it is known to take, and the
//! next when its answer is out.

mod admission;
mod authority;
mod framing;
#[cfg(feature = "testing")]
pub(super) mod fuzzed;
mod handshake;
mod head;

mod http2;
mod kernel;
mod link;
mod notices;
mod patience;
mod reading;
mod refusal;
mod socket;
mod strangers;
mod stream;
mod turn;
mod unread;
mod version;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Extensions;
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;

pub(super) use self::framing::Chunk;
pub(super) use self::http2::Http2;
pub(super) use self::stream::{ClientStream, UNREAD_LINGER};
pub(super) use self::turn::{Answer, Exchange, Pace, is_from_proxy, of_stored, peer, sent};

use self::admission::{Admission, Admitted};
use self::handshake::{Handshakes, Met};
use self::kernel::KernelMemory;
use self::link::Link;
use self::reading::{Reader, Readers};
use self::refusal::Refusal;
use super::metrics::Waiting;
use super::proxies::TrustedProxies;
use super::{ClientTimes, ConnectionLimits, ReadingLimits};

/// Makes connections of one listener out of sockets.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    admission: Admission,
    readers: Readers,
    times: ClientTimes,
    strangers: strangers::Strangers,
    handshakes: Handshakes,
    proxies: TrustedProxies,
}

impl Connections {
    /// Of a listener that has these proxies before it, takes so many, and waits so long for those that read and those that send.
    pub(super) fn behind(
        proxies: TrustedProxies,
        limits: ConnectionLimits,
        reading: ReadingLimits,
        times: ClientTimes,
        waiting: Waiting,
    ) -> Self {
        Self {
            admission: Admission::new(limits),
            readers: Readers::new(reading, waiting, KernelMemory::default()),
            times,
            strangers: strangers::Strangers::default(),
            handshakes: Handshakes::default(),
            proxies,
        }
    }

    /// A connection that was just accepted; none if there is no room for it, and it is closed.
    pub(super) fn open(&self, tcp: TcpStream) -> Option<ClientStream> {
        let peer = self.peer(&tcp);
        let (place, full) = match self.admission.admit(peer) {
            Admitted::Served(place) => (place, None),
            Admitted::Told(full, place) => (place, Some(full)),
            // Very many come: nothing is made for them.
            Admitted::Closed => return None,
        };
        let mut stream = ClientStream::new(tcp, peer, self.strangers.clone(), self.readers.clone(), self.times);
        stream.hold(place);
        if let Some(full) = full {
            stream.refuse(&Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("not now: {full}")));
        }
        Some(stream)
    }

    /// A connection that was just accepted where TLS is spoken, with this certificate; none if it is closed.
    pub(super) async fn open_tls(&self, tcp: TcpStream, config: Arc<ServerConfig>) -> Option<Secured> {
        let peer = self.peer(&tcp);
        // A handshake is dear: there is none with those that there is no room for.
        let Admitted::Served(place) = self.admission.admit(peer) else { return None };
        let stream = |socket| ClientStream::new(socket, peer, self.strangers.clone(), self.readers.clone(), self.times);
        match self.handshakes.meet(tcp, config, self.times.head).await {
            Met::Http1(socket, left) => {
                let mut stream = stream(socket);
                stream.hold(place);
                stream.hurry(left);
                Some(Secured::Http1(stream))
            }
            Met::Http2(socket, left) => {
                let link = Link::new(socket, Reader::new(self.readers.clone(), peer));
                let shared = http2::Shared {
                    peer,
                    admission: self.admission.clone(),
                    strangers: self.strangers.clone(),
                    readers: self.readers.clone(),
                };
                Some(Secured::Http2(Http2::new(link, shared, place, self.times, left)))
            }
            Met::Plain(tcp) => {
                let refusal = Refusal::bad("TLS is spoken here: use https:// instead of http://");
                self.strangers.note(peer.map(|peer| peer.address), &refusal);
                let mut stream = stream(tcp.into());
                stream.hold(place);
                stream.refuse(&refusal);
                Some(Secured::Http1(stream))
            }
            Met::Nobody => None,
        }
    }

    fn peer(&self, tcp: &TcpStream) -> Option<Peer> {
        let address = tcp.peer_addr().ok()?;
        Some(Peer { address, is_proxy: self.proxies.contains(address.ip()) })
    }
}

/// A connection where TLS is spoken.
pub(super) enum Secured {
    Http1(ClientStream),
    Http2(Http2),
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
struct Peer {
    address: SocketAddr,
    /// Whether it is believed what it says of its own clients.
    is_proxy: bool,
}

/// Lets the routes know the connection that a request came on.
pub(super) fn introduce(connection: &ClientStream, to_requests: &mut Extensions) {
    to_requests.insert::<Rc<turn::Turn>>(connection.turn());
}
