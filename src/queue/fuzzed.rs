//! Addresses of callbacks as a fuzz target: what is taken leads to no place that is refused, by whatever name, and is read again as
//! the same by the reader that the sender has.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::callback::{Own, Rules, Target, may, read};

fn rules() -> Rules {
    Rules {
        own: Own { listen: vec![SocketAddr::from(([0, 0, 0, 0], 8080))], names: vec!["gateway".to_owned()] },
        subnet: ipnet::Ipv4Net::new_assert([10, 62, 0, 0].into(), 16),
        allow: Vec::new(),
        local: |ip| ip == IpAddr::from([203, 0, 113, 9]),
    }
}

/// As the words say it, and written otherwise than what is fuzzed.
fn is_refused(ip: IpAddr) -> bool {
    let v4 = match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(ip) => ip.to_ipv4(),
    };
    match (v4, ip) {
        (Some(ip), _) if ip.octets() != [0, 0, 0, 1] => {
            let [a, b, ..] = ip.octets();
            a == 0
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || [a, b] == [10, 62]
        }
        (_, IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local()
        }
        _ => false,
    }
}

pub(crate) fn callbacks(bytes: &[u8]) -> bool {
    let rules = rules();
    let text = &*String::from_utf8_lossy(bytes);
    match read(text, &rules) {
        Err(why) => {
            assert!(!why.is_empty() && why.len() < 10_000, "{text:?}: {why}");
            false
        }
        Ok(Target::Elsewhere { url, server, port, literal }) => {
            let again = Url::parse(&url).ok();
            let seen =
                again.as_ref().and_then(|url| Some((Host::parse(url.host_str()?).ok()?, url.port_or_known_default()?)));
            let seen_literal = match &seen {
                Some((Host::Ipv4(ip), _)) => Some(IpAddr::V4(*ip)),
                Some((Host::Ipv6(ip), _)) => Some(IpAddr::V6(*ip)),
                _ => None,
            };
            assert_eq!(
                (seen.map(|(_, port)| port), seen_literal),
                (Some(port), literal),
                "{text:?} is sent to another: {url}"
            );
            if let Some(ip) = literal {
                assert!(!is_refused(ip), "{text:?} leads to {ip}");
                assert_eq!(may(SocketAddr::new(ip, port), &server, &rules), Ok(()), "{text:?}");
            }
            assert!(!server.is_empty() && !url.contains(['#', '\n', '\r', ' ']), "{text:?} is sent as {url:?}");
            true
        }
        Ok(Target::Function { id, path_and_query } | Target::Queued { id, path_and_query }) => {
            assert_eq!(id.to_string().parse().as_ref(), Ok(&id), "{text:?}");
            let is_path = path_and_query.is_empty() || path_and_query.starts_with(['/', '?']);
            assert!(
                is_path && path_and_query.bytes().all(|byte| byte.is_ascii_graphic()),
                "{text:?}: {path_and_query:?}"
            );
            true
        }
    }
}
