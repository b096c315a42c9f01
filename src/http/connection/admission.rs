//! How many connections a listener takes: all, and from one address.
//!
//! ```text
//! accepted -> room for it          -> Place, held as long as the connection is
//!             none, few are told   -> told so (503) and closed
//!             none, many are told  -> closed
//! ```
//! A connection costs memory and two descriptors. One client must not take those of all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use super::Peer;
use super::notices::Notices;
use crate::http::ConnectionLimits;
use crate::http::source::Source;

/// So many connections are told at a time that there is no room for them, each for at most a second.
const TOLD_AT_ONCE: usize = 64;

/// Which limit a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// That of all connections.
    All(usize),
    /// That of one address.
    OfAddress(usize),
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All(limit) => write!(f, "{limit} connections are open, which is max-connections"),
            Self::OfAddress(limit) => {
                write!(f, "{limit} connections of one address are open, which is max-connections-per-address")
            }
        }
    }
}

/// What becomes of a connection.
#[derive(Debug)]
pub(super) enum Admitted {
    /// It is served.
    Served(Place),
    /// It is told why it is not.
    Told(Full, Place),
    /// It is closed.
    Closed,
}

/// The connections of one listener. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    limits: ConnectionLimits,
    open: Arc<Open>,
    refused: Notices<(Option<IpAddr>, Full)>,
}

#[derive(Debug, Default)]
struct Open {
    all: AtomicUsize,
    told: AtomicUsize,
    /// Those of addresses that have any.
    of_source: Mutex<HashMap<Source, usize>>,
}

/// What a connection takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Arc<Open>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Served(Option<Source>),
    Told,
}

impl Admission {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        let refused = Notices::told_by(|count, (address, full): &(Option<IpAddr>, Full)| {
            let address = address.map(tracing::field::display);
            warn!(count, address, why = %full, "connections were refused");
        });
        Self { limits, open: Arc::default(), refused }
    }

    /// Whether there is room for one more.
    pub(super) fn admit(&self, peer: Option<Peer>) -> Admitted {
        match self.open.take(self.limits, peer) {
            Ok(source) => Admitted::Served(self.place(Kind::Served(source))),
            Err(full) => {
                self.refused.note((peer.map(|peer| peer.address.ip()), full));
                match take_one(&self.open.told, TOLD_AT_ONCE) {
                    true => Admitted::Told(full, self.place(Kind::Told)),
                    false => Admitted::Closed,
                }
            }
        }
    }

    /// Room for one more request on a connection that has one under way: it counts as a connection does.
    pub(super) fn one_more(&self, peer: Option<Peer>) -> Result<Place, Full> {
        let taken = self.open.take(self.limits, peer);
        let taken = taken.inspect_err(|full| self.refused.note((peer.map(|peer| peer.address.ip()), *full)));
        Ok(self.place(Kind::Served(taken?)))
    }

    fn place(&self, kind: Kind) -> Place {
        Place { open: self.open.clone(), kind }
    }
}

/// Counts one more, unless there are that many.
fn take_one(count: &AtomicUsize, limit: usize) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < limit).then_some(open + 1)).is_ok()
}

