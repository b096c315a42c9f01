//! What plugins and we leave behind in iptables, found in what `iptables-save` printed: the script that removes it in one
//! transaction. Pure.
//!
//! The bridge plugin's DEL forgets its masquerading as soon as the namespace is gone, and the firewall plugin's DEL
//! does nothing without a result. So what a half-made instance left is looked for here, by the marks that the plugins
//! write: the comment `name: "NETWORK" id: "INSTANCE"` and the instance's address.

use std::net::IpAddr;

use rscni_types::ipnet::Ipv4Net;
use sha2::{Digest, Sha512};

use super::rules::{chains as own_chains, deletion, lines, marked, table};

/// What to remove.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cleanup<'a> {
    /// What lets packets of one address through (the firewall plugin's).
    Address(IpAddr),
    /// The masquerading of one instance (the bridge plugin's).
    Instance {
        /// The network's name.
        network: &'a str,
        /// The instance's id.
        id: &'a str,
    },
    /// All of a network.
    Network {
        /// Its name.
        network: &'a str,
        /// The bridge whose rules of our own go, too.
        bridge: &'a str,
        /// The addresses that were its own.
        subnet: Option<Ipv4Net>,
        /// The firewall plugin's chains, too, if no other rule is in them. Only under the host's lock.
        chains: bool,
    },
}

impl Cleanup<'_> {
    /// What `iptables-save` printed, turned into the input for `iptables-restore` that removes what is to go.
    pub(super) fn plan(self, saved: &str) -> String {
        match self {
            Self::Address(address) => table("filter", &forwarding(saved, |found| found == address)),
            Self::Instance { network, id } => {
                let mark = format!(r#""name: \"{network}\" id: \"{id}\"""#);
                table("nat", &masquerading(saved, &mark, Some(&chain_name(network, id))))
            }
            Self::Network { network, bridge, subnet, chains } => {
                let ours = |address| matches!((subnet, address), (Some(net), IpAddr::V4(ip)) if net.contains(&ip));
                let mut filter = forwarding(saved, ours);
                if chains {
                    filter.extend(unused_chains(saved, &filter));
                }
                filter.extend(ours_in_filter(saved, bridge));
                let mark = format!(r#""name: \"{network}\" id: "#);
                let mut nat = masquerading(saved, &mark, None);
                nat.extend(marked(saved, "nat", bridge).map(deletion));
                table("filter", &filter) + &table("nat", &nat)
            }
        }
    }
}

/// The rules of the firewall plugin for addresses that are `ours`.
fn forwarding(saved: &str, ours: impl Fn(IpAddr) -> bool) -> Vec<String> {
    let address = |line: &str| {
        let mut words = line.strip_prefix("-A CNI-FORWARD ")?.split(' ');
        let direction = words.next().filter(|word| ["-s", "-d"].contains(word));
        direction.and_then(|_| words.next()?.strip_suffix("/32")?.parse().ok())
    };
    lines(saved, "filter").filter(|line| address(line).is_some_and(&ours)).map(deletion).collect()
}

/// Our own rules for a bridge, and the chains that they stand in.
fn ours_in_filter(saved: &str, bridge: &str) -> Vec<String> {
    let declared = |chain: &String| lines(saved, "filter").any(|line| line.starts_with(&format!(":{chain} ")));
    let chains = own_chains(bridge).into_iter().filter(declared).map(|chain| format!("-X {chain}"));
    marked(saved, "filter", bridge).map(deletion).chain(chains).collect()
}

/// The jumps and chains that carry the mark in their comments, and the chain of that name even if it is empty.
fn masquerading(saved: &str, mark: &str, chain: Option<&str>) -> Vec<String> {
    let mut commands = Vec::new();
    let mut chains = Vec::new();
    let mut note = |chain: &str| {
        if chain.starts_with("CNI-") && !chains.iter().any(|known| known == chain) {
            chains.push(chain.to_owned());
        }
    };
    for line in lines(saved, "nat") {
        if let Some(declared) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
            if Some(declared) == chain {
                note(declared);
            }
        } else if line.contains(mark) && line.starts_with("-A POSTROUTING ") {
            commands.push(deletion(line));
            note(line.rsplit(' ').next().unwrap_or_default());
        } else if line.contains(mark) {
            note(line.split(' ').nth(1).unwrap_or_default());
        }
    }
    for verb in ["-F", "-X"] {
        commands.extend(chains.iter().map(|chain| format!("{verb} {chain}")));
    }
    commands
}

