//! How each kind of value is written. Every error says what was expected, with an example.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use ipnet::{IpNet, Ipv4Net};
use tracing_subscriber::EnvFilter;

use super::INTERFACE_NAME_MAX;
use crate::function::{self, Capability, RuntimeName};
use crate::host::{IdMapping, PullPolicy};

/// The shape of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Reads `90` (seconds) or numbers with units as Go writes them: `500ms`, `1.5s`, `1m30s`.
///
/// # Errors
/// A sentence that says how a duration is written.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    function::parse_duration(text).map_err(|invalid| invalid.0)
}

/// A duration that something is given up after.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("0 would give up before it began: expected a time such as 30s".to_owned()),
        time => Ok(time),
    }
}

/// For how long a load is remembered.
pub(super) fn window(text: &str) -> Result<Duration, String> {
    let hour = Duration::from_secs(3600);
    let expected = || "expected a time up to an hour, such as 60s".to_owned();
    parse_duration(text).and_then(|time| if time <= hour { Ok(time) } else { Err(expected()) })
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a number from 1".to_owned())
}

/// Open files of a process: fewer than it starts with are a mistake.
pub(super) fn open_files(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|n| *n >= 64).ok_or_else(|| "expected a number from 64".to_owned())
}

/// Attachments that are kept ready: more than a bridge has ports for, beside functions, are a mistake.
pub(super) fn warm(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n <= 256).ok_or_else(|| "expected a number from 0 to 256".to_owned())
}

/// Space for the logs of a function: a quantity as Kubernetes writes it.
pub(super) fn log_size(text: &str) -> Result<u64, String> {
    let bytes = function::parse_memory_bytes(text).map_err(|invalid| invalid.0)?;
    if bytes >= 64 << 10 { Ok(bytes) } else { Err("expected at least 64Ki, such as 16Mi".to_owned()) }
}

/// Memory that functions may request: a quantity as Kubernetes writes it, or 0 for any.
pub(super) fn memory_requests(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { function::parse_memory_bytes(text).map_err(|invalid| invalid.0) }
}

/// Memory of actord's own: a quantity as Kubernetes writes it.
pub(super) fn memory(text: &str) -> Result<usize, String> {
    let bytes = function::parse_memory_bytes(text).map_err(|invalid| invalid.0)?;
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes >= 1 << 20)
        .ok_or_else(|| "expected at least 1Mi, such as 64Mi".to_owned())
}

/// The body of an asynchronous call: it is kept in memory while it is written down and while it is sent.
pub(super) fn call_body(text: &str) -> Result<usize, String> {
    let bytes = function::parse_memory_bytes(text).map_err(|invalid| invalid.0)?;
    let fits = usize::try_from(bytes).ok().filter(|bytes| (1 << 10..=64 << 20).contains(bytes));
    fits.ok_or_else(|| "expected from 1Ki to 64Mi, such as 1Mi".to_owned())
}

/// A name that a URL may have for a host; without a port.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(plain);
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("expected the name of a host such as gateway.openfaas, without http:// and port".to_owned())
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("expected an absolute path".to_owned()) }
}

pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and a port such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// Where the dashboard listens; none: nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DashboardListen(pub Option<SocketAddr>);

/// `ADDRESS:PORT` or `none`.
pub(super) fn dashboard(text: &str) -> Result<DashboardListen, String> {
    if text == "none" {
        return Ok(DashboardListen(None));
    }
    let wrong = |_| "expected an address and a port such as 127.0.0.1:8083 or [::1]:8083, or none".to_owned();
    text.parse().map(|address| DashboardListen(Some(address))).map_err(wrong)
}

/// What containerd accepts as an identifier.
pub(super) fn identifier(text: &str) -> Result<String, String> {
    let separator = |c: char| matches!(c, '.' | '_' | '-');
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    if text.len() <= 76 && text.split(separator).all(plain) {
        return Ok(text.to_owned());
    }
    Err("expected letters and digits, separated by single '.', '_' or '-', at most 76 of them".to_owned())
}

pub(super) fn interface(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%');
    if (1..=INTERFACE_NAME_MAX).contains(&text.len()) && text.chars().all(allowed) && !matches!(text, "." | "..") {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected the name of a network interface: at most {INTERFACE_NAME_MAX} characters, no '/', ':' or '%'"
    ))
}

/// A subnet with room for at least one function beside network, gateway and broadcast.
pub(super) fn subnet(text: &str) -> Result<Ipv4Net, String> {
    let net: Ipv4Net = text.parse().map_err(|_| "expected an IPv4 subnet such as 10.62.0.0/16".to_owned())?;
    if net.trunc() != net {
        return Err(format!("{net} is an address in a subnet: did you mean {}?", net.trunc()));
    }
    if !(8..=29).contains(&net.prefix_len()) {
        return Err("expected a prefix from /8 to /29".to_owned());
    }
    Ok(net)
}

