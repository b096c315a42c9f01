//! How each kind of value is written. Every error says what was expected, with an example.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use ipnet::Ipv4Net;
use tracing_subscriber::EnvFilter;

use super::INTERFACE_NAME_MAX;
use crate::host::PullPolicy;

/// The shape of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const UNITS: [(&str, f64); 7] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// The longest duration that makes sense here; more is a typing error.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Reads `90` (seconds) or numbers with units as Go writes them: `500ms`, `1.5s`, `1m30s`.
///
/// # Errors
/// A sentence that says how a duration is written.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 30 (seconds), 500ms, 1.5s or 1m30s".to_owned();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds)).filter(|time| *time <= DURATION_MAX).ok_or_else(wrong);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        seconds += number.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = after;
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !text.is_empty() && time <= DURATION_MAX => Ok(time),
        _ => Err(wrong()),
    }
}

/// A duration that something is given up after.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("0 would give up before it began: expected a time such as 30s".to_owned()),
        time => Ok(time),
    }
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a number from 1".to_owned())
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("expected an absolute path".to_owned()) }
}

pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and a port such as 127.0.0.1:8080 or [::1]:8080".to_owned())
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

/// `HOST` or `HOST:PORT`.
pub(super) fn registry(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '@', ' ']) {
        return Err("expected a registry's HOST or HOST:PORT, without http:// and path".to_owned());
    }
    Ok(text.to_ascii_lowercase())
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
    match text.replace('-', "").to_ascii_lowercase().as_str() {
        "always" => Ok(PullPolicy::Always),
        "ifnotpresent" => Ok(PullPolicy::IfNotPresent),
        "never" => Ok(PullPolicy::Never),
        _ => Err("expected always, if-not-present or never".to_owned()),
    }
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
    fn a_bare_number_is_seconds_and_units_are_those_of_go() {
        let ms = Duration::from_millis;
        for (text, time) in [
            ("0", ms(0)),
            ("20", ms(20_000)),
            ("500ms", ms(500)),
            ("1.5s", ms(1500)),
            ("1m30s", ms(90_000)),
            ("2h", ms(7_200_000)),
            ("100us", Duration::from_micros(100)),
            ("100µs", Duration::from_micros(100)),
            ("1h0.5m", ms(3_630_000)),
        ] {
            assert_eq!(parse_duration(text), Ok(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "-1", "-1s", "1.5", "5 s", "1d", "1..5s", "ms5", "1e3s", "99999999999", "9999999h", "1s5"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(timeout("0s").is_err());
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