/// The name that the bridge plugin gives an instance's chain.
fn chain_name(network: &str, id: &str) -> String {
    let digest = Sha512::digest(format!("{network}{id}"));
    digest.iter().take(12).fold("CNI-".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

/// The firewall plugin's chains are shared by every CNI network of the host, and made again by every ADD. They go only
/// if nothing is in them but the plugin's own jump, once the rules that `going` deletes are gone: then they are not used.
/// An administrator's rule in CNI-ADMIN, or any other reference to them, keeps them. All of it is one transaction, so a
/// rule that is added meanwhile makes it fail as a whole. An ADD of another software that is between making the
/// chains and using them can't be seen; it fails, and makes them again when it is tried again.
fn unused_chains(saved: &str, going: &[String]) -> Vec<String> {
    let jump_in = |line: &str| line.starts_with("-A FORWARD ") && line.ends_with(" -j CNI-FORWARD");
    let jump_on = |line: &str| line.starts_with("-A CNI-FORWARD ") && line.ends_with(" -j CNI-ADMIN");
    let declared: Vec<&str> = ["CNI-FORWARD", "CNI-ADMIN"]
        .into_iter()
        .filter(|chain| lines(saved, "filter").any(|line| line.starts_with(&format!(":{chain} "))))
        .collect();
    let mut jumps = Vec::new();
    for line in lines(saved, "filter").filter(|line| line.starts_with("-A ") && line.contains("CNI-")) {
        if jump_in(line) || jump_on(line) {
            jumps.push(deletion(line));
        } else if !going.contains(&deletion(line)) {
            return Vec::new();
        }
    }
    jumps.extend(declared.iter().map(|chain| format!("-X {chain}")));
    jumps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(saved: &str, cleanup: Cleanup<'_>) -> String {
        cleanup.plan(saved)
    }

    /// As iptables-save 1.8.9 prints what the plugins 1.1.1 made.
    const SAVED: &str = r#"# Generated by iptables-save v1.8.9 (nf_tables)
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:CNI-ADMIN - [0:0]
:CNI-FORWARD - [0:0]
-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN
-A CNI-FORWARD -d 10.77.5.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A CNI-FORWARD -s 10.77.5.2/32 -j ACCEPT
-A CNI-FORWARD -s 10.77.5.20/32 -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:CNI-062f5dc8c72b8323e587a34e - [0:0]
:CNI-12f4c764765634586c4090d4 - [0:0]
-A POSTROUTING -s 10.77.5.2/32 -m comment --comment "name: \"net1\" id: \"abc-1\"" -j CNI-062f5dc8c72b8323e587a34e
-A POSTROUTING -s 10.77.5.20/32 -m comment --comment "name: \"net1\" id: \"abc-12\"" -j CNI-12f4c764765634586c4090d4
-A CNI-062f5dc8c72b8323e587a34e -d 10.77.5.0/29 -m comment --comment "name: \"net1\" id: \"abc-1\"" -j ACCEPT
-A CNI-12f4c764765634586c4090d4 -d 10.77.5.0/29 -m comment --comment "name: \"net1\" id: \"abc-12\"" -j ACCEPT
COMMIT
"#;

    #[test]
    fn an_addresss_rules_go_and_those_of_an_address_that_begins_alike_stay() {
        let script = plan(SAVED, Cleanup::Address("10.77.5.2".parse().unwrap()));
        let expected = "*filter\n\
            -D CNI-FORWARD -d 10.77.5.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
            -D CNI-FORWARD -s 10.77.5.2/32 -j ACCEPT\nCOMMIT\n";
        assert_eq!(script, expected);
    }

    #[test]
    fn an_instances_masquerading_goes_and_that_of_an_id_that_begins_alike_stays() {
        let script = plan(SAVED, Cleanup::Instance { network: "net1", id: "abc-1" });
        let expected = "*nat\n\
            -D POSTROUTING -s 10.77.5.2/32 -m comment --comment \"name: \\\"net1\\\" id: \\\"abc-1\\\"\" \
            -j CNI-062f5dc8c72b8323e587a34e\n\
            -F CNI-062f5dc8c72b8323e587a34e\n-X CNI-062f5dc8c72b8323e587a34e\nCOMMIT\n";
        assert_eq!(script, expected);
    }

    #[test]
    fn an_empty_chain_is_found_by_the_name_that_the_plugin_gives_it() {
        assert_eq!(chain_name("net1", "abc-1"), "CNI-062f5dc8c72b8323e587a34e");
        let saved = "*nat\n:CNI-062f5dc8c72b8323e587a34e - [0:0]\nCOMMIT\n";
        let script = plan(saved, Cleanup::Instance { network: "net1", id: "abc-1" });
        assert_eq!(script, "*nat\n-F CNI-062f5dc8c72b8323e587a34e\n-X CNI-062f5dc8c72b8323e587a34e\nCOMMIT\n");
    }

    #[test]
    fn a_network_takes_the_shared_chains_with_it_when_nobody_else_uses_them() {
        let subnet = Some("10.77.5.0/24".parse().unwrap());
        let script = plan(SAVED, Cleanup::Network { network: "net1", bridge: "br1", subnet, chains: true });
        assert!(script.contains("\n-D FORWARD ") && script.contains("-X CNI-FORWARD\n-X CNI-ADMIN\n"), "{script}");
        assert_eq!(script.matches("-X CNI-").count(), 4, "{script}");
    }

    #[test]
    fn the_shared_chains_stay_when_another_network_or_an_administrator_uses_them() {
        let subnet = Some("10.77.5.0/24".parse().unwrap());
        for foreign in ["-A CNI-FORWARD -s 10.88.0.2/32 -j ACCEPT", "-A CNI-ADMIN -j DROP", "-A DOCKER -j CNI-ADMIN"] {
            let saved = SAVED.replacen("COMMIT", &format!("{foreign}\nCOMMIT"), 1);
            let script = plan(&saved, Cleanup::Network { network: "net1", bridge: "br1", subnet, chains: true });
            assert!(script.contains("-D CNI-FORWARD -s 10.77.5.20/32"), "{script}");
            assert!(!script.contains("-X CNI-FORWARD") && !script.contains("-D FORWARD"), "{script}");
            assert!(!script.contains("10.88.0.2"), "{script}");
        }
    }

    #[test]
    fn a_networks_own_rules_go_with_it_and_those_of_a_bridge_that_begins_alike_stay() {
        let saved = r#"*filter
:actord-fwd-br1 - [0:0]
:actord-fwd-br12 - [0:0]
-A FORWARD -o br1 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "actord:br1" -j ACCEPT
-A FORWARD -i br1 -m comment --comment "actord:br1" -j ACCEPT
-A FORWARD -i br12 -m comment --comment "actord:br12" -j ACCEPT
-A actord-fwd-br1 -m comment --comment "actord:br1" -j ACCEPT
COMMIT
*nat
-A POSTROUTING -s 10.77.5.0/24 ! -o br1 -m comment --comment "actord:br1" -j MASQUERADE
COMMIT
"#;
        let script = plan(saved, Cleanup::Network { network: "net1", bridge: "br1", subnet: None, chains: false });
        let gone = saved.lines().filter(|line| !line.contains("br12") && !line.starts_with(':'));
        let gone = gone.collect::<Vec<_>>().join("\n") + "\n";
        let gone = gone.replace("-A ", "-D ").replacen("COMMIT", "-X actord-fwd-br1\nCOMMIT", 1);
        assert_eq!(script, gone);
    }

    #[test]
    fn another_networks_rules_are_never_touched() {
        let subnet = Some("10.99.0.0/16".parse().unwrap());
        assert_eq!(plan(SAVED, Cleanup::Network { network: "net", bridge: "br", subnet, chains: true }), "");
        assert_eq!(plan(SAVED, Cleanup::Instance { network: "net1", id: "abc" }), "");
    }
}