/// One address, or a subnet.
pub(super) fn proxies(text: &str) -> Result<IpNet, String> {
    let one = text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    let net = one.or_else(|_| text.parse::<IpNet>());
    let net = net.map_err(|_| "expected an address or a subnet such as 192.0.2.7 or 10.0.0.0/8".to_owned())?;
    if net.trunc() != net {
        return Err(format!("{net} is an address in a subnet: did you mean {} or {}?", net.trunc(), net.addr()));
    }
    Ok(net)
}

/// `HOST` or `HOST:PORT`.
pub(super) fn registry(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '@', ' ', '=']) {
        return Err("expected a registry's HOST or HOST:PORT, without http:// and path".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

/// A registry, and another that is asked before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryMirror {
    /// The registry that references name.
    pub of: String,
    /// The host, or `host:port`, of its mirror.
    pub host: String,
    /// What the mirror puts before repositories: empty, or such as `hub`.
    pub path: String,
}

/// `REGISTRY=MIRROR` or `REGISTRY=MIRROR/PATH`.
pub(super) fn mirror(text: &str) -> Result<RegistryMirror, String> {
    let wrong = || "expected REGISTRY=MIRROR such as docker.io=cache.lan:5000, without http://".to_owned();
    let (of, mirror) = text.split_once('=').ok_or_else(wrong)?;
    let (host, path) = mirror.split_once('/').unwrap_or((mirror, ""));
    let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9');
    let part = |part: &str| part.starts_with(plain) && part.chars().all(|c| plain(c) || matches!(c, '.' | '_' | '-'));
    if mirror.contains("//") || !(path.is_empty() || path.split('/').all(part)) || mirror.ends_with('/') {
        return Err(wrong());
    }
    let name = |text| registry(text).map_err(|_| wrong());
    Ok(RegistryMirror { of: name(of)?, host: name(host)?, path: path.to_owned() })
}

/// A public key, and which images must be signed by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSignatureKey {
    /// What the names of those images begin with: `registry.lan/team`. Empty: every image.
    pub prefix: String,
    /// The key's file.
    pub file: PathBuf,
}

/// `FILE` or `PREFIX=FILE`.
pub(super) fn signature_key(text: &str) -> Result<ImageSignatureKey, String> {
    let wrong =
        || "expected FILE or PREFIX=FILE such as registry.lan/team=/etc/actord/team.pub, FILE absolute".to_owned();
    let (prefix, file) = text.split_once('=').unwrap_or(("", text));
    let prefix = prefix.trim_end_matches('/');
    // The name of an image is written out in full: what stands for a registry comes first.
    let (first, _) = prefix.split_once('/').unwrap_or((prefix, ""));
    let is_full = prefix.is_empty() || first == "localhost" || first.contains(['.', ':']);
    if !is_full || prefix.contains([' ', '@', '*']) || text.starts_with('=') {
        return Err(wrong());
    }
    let file = absolute(file).map_err(|_| wrong())?;
    Ok(ImageSignatureKey { prefix: prefix.to_ascii_lowercase(), file })
}

/// An OCI runtime that functions may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRuntime {
    /// What functions call it.
    pub name: RuntimeName,
    /// Its program; none for those that need no path.
    pub path: Option<PathBuf>,
}

pub(super) fn runtime_name(text: &str) -> Result<RuntimeName, String> {
    text.parse().map_err(|function::Invalid(rule)| rule)
}

pub(super) fn id_mapping(text: &str) -> Result<IdMapping, String> {
    text.parse()
}

pub(super) fn capability(text: &str) -> Result<Capability, String> {
    text.parse().map_err(|function::Invalid(rule)| rule)
}

/// `NAME=PATH`, or the name alone of one that needs no path.
pub(super) fn runtime(text: &str) -> Result<ListedRuntime, String> {
    let (name, path) = text.split_once('=').unwrap_or((text, ""));
    let name = runtime_name(name.trim())?;
    let path = match path.trim() {
        "" if name.is_known() => None,
        "" => return Err(format!("expected the path of its program, such as {name}=/usr/bin/{name}")),
        _ if name.as_str() == RuntimeName::BUILTIN => {
            return Err(format!("{name} is a part of actord and has no path: expected {name} alone"));
        }
        path => Some(absolute(path)?),
    };
    Ok(ListedRuntime { name, path })
}

pub(super) fn cgroup(text: &str) -> Result<String, String> {
    let parts = text.strip_prefix('/').map(|path| path.split('/'));
    if parts.is_some_and(|mut parts| parts.all(|part| !matches!(part, "" | "." | ".."))) {
        return Ok(text.to_owned());
    }
    Err("expected a cgroup path such as /actord".to_owned())
}

/// Also as others spell them: `IfNotPresent`.
pub(super) fn pull_policy(text: &str) -> Result<PullPolicy, String> {
    text.parse().map_err(|function::Invalid(rule)| rule)
}