impl Open {
    /// Takes room for a connection; the source that it is counted for.
    fn take(&self, limits: ConnectionLimits, peer: Option<Peer>) -> Result<Option<Source>, Full> {
        // All clients of a proxy come from its address, and those of this machine by loopback.
        let source = peer.filter(|peer| !peer.is_proxy).map(|peer| peer.address.ip().to_canonical());
        let source = source.filter(|address| !address.is_loopback()).map(Source::from);
        let mut of_source = self.of_source.lock().unwrap_or_else(PoisonError::into_inner);
        let open = source.map_or(0, |source| of_source.get(&source).copied().unwrap_or(0));
        if limits.per_address > 0 && open >= limits.per_address {
            return Err(Full::OfAddress(limits.per_address));
        }
        if !take_one(&self.all, if limits.all > 0 { limits.all } else { usize::MAX }) {
            return Err(Full::All(limits.all));
        }
        if let Some(source) = source {
            of_source.insert(source, open + 1);
        }
        Ok(source)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Kind::Served(source) = self.kind else {
            self.open.told.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        self.open.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(source) = source {
            let mut of_source = self.open.of_source.lock().unwrap_or_else(PoisonError::into_inner);
            match of_source.get_mut(&source) {
                Some(open) if *open > 1 => *open -= 1,
                _ => {
                    of_source.remove(&source);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(all: usize, per_address: usize) -> Admission {
        Admission::new(ConnectionLimits { all, per_address })
    }

    fn peer(address: &str) -> Option<Peer> {
        Some(Peer { address: std::net::SocketAddr::new(address.parse().unwrap(), 4711), is_proxy: false })
    }

    /// Takes a place, if there is one.
    fn served(admission: &Admission, peer: Option<Peer>) -> Result<Place, Full> {
        match admission.admit(peer) {
            Admitted::Served(place) => Ok(place),
            Admitted::Told(full, _) => Err(full),
            Admitted::Closed => panic!("few came"),
        }
    }

    #[actix_web::test]
    async fn an_address_gets_so_many_and_the_others_still_theirs() {
        let admission = admission(100, 2);
        let (one, two) = (peer("192.0.2.1"), peer("2001:db8::1"));
        let mut held: Vec<Place> = (0..2).map(|_| served(&admission, one).unwrap()).collect();
        assert_eq!(served(&admission, one).unwrap_err(), Full::OfAddress(2));
        held.extend((0..2).map(|_| served(&admission, two).unwrap()));
        assert_eq!(served(&admission, peer("2001:db8::2")).unwrap_err(), Full::OfAddress(2), "of the same /64");
        held.remove(0);
        held.push(served(&admission, one).unwrap());
        assert_eq!(served(&admission, one).unwrap_err(), Full::OfAddress(2));
        drop(held);
        assert!(admission.open.of_source.lock().unwrap().is_empty(), "nothing is remembered of who left");
        assert_eq!(admission.open.all.load(Ordering::Relaxed), 0);
    }

    #[actix_web::test]
    async fn proxies_and_this_machine_are_not_held_to_what_one_address_may_have() {
        let admission = admission(5, 1);
        let proxy = peer("192.0.2.1").map(|peer| Peer { is_proxy: true, ..peer });
        let mut held: Vec<Place> = (0..2).map(|_| served(&admission, proxy).unwrap()).collect();
        held.extend((0..2).map(|_| served(&admission, peer("127.0.0.1")).unwrap()));
        held.push(served(&admission, peer("192.0.2.2")).unwrap());
        assert_eq!(served(&admission, proxy).unwrap_err(), Full::All(5), "but to the limit of all");
        held.pop();
        held.push(served(&admission, proxy).unwrap());
    }

    #[actix_web::test]
    async fn no_limit_is_none() {
        let admission = admission(0, 0);
        let held: Vec<_> = (0..5_000).map(|_| served(&admission, peer("192.0.2.1")).unwrap()).collect();
        assert_eq!(held.len(), 5_000);
    }

    #[actix_web::test]
    async fn where_very_many_come_the_most_are_closed_without_a_word() {
        let admission = admission(1, 0);
        let _one = served(&admission, peer("192.0.2.1")).unwrap();
        let told: Vec<Admitted> = (0..TOLD_AT_ONCE).map(|_| admission.admit(peer("192.0.2.2"))).collect();
        assert!(told.iter().all(|it| matches!(it, Admitted::Told(Full::All(1), _))));
        assert!(matches!(admission.admit(peer("192.0.2.2")), Admitted::Closed));
        drop(told);
        assert!(matches!(admission.admit(peer("192.0.2.2")), Admitted::Told(..)));
    }
}
