//! The functions' network: the plugins that its list asks for, its subnet, and the name servers that functions get.

use std::net::IpAddr;

use super::finding::Finding;
use super::source::Root;
use crate::host::cni::{CniOptions, Preflight};
use crate::host::containerd::instances::dns::{self, HOST, RESOLVED};

/// What is known of the functions' network.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) preflight: Result<Preflight, String>,
    /// What overlaps with the subnet; an error where the routes can't be read.
    subnet: Result<Result<(), String>, String>,
    /// What is wrong with the bridge.
    bridge: Result<(), String>,
    /// Attachments that are ready for starts to come.
    warm: Result<usize, String>,
    /// The name servers that were configured.
    configured: Vec<IpAddr>,
    /// Those that functions can reach of what the host uses; none where its file can't be read.
    machines: Option<Vec<IpAddr>>,
}

impl Network {
    pub(super) async fn read(root: &Root, options: &CniOptions, configured: &[IpAddr]) -> Self {
        let routes = root.text("/proc/net/route").ok_or_else(|| "/proc/net/route can't be read".to_owned());
        let machines = root.text(HOST).map(|text| dns::reachable_servers(&text, root.text(RESOLVED).as_deref()));
        Self {
            preflight: Preflight::of(options).await.map_err(|error| error.to_string()),
            subnet: routes.map(|table| options.overlap(&table)),
            bridge: options.bridge_fault(),
            warm: options.warm(),
            configured: configured.to_vec(),
            machines,
        }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let mut found = self.plugins();
        found.push(match &self.subnet {
            Ok(Ok(())) => Finding::ok("subnet", "no route of this machine overlaps with it"),
            Ok(Err(overlap)) => Finding::failure("subnet", overlap, "set another --cni-subnet, such as 10.63.0.0/16"),
            Err(error) => Finding::unknown("subnet", error),
        });
        found.push(match &self.bridge {
            Ok(()) => Finding::ok("bridge", "nothing is wrong with it"),
            Err(fault) => Finding::failure(
                "bridge",
                fault,
                "a running actord puts it back within seconds; if not, see its log for why",
            ),
        });
        let check = "warm attachments";
        found.push(match &self.warm {
            Ok(count) => Finding::ok(check, format!("{count} ready for starts to come")),
            Err(error) => Finding::unknown(check, error),
        });
        found.push(self.servers());
        found
    }

    fn plugins(&self) -> Vec<Finding> {
        let preflight = match &self.preflight {
            Ok(preflight) => preflight,
            Err(error) => return vec![Finding::failure("network list", error, "mend the file of --cni-conflist")],
        };
        let version = &preflight.version;
        let plugins = preflight.plugins.iter().map(|plugin| {
            let check = format!("plugin {}", plugin.name);
            let path = match &plugin.path {
                Ok(path) => path.display(),
                Err(error) => {
                    return Finding::failure(check, error, "apt-get install containernetworking-plugins");
                }
            };
            match &plugin.speaks {
                Ok(true) => Finding::ok(check, format!("{path} speaks CNI {version}")),
                Ok(false) => Finding::failure(
                    check,
                    format!("{path} does not speak CNI {version}, which the network list is written in"),
                    "apt-get update && apt-get install --only-upgrade containernetworking-plugins",
                ),
                Err(error) => Finding::failure(check, error, "apt-get install --reinstall containernetworking-plugins"),
            }
        });
        plugins.collect()
    }

