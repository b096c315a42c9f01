//! Where the answer of a call may be sent. Pure: names are looked up by the sender, which asks for each address.
//!
//! ```text
//! X-Callback-Url --read--> own:       /function/..., /async-function/...   never over a socket
//!                          elsewhere: a host and a port; an address in it is judged at once
//! an address that is to be connected to --may--> refused: this machine, its link, the functions' subnet
//! ```
//! A URL is read by the reader that the sender has, so that both see the same host: `http://2130706433/` is loopback for both.
//! What is refused may be allowed by the operator, by address, network or name, with a port or for all ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};
use url::{Host, Url};

use crate::function::FunctionId;

/// Longer ones are no addresses.
const URL_MAX: usize = 4096;
/// Where a gateway listens, which callers name without knowing actord.
const GATEWAY_PORT: u16 = 8080;
pub(super) const FUNCTION: &str = "/function/";
pub(super) const QUEUED: &str = "/async-function/";

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A function of this actord is called with it.
    Function {
        /// Which.
        id: FunctionId,
        /// What it sees of the path: all behind its name, perhaps nothing.
        path_and_query: String,
    },
    /// A function of this actord is called with it, by a call of its own in the queue.
    Queued {
        /// Which.
        id: FunctionId,
        /// As of [`Target::Function`].
        path_and_query: String,
    },
    /// Another server gets it.
    Elsewhere {
        /// As it is sent to, without a fragment.
        url: String,
        /// The host as it stands in the URL, an address of version 6 without brackets.
        server: String,
        /// The port.
        port: u16,
        /// The host, where it is an address.
        literal: Option<IpAddr>,
    },
}

/// By what this actord is known in a URL.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Names that stand for it.
    pub names: Vec<String>,
}

/// What holds on this machine.
#[derive(Debug, Clone)]
pub struct Rules {
    /// By what this actord is known.
    pub own: Own,
    /// Where the functions' instances are.
    pub subnet: Ipv4Net,
    /// What is allowed all the same.
    pub allow: Vec<Allowed>,
    /// Whether an address is this machine's. They change while it runs, so it is asked each time.
    pub local: fn(IpAddr) -> bool,
}

/// What an operator allows: where, and a port if only that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Where.
    pub place: Place,
    /// At which port; none: at any.
    pub port: Option<u16>,
}

/// Where something may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To addresses in it, whatever the URL calls them.
    Net(IpNet),
    /// To what the URL calls by this name, whatever its address is.
    Name(String),
}

impl Allowed {
    fn holds(&self, address: SocketAddr, server: &str) -> bool {
        let fits = match &self.place {
            Place::Net(net) => net.contains(&address.ip().to_canonical()) || net.contains(&address.ip()),
            Place::Name(name) => name.trim_end_matches('.').eq_ignore_ascii_case(server.trim_end_matches('.')),
        };
        fits && self.port.is_none_or(|port| port == address.port())
    }
}

/// Reads the URL of a callback.
///
/// # Errors
/// What is wrong with it, for the caller: no URL, a scheme that is not HTTP, an address that may not be connected to, or a path
/// of this actord's that is no function's.
pub fn read(url: &str, rules: &Rules) -> Result<Target, String> {
    if url.len() > URL_MAX {
        return Err(format!("it is longer than {URL_MAX} bytes"));
    }
    let mut read =
        Url::parse(url).map_err(|error| format!("{error}: expected a URL such as https://example.com/path"))?;
    if !matches!(read.scheme(), "http" | "https") {
        return Err(format!("its scheme is {}: expected http or https", read.scheme()));
    }
    read.set_fragment(None);
    let server = read.host_str().and_then(|server| Host::parse(server).ok());
    let (Some(server), Some(port)) = (server, read.port_or_known_default().filter(|port| *port > 0)) else {
        return Err("it has no host, or a port of 0".to_owned());
    };
    if rules.own.is(&server, port, read.port().is_none(), rules.local) {
        return own(&read);
    }
    let (server, literal) = match server {
        Host::Domain(name) => (name, None),
        Host::Ipv4(address) => (address.to_string(), Some(IpAddr::V4(address))),
        Host::Ipv6(address) => (address.to_string(), Some(IpAddr::V6(address))),
    };
    if let Some(address) = literal {
        may(SocketAddr::new(address, port), &server, rules)?;
    }
    Ok(Target::Elsewhere { url: read.into(), server, port, literal })
}

