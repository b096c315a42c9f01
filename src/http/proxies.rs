//! Whom actord believes what it says of others: the proxies before it, by their addresses.
//!
//! ```text
//! peer is one of `trusted-proxies`: its `X-Forwarded-*` are passed on, and say who the client is
//! any other peer:                   is the client itself, whatever its headers say
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::ApiFlavor;

/// The proxies of one listener. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Those of the setting. A gateway on this machine is before the provider's listener, so loopback is one there.
    pub(super) fn new(set: &[IpNet], flavor: ApiFlavor) -> Self {
        let loopback = (flavor == ApiFlavor::Provider).then(|| {
            [IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8)), IpNet::V6(Ipv6Net::from(Ipv6Addr::LOCALHOST))]
        });
        Self(set.iter().copied().chain(loopback.into_iter().flatten()).collect())
    }

    /// Whether what comes from this address is believed.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Who asks: the peer, or the last one that a trusted peer names and that is no trusted proxy itself.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.contains(client) {
            return client;
        }
        let lines: Vec<&str> = headers.get_all("x-forwarded-for").filter_map(|line| line.to_str().ok()).collect();
        for named in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(named) = address(named.trim()) else { break };
            client = named;
            if !self.contains(client) {
                break;
            }
        }
        client
    }
}

/// An address, with or without a port: proxies write both.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(address, _)| address);
    let parsed = bare.parse().ok().or_else(|| text.parse().ok().map(|address: std::net::SocketAddr| address.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

/// Whether a header says who a client is, or what it asked for, in the words of a proxy. Servers of many languages read `_`
/// as `-` (CGI, WSGI), so such a name says the same.
pub(super) fn is_forwarding(name: &str) -> bool {
    let begins = |with: &str| {
        let begin = name.as_bytes().get(..with.len());
        begin.is_some_and(|begin| begin.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).eq(with.bytes()))
    };
    // One byte tells most headers from these.
    match name.as_bytes().first() {
        Some(b'x') => begins("x-forwarded-") || name.len() == 9 && begins("x-real-ip"),
        Some(b'f') => name == "forwarded",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn proxies(nets: &[&str]) -> TrustedProxies {
        let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().unwrap()).collect();
        TrustedProxies::new(&nets, ApiFlavor::Public)
    }

    fn client(proxies: &TrustedProxies, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(line).unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_client_is_its_peer_unless_that_is_a_proxy_that_is_trusted() {
        let nobody = proxies(&[]);
        assert_eq!(client(&nobody, "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client(&nobody, "127.0.0.1", &["198.51.100.7"]), "127.0.0.1");
        let one = proxies(&["192.0.2.1/32", "10.0.0.0/8", "fd00::/8"]);
        for (peer, lines, is) in [
            ("192.0.2.1", &["198.51.100.7"][..], "198.51.100.7"),
            ("::ffff:192.0.2.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("fd00::1", &["[2001:db8::7]:80"], "2001:db8::7"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            ("192.0.2.2", &["198.51.100.7"], "192.0.2.2"),
            // What a client made up stands before what the proxy adds.
            ("192.0.2.1", &["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
            ("192.0.2.1", &["1.2.3.4", "198.51.100.7"], "198.51.100.7"),
            // Through two proxies.
            ("192.0.2.1", &["1.2.3.4, 198.51.100.7, 10.1.1.1"], "198.51.100.7"),
            ("192.0.2.1", &[], "192.0.2.1"),
            ("192.0.2.1", &["unknown"], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.7, unknown"], "192.0.2.1"),
            ("192.0.2.1", &["10.0.0.9"], "10.0.0.9"),
        ] {
            assert_eq!(client(&one, peer, lines), is, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_gateway_on_this_machine_is_believed_by_the_listener_that_is_made_for_it() {
        let is_trusted = |flavor| TrustedProxies::new(&[], flavor).contains("127.0.0.1".parse().unwrap());
        assert!(is_trusted(ApiFlavor::Provider) && !is_trusted(ApiFlavor::Public));
        assert!(TrustedProxies::new(&[], ApiFlavor::Provider).contains("::1".parse().unwrap()));
        assert!(!TrustedProxies::new(&[], ApiFlavor::Provider).contains("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn what_proxies_say_of_clients_is_known_however_it_is_spelt() {
        for name in [
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-user",
            "x_forwarded_for",
            "x-forwarded_for",
            "forwarded",
            "x-real-ip",
            "x_real_ip",
        ] {
            assert!(is_forwarding(name), "{name}");
        }
        for name in ["x-forwarded", "x-real-ips", "x-call-id", "forwarded-by", "from", "host", "x", ""] {
            assert!(!is_forwarding(name), "{name}");
        }
    }
}
