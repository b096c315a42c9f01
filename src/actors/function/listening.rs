//! What an instance's open sockets say of why it can't be reached.

use std::net::SocketAddr;

/// The most addresses that are named.
const NAMED: usize = 5;

/// Why nothing can be connected to on `port` of an instance that listens on these addresses, and what to do about it;
/// none where it does listen there.
pub(super) fn unreachable(open: &[SocketAddr], port: u16) -> Option<String> {
    let (on_port, elsewhere): (Vec<&SocketAddr>, Vec<_>) = open.iter().partition(|address| address.port() == port);
    if on_port.iter().any(|address| !address.ip().to_canonical().is_loopback()) {
        return None;
    }
    Some(if !on_port.is_empty() {
        format!("the process listens on {} only: make it listen on 0.0.0.0:{port}", named(&on_port))
    } else if elsewhere.is_empty() {
        format!("nothing listens on port {port}, nor on any other yet: the process must listen on 0.0.0.0:{port}")
    } else {
        let elsewhere = named(&elsewhere);
        format!("nothing listens on port {port}; the process listens on {elsewhere}: make it listen on 0.0.0.0:{port}")
    })
}

fn named(addresses: &[&SocketAddr]) -> String {
    let first: Vec<_> = addresses.iter().take(NAMED).map(ToString::to_string).collect();
    let more = addresses.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_reached_is_told_with_what_to_do() {
        for (open, expected) in [
            (&["0.0.0.0:8080"][..], None),
            (&["[::]:8080"], None),
            (&["10.62.0.9:8080"], None),
            (&["127.0.0.1:8080", "0.0.0.0:8080"], None),
            (&[], Some("nothing listens on port 8080, nor on any other yet: the process must listen on 0.0.0.0:8080")),
            (
                &["0.0.0.0:3000"],
                Some(
                    "nothing listens on port 8080; the process listens on 0.0.0.0:3000: make it listen on 0.0.0.0:8080",
                ),
            ),
            (
                &["127.0.0.1:5000", "[::]:80"],
                Some(
                    "nothing listens on port 8080; the process listens on 127.0.0.1:5000 and [::]:80: make it listen \
                     on 0.0.0.0:8080",
                ),
            ),
            (&["127.0.0.1:8080"], Some("the process listens on 127.0.0.1:8080 only: make it listen on 0.0.0.0:8080")),
            (
                &["127.0.0.1:8080", "0.0.0.0:3000", "[::1]:8080"],
                Some("the process listens on 127.0.0.1:8080 and [::1]:8080 only: make it listen on 0.0.0.0:8080"),
            ),
            (
                &["[::ffff:127.0.0.1]:8080"],
                Some("the process listens on [::ffff:127.0.0.1]:8080 only: make it listen on 0.0.0.0:8080"),
            ),
        ] {
            let open: Vec<SocketAddr> = open.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(unreachable(&open, 8080).as_deref(), expected);
        }
        let many: Vec<SocketAddr> = (1..=9).map(|port| SocketAddr::from(([0, 0, 0, 0], port))).collect();
        assert!(unreachable(&many, 8080).unwrap().contains("0.0.0.0:5 and 4 more: make"));
    }
}