    fn servers(&self) -> Finding {
        let check = "name servers";
        let list = |servers: &[IpAddr]| servers.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        match &self.machines {
            _ if !self.configured.is_empty() => Finding::ok(check, format!("{} (--dns)", list(&self.configured))),
            None => Finding::failure(
                check,
                format!("{HOST} can't be read"),
                "set the functions' servers with --dns ADDRESS",
            ),
            Some(servers) if servers.is_empty() => Finding::failure(
                check,
                format!("{HOST} names no server that functions can reach: a loopback address is their own"),
                "set the functions' servers with --dns ADDRESS",
            ),
            Some(servers) => Finding::ok(check, list(servers)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::super::source::tree;
    use super::*;
    use crate::host::cni::FoundPlugin;

    fn network() -> Network {
        let plugin = |name: &str| FoundPlugin { name: name.into(), path: Ok("/p/x".into()), speaks: Ok(true) };
        let preflight = Preflight {
            version: "1.0.0".into(),
            plugins: vec![plugin("bridge"), plugin("firewall")],
            needs_iptables: true,
            lets_through: true,
        };
        Network {
            preflight: Ok(preflight),
            subnet: Ok(Ok(())),
            bridge: Ok(()),
            warm: Ok(8),
            configured: vec![],
            machines: Some(vec![[9, 9, 9, 9].into()]),
        }
    }

    fn states(network: &Network) -> Vec<State> {
        network.check().iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn a_machine_with_all_of_it_is_well() {
        assert_eq!(states(&network()), [State::Ok; 6]);
    }

    #[test]
    fn each_plugin_has_a_finding_of_its_own() {
        let mut network = network();
        let plugins = &mut network.preflight.as_mut().unwrap().plugins;
        plugins[0].path = Err("not found in /usr/lib/cni".into());
        plugins[1].speaks = Ok(false);
        let found = network.check();
        assert_eq!((found[0].check.as_str(), found[0].state), ("plugin bridge", State::Failure));
        assert_eq!(found[0].remedy.as_deref(), Some("apt-get install containernetworking-plugins"));
        assert!(found[1].found.contains("does not speak CNI 1.0.0"), "{found:?}");
        network.preflight.as_mut().unwrap().plugins[1].speaks = Err("Exec format error".into());
        assert!(network.check()[1].remedy.as_ref().unwrap().contains("--reinstall"));
    }

    #[test]
    fn a_list_that_can_not_be_used_and_an_overlap_are_failures() {
        let network = Network {
            preflight: Err("list: it has no plugins".into()),
            subnet: Ok(Err("overlaps with 10.0.0.0/8 by eth0".into())),
            ..network()
        };
        assert_eq!(states(&network), [State::Failure, State::Failure, State::Ok, State::Ok, State::Ok]);
        assert_eq!(states(&Network { subnet: Err("?".into()), ..self::network() })[2], State::Unknown);
    }

    #[test]
    fn a_bridge_that_is_not_as_it_was_made_is_a_failure() {
        let network = Network { bridge: Err("bridge actord0 is down".into()), ..network() };
        let found = network.check().into_iter().find(|finding| finding.check == "bridge").unwrap();
        assert_eq!((found.state, found.found.as_str()), (State::Failure, "bridge actord0 is down"));
        assert!(found.remedy.is_some());
    }

    #[tokio::test]
    async fn a_resolver_on_the_loopback_alone_is_a_failure_unless_servers_are_set() {
        let options = CniOptions::new("10.62.0.0/16".parse().unwrap(), "/run/x".into());
        let (_dir, root) = tree(&[(HOST, "nameserver 127.0.0.1\n"), ("/proc/net/route", "Iface\n")]);
        let found = Network::read(&root, &options, &[]).await.check().pop().unwrap();
        assert_eq!(found.state, State::Failure);
        assert!(found.remedy.unwrap().contains("--dns"));
        let servers = ["192.0.2.53".parse().unwrap()];
        assert_eq!(Network::read(&root, &options, &servers).await.check().pop().unwrap().state, State::Ok);
        // systemd-resolved's own list stands behind its stub.
        let (_dir, root) = tree(&[(HOST, "nameserver 127.0.0.53\n"), (RESOLVED, "nameserver 192.0.2.1\n")]);
        let found = Network::read(&root, &options, &[]).await.check();
        assert_eq!(found.last().unwrap().found, "192.0.2.1");
    }
}
