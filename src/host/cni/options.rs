//! What an operator can set about the network, and whether it makes sense.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use rscni_types::ipnet::Ipv4Net;

use super::holder::Holder;
use crate::host::{HostError, HostService};

/// The kernel's limit for the name of a link (`IFNAMSIZ` less its zero).
const LINK_NAME_MAX: usize = 15;

/// The settings of the network that functions live in.
#[derive(Debug, Clone)]
pub struct CniOptions {
    /// The network's name: it marks the iptables rules and the leases.
    pub name: String,
    /// The bridge, made on first use; at most 15 characters. It also marks our network namespaces.
    pub bridge: String,
    /// Where the instances' addresses come from. Must not overlap with any network that this host has a route to.
    pub subnet: Ipv4Net,
    /// Where the plugins' binaries are looked for, in this order.
    pub plugin_dirs: Vec<PathBuf>,
    /// A CNI network list of the user's own in place of the built-in one; `subnet` is then not used.
    pub conflist: Option<PathBuf>,
    /// The port of this machine that functions call each other by.
    pub public_port: Option<u16>,
    /// What else of this machine, and of link-local addresses, functions may reach.
    pub reachable: Vec<HostService>,
    /// Leases and cached results. Under actord's state directory, which a reboot empties as it empties the network.
    pub state_dir: PathBuf,
    /// Where the named network namespaces are; `/run/netns` is where `ip netns` looks.
    pub netns_dir: PathBuf,
    /// The longest that one execution of a plugin may take; then it is killed.
    pub deadline: Duration,
}

impl CniOptions {
    /// The defaults, for the two that have none.
    #[must_use]
    pub fn new(subnet: Ipv4Net, state_dir: PathBuf) -> Self {
        Self {
            name: "actord".to_owned(),
            bridge: "actord0".to_owned(),
            subnet,
            plugin_dirs: vec!["/usr/lib/cni".into(), "/opt/cni/bin".into()],
            conflist: None,
            public_port: None,
            reachable: Vec::new(),
            state_dir,
            netns_dir: "/run/netns".into(),
            deadline: Duration::from_secs(30),
        }
    }

    /// The bridge's own address, by which instances send: the first of the subnet, as host-local hands it out.
    pub(super) fn gateway(&self) -> Ipv4Net {
        let first = u32::from(self.subnet.network()).wrapping_add(1);
        Ipv4Net::new(first.into(), self.subnet.prefix_len()).unwrap_or(self.subnet)
    }

    /// The directory of host-local's leases, one directory for each network in it.
    pub(super) fn leases(&self) -> PathBuf {
        self.state_dir.join("ipam")
    }

    /// Where a network namespace is made: the bridge's name, of which a host has only one, marks it as ours.
    pub(super) fn netns(&self, holder: &Holder) -> PathBuf {
        self.netns_dir.join(format!("{}.{holder}", self.bridge))
    }

    /// For whom a network namespace was made, if it is ours. Names of holders have no dot in them.
    pub(super) fn holder_of(&self, netns: &Path) -> Option<Holder> {
        let (bridge, name) = netns.file_name()?.to_str()?.rsplit_once('.')?;
        name.parse().ok().filter(|_| bridge == self.bridge)
    }

    /// Refuses what can't work whatever the host looks like.
    pub(super) fn check(&self) -> Result<(), HostError> {
        let refused = |text: String| Err(HostError::Failed(text));
        if !is_link_name(&self.bridge) {
            return refused(format!(
                "bridge name {:?}: must be 1 to {LINK_NAME_MAX} letters, digits, '-', '_' or '.', and begin with a letter",
                self.bridge
            ));
        }
        let subnet = self.subnet;
        if subnet.trunc() != subnet {
            return refused(format!("subnet {subnet}: has host bits set; did you mean {}?", subnet.trunc()));
        }
        if !(8..=29).contains(&subnet.prefix_len()) {
            return refused(format!("subnet {subnet}: must be between a /8 and a /29"));
        }
        if is_special(subnet.network()) {
            return refused(format!("subnet {subnet}: no address range for instances; choose a private one"));
        }
        Ok(())
    }
}

fn is_special(network: Ipv4Addr) -> bool {
    network.is_loopback()
        || network.is_multicast()
        || network.is_link_local()
        || network.octets()[0] == 0
        || network.octets()[0] >= 240
}

fn is_link_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.len() <= LINK_NAME_MAX && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(bridge: &str, subnet: &str) -> CniOptions {
        CniOptions { bridge: bridge.to_owned(), ..CniOptions::new(subnet.parse().unwrap(), "/run/x".into()) }
    }

    #[test]
    fn a_bridge_name_that_the_kernel_or_a_path_would_not_take_is_refused() {
        for bad in ["", "abcdefghijklmnop", "a/b", "a b", "..", "-a", "a%d", "a:b"] {
            assert!(options(bad, "10.1.0.0/16").check().unwrap_err().to_string().contains("bridge name"), "{bad:?}");
        }
        options("abcdefghijklmno", "10.1.0.0/16").check().unwrap();
    }

    #[test]
    fn a_subnet_that_holds_no_instances_is_refused() {
        for bad in ["10.1.0.1/16", "10.0.0.0/30", "0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/8", "169.254.0.0/16"] {
            assert!(options("br0", bad).check().unwrap_err().to_string().contains("subnet"), "{bad}");
        }
        options("br0", "192.168.1.0/29").check().unwrap();
    }

    #[test]
    fn the_bridges_address_is_the_first_of_its_subnet() {
        assert_eq!(options("br0", "10.7.8.0/22").gateway().to_string(), "10.7.8.1/22");
    }

    #[test]
    fn a_namespaces_file_leads_back_to_its_holder_and_others_files_to_none() {
        let options = options("br.0", "10.1.0.0/16");
        for name in ["echo-0123", "warm_0123456789ab"] {
            let holder: Holder = name.parse().unwrap();
            let path = options.netns(&holder);
            assert_eq!(path, Path::new(&format!("/run/netns/br.0.{name}")));
            assert_eq!(options.holder_of(&path), Some(holder));
        }
        for other in ["/run/netns/echo-0123", "/run/netns/br.echo-0123", "/run/netns/cni-1b2c", "/run/netns/br.0.warm_"]
        {
            assert_eq!(options.holder_of(Path::new(other)), None);
        }
    }
}
