//! The way out for packets of instances: IPv4 forwarding, and three rules that let the whole bridge through.
//!
//! ```text
//! filter FORWARD      what comes from the bridge, and answers to it        -> ACCEPT
//! nat    POSTROUTING  what leaves the subnet by another link               -> MASQUERADE
//! ```
//! The rules are the bridge's, not an instance's: an attach writes none and a detach leaves none, however it ends, and a
//! packet passes the same three whether there is one instance or a thousand. Other software flushes rules and switches
//! forwarding off, so both are looked at again from time to time. A network list of the user's own brings its own rules.

use std::fs;

use tracing::info;

use super::CniOptions;
use super::iptables::Iptables;
use super::rules::{Rule, mark};
use crate::host::HostError;

/// Whether the kernel forwards IPv4: `1`.
pub const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// The rules of an installation, those of one table next to each other.
pub(super) fn rules(options: &CniOptions) -> [Rule; 3] {
    let CniOptions { bridge, subnet, .. } = options;
    let comment = format!("-m comment --comment {}", mark(bridge));
    let rule = |table, chain, words| Rule { table, chain, words };
    [
        rule("filter", "FORWARD", format!("-i {bridge} {comment} -j ACCEPT")),
        rule(
            "filter",
            "FORWARD",
            format!("-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED {comment} -j ACCEPT"),
        ),
        rule("nat", "POSTROUTING", format!("-s {subnet} ! -o {bridge} {comment} -j MASQUERADE")),
    ]
}

/// Makes the rules that are missing, before all others of their chain; says so where some were.
pub(super) async fn open(iptables: &Iptables, options: &CniOptions) -> Result<(), HostError> {
    let failed = |reason| {
        HostError::Failed(format!(
            "iptables rules of bridge {}: {reason}: without them functions reach nothing outside of this machine",
            options.bridge
        ))
    };
    let mut missing = Vec::new();
    for rule in rules(options) {
        if !iptables.has(&rule).await.map_err(failed)? {
            missing.push(rule);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    iptables.insert(&missing).await.map_err(failed)?;
    info!(bridge = %options.bridge, rules = missing.len(), "made the iptables rules by which functions reach the outside");
    Ok(())
}

/// Sees to it that the kernel forwards IPv4, without which instances reach nothing outside the host; says so where it
/// did not.
pub(super) fn forward() -> Result<(), HostError> {
    let failed = |error| HostError::Failed(format!("{FORWARDING}: {error}: set net.ipv4.ip_forward=1 by sysctl"));
    if fs::read_to_string(FORWARDING).map_err(failed)?.trim() == "1" {
        return Ok(());
    }
    fs::write(FORWARDING, "1").map_err(failed)?;
    info!("IPv4 forwarding was off on this host and is on now: instances need it to reach anything outside");
    Ok(())
}
