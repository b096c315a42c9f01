//! The port behind a watchdog: an of-watchdog in http mode answers for its health before the server that it starts does
//! for itself, and says in its environment where that will listen.
//!
//! ```text
//! mode=http  upstream_url (http_upstream_url before it) = http://127.0.0.1:5000  ->  port 5000 of the instance's own
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::FunctionName;

/// Where an instance is, as its own processes name it.
#[derive(Debug, Clone, Copy)]
pub struct Whereabouts<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its host name.
    pub host_name: &'a FunctionName,
}

/// The port of the instance's own that its watchdog sends requests on to; none where the environment of its process names
/// none, or one of another machine.
#[must_use]
pub fn upstream_port(environment: &BTreeMap<String, String>, at: Whereabouts<'_>) -> Option<u16> {
    let value = |name: &str| environment.get(name).map(|value| value.trim());
    if value("mode")? != "http" {
        return None;
    }
    let url = value("http_upstream_url").or_else(|| value("upstream_url"))?;
    own_port(url, at)
}

/// The port that a URL names, if its host is the instance itself.
fn own_port(url: &str, at: Whereabouts<'_>) -> Option<u16> {
    let (scheme, rest) = url.split_once("://")?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let (machine, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (machine, port) = rest.split_once(']')?;
            (machine, port.strip_prefix(':').or(port.is_empty().then_some(""))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let port = if port.is_empty() { usual } else { port.parse().ok()? };
    let own = match machine.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) => ip.is_loopback() || ip.is_unspecified() || ip == at.address.to_canonical(),
        // Go, which watchdogs are written in, takes no host for this one.
        Err(_) => {
            machine.is_empty()
                || ["localhost", at.host_name.as_str()].iter().any(|own| machine.eq_ignore_ascii_case(own))
        }
    };
    (own && port > 0).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(environment: &[(&str, &str)]) -> Option<u16> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let name = "shop".parse().unwrap();
        upstream_port(&environment, Whereabouts { address: [10, 62, 0, 9].into(), host_name: &name })
    }

    #[test]
    fn the_environment_of_a_watchdog_in_http_mode_names_the_port() {
        let at = |port| ("upstream_url", port);
        for (environment, expected) in [
            (&[("mode", "http"), at("http://127.0.0.1:5000")][..], Some(5000)),
            (&[("mode", " http "), at(" http://127.0.0.1:5000\n")], Some(5000)),
            (&[("mode", "http"), ("http_upstream_url", "http://127.0.0.1:82")], Some(82)),
            (&[("mode", "http"), at("http://127.0.0.1:5000"), ("http_upstream_url", "http://127.0.0.1:82")], Some(82)),
            (&[("mode", "http"), at("http://127.0.0.1:5000"), ("http_upstream_url", "")], None),
            (&[("mode", "http"), at("")], None),
            (&[("mode", "http")], None),
            (&[("mode", "streaming"), at("http://127.0.0.1:5000")], None),
            (&[("mode", ""), at("http://127.0.0.1:5000")], None),
            (&[at("http://127.0.0.1:5000")], None),
            (&[], None),
        ] {
            assert_eq!(port(environment), expected, "{environment:?}");
        }
    }

    #[test]
    fn only_a_port_of_the_instance_itself_counts() {
        for (url, expected) in [
            ("http://127.0.0.1:5000", Some(5000)),
            ("http://127.9.8.7:5000/", Some(5000)),
            ("http://localhost:5000/path?query#part", Some(5000)),
            ("HTTP://LocalHost:5000", Some(5000)),
            ("http://[::1]:5000", Some(5000)),
            ("http://[::]:5000", Some(5000)),
            ("http://[::ffff:127.0.0.1]:5000", Some(5000)),
            ("http://0.0.0.0:5000", Some(5000)),
            ("http://10.62.0.9:5000", Some(5000)),
            ("http://shop:5000", Some(5000)),
            ("http://:5000", Some(5000)),
            ("http://user:word@localhost:5000", Some(5000)),
            ("http://localhost", Some(80)),
            ("http://localhost/", Some(80)),
            ("http://[::1]", Some(80)),
            ("http://localhost:", Some(80)),
            ("https://localhost", Some(443)),
            ("http://10.62.0.10:5000", None),
            ("http://example.com:5000", None),
            ("http://[2001:db8::1]:5000", None),
            ("http://localhost.example.com:5000", None),
            ("http://localhost:0", None),
            ("http://localhost:65536", None),
            ("http://localhost:five", None),
            ("http://[::1", None),
            ("http://[::1]5000", None),
            ("unix:///tmp/app.sock", None),
            ("localhost:5000", None),
            ("", None),
        ] {
            assert_eq!(port(&[("mode", "http"), ("upstream_url", url)]), expected, "{url}");
        }
    }
}
