//! The way out for packets of instances: IPv4 forwarding, and rules that let the whole bridge through, but not from one
//! instance to another, and to this machine only for what it offers them.
//!
//! ```text
//! filter FORWARD      what comes from the bridge                            -> actord-fwd-BRIDGE
//!        actord-fwd   what would go back to it                              -> REJECT
//!                     to link-local addresses: DNS, what is listed          -> ACCEPT, all else REJECT
//!                     all else                                              -> ACCEPT
//!        FORWARD      answers to the bridge                                 -> ACCEPT
//!        INPUT        what comes from the bridge                            -> actord-in-BRIDGE
//!        actord-in    answers, ping, DNS, the public API, what is listed    -> as if this chain were not there
//!                     all else                                              -> REJECT
//! nat    POSTROUTING  what leaves the subnet by another link                -> MASQUERADE
//! ```
//! The rules are the bridge's, not an instance's: an attach writes none and a detach leaves none, however it ends, and a
//! packet passes the same few whether there is one instance or a thousand. Other software flushes rules and switches
//! forwarding off, so both are looked at again from time to time. A network list of the user's own brings its own rules.

use std::fs;

use tracing::{info, warn};

use super::CniOptions;
use super::iptables::Iptables;
use super::rules::{self, Rule, mark};
use crate::host::{HostError, HostService};

/// Whether the kernel forwards IPv4: `1`.
pub const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// Link-local addresses: where clouds tell a machine its secrets, and answer DNS.
const LINK_LOCAL: &str = "169.254.0.0/16";
const DNS: [&str; 2] = ["-p udp --dport 53", "-p tcp --dport 53"];

/// The rules of an installation. `refuse`: the target of what is refused.
fn rules_of(options: &CniOptions, refuse: &str) -> Vec<Rule> {
    let CniOptions { bridge, subnet, reachable, .. } = options;
    let comment = format!("-m comment --comment {}", mark(bridge));
    let (forwarded, to_host) = (rules::forwarded(bridge), rules::to_host(bridge));
    let rule = |table, chain: &str, words: String| Rule { table, chain: chain.to_owned(), words };
    // A packet for another instance that is sent to the bridge's hardware address: isolated ports don't stop it.
    let mut all = vec![rule("filter", &forwarded, format!("-o {bridge} {comment} -j {refuse}"))];
    let link_local = reachable.iter().filter(|service| service.address.is_some_and(|it| it.is_link_local()));
    let link_local = link_local.flat_map(|service| words_of(*service));
    for words in DNS.map(|dns| format!("-d {LINK_LOCAL} {dns}")).into_iter().chain(link_local) {
        all.push(rule("filter", &forwarded, format!("{words} {comment} -j ACCEPT")));
    }
    all.push(rule("filter", &forwarded, format!("-d {LINK_LOCAL} {comment} -j {refuse}")));
    all.push(rule("filter", &forwarded, format!("{comment} -j ACCEPT")));
    // No answer to the proxy waits for connection tracking: TCP tells by itself what begins a connection.
    let answers = ["-p tcp ! --syn".to_owned(), "-m conntrack --ctstate RELATED,ESTABLISHED".to_owned()];
    // What ICMP tells of a connection belongs to it; by itself an instance asks for an echo and nothing else.
    let offered = ["-p icmp --icmp-type echo-request"].into_iter().chain(DNS).map(str::to_owned);
    let public = options.public_port.map(|port| format!("-p tcp --dport {port}"));
    let listed = reachable.iter().flat_map(|service| words_of(*service));
    for words in answers.into_iter().chain(public).chain(offered).chain(listed) {
        all.push(rule("filter", &to_host, format!("{words} {comment} -j RETURN")));
    }
    all.push(rule("filter", &to_host, format!("{comment} -j {refuse}")));
    all.push(rule("filter", "INPUT", format!("-i {bridge} {comment} -j {to_host}")));
    let answers = format!("-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED {comment} -j ACCEPT");
    all.push(rule("filter", "FORWARD", answers));
    // Put before the one above: what comes from an instance is never an answer to another.
    all.push(rule("filter", "FORWARD", format!("-i {bridge} {comment} -j {forwarded}")));
    all.push(rule("nat", "POSTROUTING", format!("-s {subnet} ! -o {bridge} {comment} -j MASQUERADE")));
    all
}

/// What a service's packets are known by, for each protocol.
fn words_of(HostService { address, port }: HostService) -> [String; 2] {
    let to = address.map_or_else(String::new, |address| format!("-d {address} "));
    ["tcp", "udp"].map(|protocol| format!("{to}-p {protocol} --dport {port}"))
}

/// Makes the rules anew, all of them, where they are not as they were `seen` the last time; says so where they were not
/// there. Returns how they are now.
pub(super) async fn open(
    iptables: &Iptables,
    options: &CniOptions,
    seen: Option<&[String]>,
) -> Result<Vec<String>, HostError> {
    let bridge = &options.bridge;
    let failed = |reason| {
        HostError::Failed(format!(
            "iptables rules of bridge {bridge}: {reason}: without them functions reach nothing outside of this machine"
        ))
    };
    let saved = iptables.saved().await.map_err(failed)?;
    let before = rules::all_marked(&saved, bridge);
    if seen.is_some_and(|seen| seen == before) {
        return Ok(before);
    }
    let script = |refuse: &str| rules::replacement(&saved, bridge, &rules_of(options, refuse));
    if let Err(error) = iptables.restore(&script("REJECT")).await {
        // Of a kernel that can't tell the sender.
        iptables.restore(&script("DROP")).await.map_err(failed)?;
        warn!(%bridge, %error, "no iptables target REJECT: what functions may not reach is dropped without an answer");
    }
    let after = rules::all_marked(&iptables.saved().await.map_err(failed)?, bridge);
    if after != before {
        info!(%bridge, rules = after.len(), "made the iptables rules by which functions reach the outside");
    }
    Ok(after)
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