pub(super) fn pids(text: &str) -> Result<u32, String> {
    function::parse_pids_limit(text).map_err(|invalid| invalid.0)
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text)
        .map_err(|error| format!("{error}; expected a level such as info, or info,actord=debug"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_up_at_once_is_no_timeout() {
        assert_eq!(timeout("1m30s"), Ok(Duration::from_secs(90)));
        assert!(timeout("0s").is_err() && timeout("soon").is_err());
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn the_dashboard_listens_at_an_address_or_nowhere() {
        assert_eq!(dashboard("[::1]:8083"), Ok(DashboardListen(Some("[::1]:8083".parse().unwrap()))));
        assert_eq!(dashboard("none"), Ok(DashboardListen(None)));
        for text in ["", "8083", "None", "localhost:8083"] {
            assert!(dashboard(text).unwrap_err().contains("or none"), "{text}");
        }
    }

    #[test]
    fn a_subnet_is_a_subnet_and_not_an_address_in_one() {
        assert!(subnet("10.62.0.0/16").is_ok());
        assert!(subnet("10.62.0.1/16").unwrap_err().contains("10.62.0.0/16"));
        for text in ["10.62.0.0", "10.0.0.0/30", "0.0.0.0/0", "fd00::/64"] {
            assert!(subnet(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_subnet() {
        for (text, net) in [("192.0.2.7", "192.0.2.7/32"), ("10.0.0.0/8", "10.0.0.0/8"), ("::1", "::1/128")] {
            assert_eq!(proxies(text).unwrap().to_string(), net);
        }
        assert!(proxies("10.0.0.1/8").unwrap_err().contains("10.0.0.0/8 or 10.0.0.1"));
        for text in ["", "gateway", "10.0.0.0/33", "10.0.0.1:80"] {
            assert!(proxies(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_signature_key_is_a_file_for_all_images_or_for_those_of_a_full_name() {
        let of = |prefix: &str| Ok(ImageSignatureKey { prefix: prefix.to_owned(), file: PathBuf::from("/k/team.pub") });
        assert_eq!(signature_key("/k/team.pub"), of(""));
        assert_eq!(signature_key("Registry.lan:5000/team/=/k/team.pub"), of("registry.lan:5000/team"));
        for text in ["", "team.pub", "=/k/team.pub", "team=/k/team.pub", "r.lan/*=/k/team.pub", "r.lan=team.pub"] {
            assert!(signature_key(text).unwrap_err().contains("registry.lan/team=/etc"), "{text}");
        }
    }

    #[test]
    fn a_mirror_is_a_host_perhaps_with_a_path() {
        let of = |of: &str, host: &str, path: &str| RegistryMirror {
            of: of.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
        };
        assert_eq!(mirror("docker.io=Cache.lan:5000"), Ok(of("docker.io", "cache.lan:5000", "")));
        assert_eq!(mirror("ghcr.io:443=harbor/hub/x"), Ok(of("ghcr.io:443", "harbor", "hub/x")));
        for text in [
            "",
            "docker.io",
            "docker.io=",
            "=m.lan",
            "docker.io=http://m.lan",
            "a=b/",
            "a=b//c",
            "a=b/C",
            "a=b/../c",
            "a/b=c",
            "a=b=c",
        ] {
            assert!(mirror(text).unwrap_err().contains("docker.io=cache.lan:5000"), "{text}");
        }
    }

    #[test]
    fn a_runtime_is_a_name_and_the_absolute_path_of_a_program_or_one_that_needs_none() {
        let of = |text: &str| runtime(text).map(|it| (it.name.to_string(), it.path));
        assert_eq!(of("gvisor=/usr/bin/runsc"), Ok(("gvisor".into(), Some("/usr/bin/runsc".into()))));
        assert_eq!(of("runc=/opt/runc"), Ok(("runc".into(), Some("/opt/runc".into()))));
        for (text, name) in [("runc", "runc"), ("builtin", "builtin"), ("runc=", "runc")] {
            assert_eq!(of(text), Ok((name.into(), None)), "{text}");
        }
        for (text, words) in [
            ("gvisor", "gvisor=/usr/bin/gvisor"),
            ("gvisor=runsc", "absolute path"),
            ("builtin=/usr/bin/actord", "no path"),
            ("=/usr/bin/runsc", "invalid runtime"),
            ("G=/usr/bin/runsc", "invalid runtime"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_what_the_kernel_and_containerd_accept() {
        assert!(interface("actord0").is_ok());
        for text in ["", "sixteen-letters0", "a/b", "a b", ".."] {
            assert!(interface(text).is_err(), "{text}");
        }
        assert!(identifier("a-b.c_d").is_ok());
        for text in ["", "-a", "a--b", "a/b", "a "] {
            assert!(identifier(text).is_err(), "{text}");
        }
        assert!(cgroup("/actord/fn").is_ok());
        for text in ["", "/", "actord", "/a/../b", "/a/"] {
            assert!(cgroup(text).is_err(), "{text}");
        }
        assert_eq!(pull_policy("IfNotPresent"), Ok(PullPolicy::IfNotPresent));
        assert!(pull_policy("sometimes").is_err());
        assert!(registry("http://host").is_err());
        assert!(log_filter("info,actord=debug").is_ok());
        assert!(log_filter("info,actord=loud").is_err());
    }
}
