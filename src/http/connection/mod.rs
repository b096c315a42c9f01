//! Between a client's connection and the routes.
//!
//! ```text
//! socket -> admission -> stream (head: read whole, and let through or refused; framing: the body's end) -> actix -> turn -> version -> routes
//! ```
//! actix answers a head that it can't read with an empty 400 and a line in the log, frames pipelined answers by the wrong
//! request, and sends chunks to clients that know none. So it gets one whole head at a time that it is known to take, and the
//! next when its answer is out.

mod admission;
mod framing;
#[cfg(feature = "testing")]
pub(super) mod fuzzed;
mod head;
mod notices;
mod patience;
mod reading;
mod refusal;
mod strangers;
mod stream;
mod turn;
mod unread;
mod version;

use std::net::SocketAddr;
use std::rc::Rc;

use actix_web::dev::Extensions;
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;

pub(super) use self::framing::Chunk;
pub(super) use self::stream::{ClientStream, UNREAD_LINGER};
pub(super) use self::turn::{Answer, Exchange, Pace, is_from_proxy, peer, sent};

use self::admission::{Admission, Admitted};
use self::reading::Readers;
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
            readers: Readers::new(reading, waiting),
            times,
            strangers: strangers::Strangers::default(),
            proxies,
        }
    }

    /// A connection that was just accepted; none if there is no room for it, and it is closed.
    pub(super) fn open(&self, tcp: TcpStream) -> Option<ClientStream> {
        let peer = tcp.peer_addr().ok().map(|address| {
            let is_proxy = self.proxies.contains(address.ip());
            Peer { address, is_proxy }
        });
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
