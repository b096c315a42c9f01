//! Whether an attachment is still as its ADD left it, asked of the kernel: no plugin runs.
//!
//! ```text
//! outside:  network namespace there, address leased to it, its link up, with a carrier and a port of the bridge
//! inside:   its link up, with its address, and the default route leads to it
//! ```
//! That is all there is to an attachment by the built-in list. What the plugins of a user's own list made elsewhere, only
//! their CHECK can tell.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rscni_types::ipnet::{IpNet, Ipv4Net};
use rscni_types::types::CNIResult;

use super::cache::{Cached, address};
use super::holder::Holder;
use super::netlink::{self, Link};
use super::plugin::IFNAME;
use super::{Cni, leases, netns};
use crate::host::Attachment;

/// Anything that the default route leads to: an address for documentation (RFC 5737).
const OUTSIDE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(192, 0, 2, 1);

impl Cni {
    /// Where the network namespace of an attachment is.
    pub(super) fn netns_of(&self, entry: &Cached) -> PathBuf {
        let named = || self.options.netns_dir.join(format!("{}.{}", self.options.bridge, entry.container()));
        entry.netns().map_or_else(named, Path::to_owned)
    }

    /// Whether an attachment was made by the built-in list as it is now, so that looking tells as much as a CHECK.
    pub(super) fn is_built_in(&self, entry: &Cached) -> bool {
        self.options.conflist.is_none() && entry.is_of(&self.list)
    }

    /// Looks from outside. Cheap: a few questions to the kernel.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn look(&self, entry: &Cached) -> Result<Attachment, String> {
        let (address, netns) = self.there(entry)?;
        let leases = self.list.leases(&self.options.state_dir);
        if leases.is_some_and(|dir| leases::of(&dir, address).as_ref().map(Holder::as_str) != Some(entry.container())) {
            return Err(format!("its address {address} is not leased to it"));
        }
        let result = entry.parsed().ok_or("its result can't be read")?;
        self.look_at_links(&result).map_err(|(link, fault)| format!("its link {link} {fault}"))?;
        Ok(Attachment { address, netns })
    }

    /// The address and the network namespace of a complete attachment; what is missing, else.
    pub(super) fn there(&self, entry: &Cached) -> Result<(IpAddr, PathBuf), String> {
        let netns = self.netns_of(entry);
        if !entry.complete {
            return Err("it is half-made".to_owned());
        }
        if !netns::is_live(&netns) {
            return Err(format!("its network namespace {} is gone", netns.display()));
        }
        let address = address(&entry.result).ok_or("its plugins gave it no address")?;
        Ok((address, netns))
    }

    fn look_at_links(&self, result: &CNIResult) -> Result<(), (String, String)> {
        let on_bridge = self.options.conflist.is_none();
        let bridge = netlink::link(&self.options.bridge).ok().flatten().map(|bridge| bridge.index);
        let outside = result.interfaces.iter().filter(|end| end.sandbox.as_ref().is_none_or(String::is_empty));
        for end in outside.filter(|end| end.name != self.options.bridge) {
            let fault = match netlink::link(&end.name) {
                Ok(Some(Link { master, .. })) if on_bridge && (master.is_none() || master != bridge) => {
                    "is not on the bridge".to_owned()
                }
                Ok(Some(Link { up: true, runs: true, .. })) => continue,
                Ok(Some(_)) => "is down".to_owned(),
                Ok(None) => "is gone".to_owned(),
                Err(error) => format!("can't be looked at: {error}"),
            };
            return Err((end.name.clone(), fault));
        }
        Ok(())
    }

    /// Looks inside, on a thread in the namespace.
    ///
    /// # Errors
    /// What is missing.
    pub(super) async fn look_inside(&self, entry: &Cached) -> Result<(), String> {
        let result = entry.parsed().ok_or("its result can't be read")?;
        let addresses = result.ips.iter().filter_map(|ip| match ip.address {
            IpNet::V4(address) => Some(address),
            IpNet::V6(_) => None,
        });
        let addresses: Vec<Ipv4Net> = addresses.collect();
        let looked = netns::inside(&self.netns_of(entry), move || fault_inside(&addresses)).await;
        match looked.map_err(|error| format!("can't look into its network namespace: {error}"))? {
            None => Ok(()),
            Some(fault) => Err(format!("its {IFNAME} {fault}")),
        }
    }
}

fn fault_inside(addresses: &[Ipv4Net]) -> io::Result<Option<String>> {
    let Some(link) = netlink::link(IFNAME)? else { return Ok(Some("is gone".to_owned())) };
    if !link.up {
        return Ok(Some("is down".to_owned()));
    }
    for address in addresses {
        if !netlink::has_address(link.index, *address)? {
            return Ok(Some(format!("lost its address {address}")));
        }
    }
    Ok(match netlink::link_towards(OUTSIDE)? {
        Some(index) if index == link.index => None,
        _ => Some("lost its default route".to_owned()),
    })
}
