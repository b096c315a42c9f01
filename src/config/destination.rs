//! Where callbacks may go that would be refused otherwise.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::value;

/// A host, or several, at any port or at one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackDestination {
    /// Which.
    pub host: CallbackHost,
    /// At which port; none: at any.
    pub port: Option<u16>,
}

/// Which hosts are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallbackHost {
    /// Those whose address is in it, whatever name the URL has for them.
    Net(IpNet),
    /// Those that the URL calls by this name, whatever address that has.
    Name(String),
}

impl FromStr for CallbackDestination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = host(text);
        if let Some(host) = whole {
            return Ok(Self { host, port: None });
        }
        let expected = || {
            format!(
                "{text:?}: expected an address, a subnet or a name, such as 127.0.0.1, [::1]:9000, 10.62.0.0/16 or hook.lan:8443"
            )
        };
        let (before, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(expected)?;
        let bare = before.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(before);
        Ok(Self { host: host(bare).ok_or_else(expected)?, port: Some(port) })
    }
}

fn host(text: &str) -> Option<CallbackHost> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(CallbackHost::Net(IpNet::from(address.to_canonical())));
    }
    if let Ok(net) = text.parse::<IpNet>() {
        // An address in a subnet is one or the other by mistake.
        return (net.trunc() == net).then_some(CallbackHost::Net(net));
    }
    // What ends as an address does is one that was mistyped: no name on the internet ends in digits alone.
    let last = text.rsplit('.').next().unwrap_or_default();
    let digits = last.bytes().all(|b| b.is_ascii_digit());
    value::host_name(text).ok().filter(|_| !digits).map(CallbackHost::Name)
}

impl fmt::Display for CallbackDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match &self.host {
            CallbackHost::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
            CallbackHost::Net(net) => net.to_string(),
            CallbackHost::Name(name) => name.clone(),
        };
        match self.port {
            Some(port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Some(port) => write!(f, "{host}:{port}"),
            None => f.write_str(&host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_an_address_a_subnet_or_a_name_perhaps_with_a_port() {
        for (text, shown) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("::1", "::1"),
            ("[::1]:9000", "[::1]:9000"),
            ("10.62.0.0/16", "10.62.0.0/16"),
            ("10.62.0.0/16:80", "10.62.0.0/16:80"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("Hook.lan", "hook.lan"),
            ("hook.lan:8443", "hook.lan:8443"),
        ] {
            let read: CallbackDestination = text.parse().unwrap();
            assert_eq!(read.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_is_none_of_these_is_refused() {
        for text in
            ["", ":80", "hook.lan:0", "hook.lan:http", "http://hook.lan", "10.0.0.1/8", "10.0.0.999", "a b", "[::1"]
        {
            let told = text.parse::<CallbackDestination>().unwrap_err();
            assert!(told.contains("hook.lan:8443"), "{text}: {told}");
        }
    }
}