impl Own {
    /// Whether this host and port are this actord.
    fn is(&self, server: &Host<String>, port: u16, is_usual: bool, local: fn(IpAddr) -> bool) -> bool {
        let listens = |listen: &SocketAddr| listen.port() == port;
        match server {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                if name == "localhost" {
                    let loopback = |listen: &SocketAddr| listen.ip().is_unspecified() || listen.ip().is_loopback();
                    return self.listen.iter().any(|listen| listens(listen) && loopback(listen));
                }
                let known = self.names.iter().any(|known| known.trim_end_matches('.').eq_ignore_ascii_case(name));
                known && (is_usual || port == GATEWAY_PORT || self.listen.iter().any(listens))
            }
            Host::Ipv4(address) => self.listens_at(IpAddr::V4(*address), port, local),
            Host::Ipv6(address) => self.listens_at(address.to_canonical(), port, local),
        }
    }

    fn listens_at(&self, address: IpAddr, port: u16, local: fn(IpAddr) -> bool) -> bool {
        let is_here = address.is_loopback() || local(address);
        self.listen.iter().any(|listen| {
            let same = listen.ip().to_canonical() == address || listen.ip().is_unspecified() && is_here;
            same && listen.port() == port
        })
    }
}

/// The function that a URL of this actord's names.
fn own(url: &Url) -> Result<Target, String> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "a callback to a function of this actord carries no user and no password: leave them out".to_owned()
        );
    }
    let path = url.path();
    let (rest, queued) = match (path.strip_prefix(FUNCTION), path.strip_prefix(QUEUED)) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => {
            return Err(format!(
                "its path at this actord must begin with {FUNCTION} or {QUEUED}, and a function's name"
            ));
        }
    };
    let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let id: FunctionId = name.parse().map_err(|error| format!("function {name:?}: {error}"))?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path_and_query = format!("{path}{query}");
    Ok(if queued { Target::Queued { id, path_and_query } } else { Target::Function { id, path_and_query } })
}

/// Whether a callback may be sent to this address, which `server` in the URL stands for.
///
/// # Errors
/// Why not, for the caller and the operator.
pub fn may(address: SocketAddr, server: &str, rules: &Rules) -> Result<(), String> {
    if rules.allow.iter().any(|allowed| allowed.holds(address, server)) {
        return Ok(());
    }
    let refuse = |what: &str| {
        let to =
            if address.ip().to_string() == server { server.to_owned() } else { format!("{server} ({})", address.ip()) };
        Err(format!("callbacks to {to} are refused: {what}. The setting callback-allow can allow it"))
    };
    for ip in meant(address.ip()) {
        if let Some(kind) = kind(ip) {
            return refuse(kind);
        }
        if (rules.local)(ip) {
            return refuse("it is an address of this machine (its functions are called by the name gateway)");
        }
        if matches!(ip, IpAddr::V4(ip) if rules.subnet.contains(&ip)) {
            return refuse("it is an instance of a function (functions are called by the name gateway)");
        }
    }
    Ok(())
}

/// The address, and those that it carries within it: what is refused is refused in every disguise.
fn meant(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let inner = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => within(ip),
    };
    [Some(address), inner.map(IpAddr::V4)].into_iter().flatten()
}

/// The address of version 4 that one of version 6 leads to.
fn within(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match [a, b, c, d, e, f] {
        // Mapped, and the older form of it, which loopback and the unspecified address look like.
        [0, 0, 0, 0, 0, 0xffff] => of(g, h),
        [0, 0, 0, 0, 0, 0] if g != 0 => of(g, h),
        // NAT64, by its well-known prefix.
        [0x64, 0xff9b, 0, 0, 0, 0] => of(g, h),
        // NAT64 by the prefix for networks of one's own, and what translators of a network call an IPv4 address.
        [0x64, 0xff9b, 1, ..] | [0, 0, 0, 0, 0xffff, 0] => of(g, h),
        // 6to4.
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

/// Where clouds answer their machines beside 169.254.169.254: Alibaba, Azure, Oracle, AWS and Google.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Why an address is nobody's but this machine's or its link's.
fn kind(ip: IpAddr) -> Option<&'static str> {
    let of_v4 = |ip: Ipv4Addr| match ip.octets() {
        [0, ..] => Some("it stands for this machine"),
        [127, ..] => Some("it is loopback"),
        [169, 254, ..] => Some("it is link-local"),
        [224..=239, ..] => Some("it is multicast"),
        [255, 255, 255, 255] => Some("it is broadcast"),
        _ => None,
    };
    match ip {
        ip if METADATA.contains(&ip) => Some("a cloud tells its machines secrets there"),
        IpAddr::V4(ip) => of_v4(ip),
        IpAddr::V6(ip) if ip.is_unspecified() => Some("it stands for this machine"),
        IpAddr::V6(ip) if ip.is_loopback() => Some("it is loopback"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("it is link-local"),
        IpAddr::V6(ip) if ip.is_multicast() => Some("it is multicast"),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests;
