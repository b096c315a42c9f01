//! Forwarding and the firewall: whether packets get from functions to the world and back.

use super::finding::Finding;
use super::source::{Root, ask};
use crate::host::cni::FORWARDING;

/// Which of its two kinds iptables is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Nft,
    Legacy,
}

/// What is known of forwarding and of other people's rules.
#[derive(Debug)]
pub(super) struct Firewall {
    /// `1`, or what the file says.
    forwarding: Option<String>,
    /// What `iptables --version` says.
    pub(super) iptables: Result<String, String>,
    /// What `iptables -S FORWARD` says.
    forward: Result<String, String>,
    /// What `nft list chains` says, where there is nft.
    chains: Option<String>,
}

impl Firewall {
    pub(super) async fn read(root: &Root) -> Self {
        Self {
            forwarding: root.text(FORWARDING).map(|text| text.trim().to_owned()),
            iptables: ask("iptables", &["--version"]).await,
            forward: ask("iptables", &["-S", "FORWARD"]).await,
            chains: ask("nft", &["list", "chains"]).await.ok(),
        }
    }

    pub(super) fn variant(&self) -> Option<Variant> {
        let said = self.iptables.as_ref().ok()?;
        Some(if said.contains("nf_tables") { Variant::Nft } else { Variant::Legacy })
    }

    /// `needed`: whether the functions' network needs iptables. `lets_through`: whether it comes with rules that let its
    /// packets pass whatever the policy is. `bridge`: where those packets come from.
    pub(super) fn check(&self, needed: bool, lets_through: bool, bridge: &str) -> Vec<Finding> {
        let mut found = vec![self.forwarding()];
        if needed {
            found.push(match &self.iptables {
                Ok(version) => Finding::ok("iptables", version),
                Err(error) => Finding::failure("iptables", error, "apt-get install iptables"),
            });
        }
        if self.iptables.is_ok() {
            found.push(self.policy(lets_through, bridge));
        }
        found.extend(self.chains.as_deref().map(|chains| native(chains, bridge)));
        found
    }

    fn forwarding(&self) -> Finding {
        let check = "forwarding";
        match self.forwarding.as_deref() {
            Some("1") => Finding::ok(check, "net.ipv4.ip_forward is 1"),
            Some(_) => Finding::warning(
                check,
                "net.ipv4.ip_forward is 0; actord sets it when it starts, and whenever it finds it off",
                "sysctl -w net.ipv4.ip_forward=1; echo net.ipv4.ip_forward=1 >/etc/sysctl.d/60-actord.conf",
            ),
            None => Finding::unknown(check, format!("{FORWARDING} can't be read")),
        }
    }

    fn policy(&self, lets_through: bool, bridge: &str) -> Finding {
        let check = "policy of FORWARD";
        let rules = match &self.forward {
            Ok(rules) => rules,
            Err(error) => return Finding::unknown(check, error),
        };
        let policy = rules.lines().find_map(|line| line.strip_prefix("-P FORWARD ")).unwrap_or("unknown");
        match (policy, lets_through) {
            ("ACCEPT", _) => Finding::ok(check, "ACCEPT"),
            (policy, true) => {
                Finding::ok(check, format!("{policy}; the functions' network has rules that let them through"))
            }
            (policy, false) => Finding::failure(
                check,
                format!("{policy}, and the network list has no firewall plugin to let functions through"),
                format!("iptables -I FORWARD -i {bridge} -j ACCEPT; iptables -I FORWARD -o {bridge} -j ACCEPT"),
            ),
        }
    }
}

/// A chain of nftables that drops what iptables lets through: both have to accept a packet.
fn native(chains: &str, bridge: &str) -> Finding {
    let check = "nftables";
    let (mut table, mut chain) = ("", "");
    for line in chains.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ") {
            table = name.trim_end_matches(" {");
        } else if let Some(name) = line.strip_prefix("chain ") {
            chain = name.trim_end_matches(" {");
        } else if line.contains("hook forward") && line.contains("policy drop") && table != "ip filter" {
            let rule = |direction| format!("nft insert rule {table} {chain} {direction} {bridge} accept");
            return Finding::warning(
                check,
                format!("chain {chain} of table {table} drops forwarded packets unless a rule of its own accepts them"),
                format!("{}; {}", rule("iifname"), rule("oifname")),
            );
        }
    }
    Finding::ok(check, "no chain of its own drops what is forwarded")
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn firewall(forwarding: &str, forward: &str) -> Firewall {
        Firewall {
            forwarding: Some(forwarding.into()),
            iptables: Ok("iptables v1.8.9 (nf_tables)".into()),
            forward: Ok(forward.into()),
            chains: None,
        }
    }

    fn states(findings: &[Finding]) -> Vec<State> {
        findings.iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn forwarding_that_is_off_is_a_warning_with_the_sysctl() {
        let found = firewall("0", "-P FORWARD ACCEPT").check(true, true, "actord0");
        assert_eq!(states(&found), [State::Warning, State::Ok, State::Ok]);
        assert!(found[0].remedy.as_ref().unwrap().contains("sysctl -w net.ipv4.ip_forward=1"));
    }

    #[test]
    fn a_policy_that_drops_is_no_harm_with_the_firewall_plugin_and_a_failure_without() {
        let drops = firewall("1", "-P FORWARD DROP\n-A FORWARD -j DOCKER-USER");
        assert_eq!(states(&drops.check(true, true, "actord0")), [State::Ok, State::Ok, State::Ok]);
        let found = drops.check(true, false, "br7");
        assert_eq!(found[2].state, State::Failure);
        assert!(found[2].remedy.as_ref().unwrap().contains("iptables -I FORWARD -i br7 -j ACCEPT"));
    }

    #[test]
    fn iptables_that_is_missing_fails_only_if_a_plugin_needs_it() {
        let none = Firewall {
            iptables: Err("iptables can't be run".into()),
            forward: Err("the same".into()),
            ..firewall("1", "")
        };
        assert_eq!(states(&none.check(true, true, "b")), [State::Ok, State::Failure]);
        assert_eq!(none.check(true, true, "b")[1].remedy.as_deref(), Some("apt-get install iptables"));
        assert_eq!(states(&none.check(false, false, "b")), [State::Ok]);
        assert_eq!(none.variant(), None);
        assert_eq!(firewall("1", "").variant(), Some(Variant::Nft));
    }

    #[test]
    fn what_can_not_be_seen_without_root_is_said() {
        let blind =
            Firewall { forward: Err("iptables: Permission denied (you must be root)".into()), ..firewall("1", "") };
        let found = blind.check(true, true, "b");
        assert_eq!(found[2].state, State::Unknown);
        assert!(found[2].found.contains("must be root"));
    }

    #[test]
    fn a_dropping_chain_of_nftables_is_named_but_iptables_own_is_not() {
        let chains = "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";
        assert_eq!(native(chains, "actord0").state, State::Ok);
        let found = native(&chains.replace("ip filter", "inet mine").replace("FORWARD", "forward"), "actord0");
        assert_eq!(found.state, State::Warning);
        assert!(found.remedy.unwrap().starts_with("nft insert rule inet mine forward iifname actord0 accept"));
    }
}
