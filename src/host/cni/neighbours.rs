//! Where the bridge finds an instance: an entry of the neighbour table that does not age, made with the attachment.
//!
//! Without it the kernel asks by ARP at the first packet. Its table of what it has asked for is small, 1,024 entries for all
//! network namespaces together (`gc_thresh3`), of which an instance that is called takes two; when it is full, calls and
//! starts wait for seconds. Entries that do not age are not counted. And whoever answers a question by ARP in another's
//! place is not asked.
//!
//! ```text
//! attach -> entry;  detach -> entry gone, before its address is given back;  every 30 s, and with a bridge that is put
//! back: entries of all who are attached (ports.rs)
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use rscni_types::types::CNIResult;
use tracing::warn;

use super::cache::{Cached, address};
use super::holder::Holder;
use super::plugin::IFNAME;
use super::{Cni, leases, netlink};

/// Where an instance is: its address, and its hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) address: Ipv4Addr,
    pub(super) hardware_address: [u8; 6],
}

impl Neighbour {
    /// The inner end of an attachment.
    pub(super) fn of(result: &CNIResult) -> Option<Self> {
        result.ips.iter().find_map(|ip| {
            let end = result.interfaces.get(ip.interface? as usize).filter(|end| end.name == IFNAME)?;
            let IpAddr::V4(address) = ip.address.addr() else { return None };
            Some(Self { address, hardware_address: hardware_address(&end.mac)? })
        })
    }
}

/// A hardware address as CNI writes it.
pub(super) fn hardware_address(text: &str) -> Option<[u8; 6]> {
    let mut bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
    let mut address = [0; 6];
    for byte in &mut address {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(address)
}

impl Cni {
    /// Makes the entry of one who is attached. Where that fails, the kernel asks by ARP as ever, and the next look at the
    /// ports tries again.
    pub(super) fn make_neighbour(&self, id: &Holder, result: &CNIResult, bridge: u32) -> bool {
        let Some(Neighbour { address, hardware_address }) = Neighbour::of(result) else { return true };
        let made = netlink::set_neighbour(bridge, address, hardware_address);
        if let Err(error) = &made {
            warn!(instance = %id, %address, %error, "can't be made a lasting neighbour of the bridge: it is asked for by ARP");
        }
        made.is_ok()
    }

    /// Makes the entry of one that was just attached to the bridge of our own list.
    pub(super) fn make_first_neighbour(&self, id: &Holder, result: &serde_json::Value) {
        if self.options.conflist.is_none()
            && let Ok(result) = serde_json::from_value(result.clone())
            && let Ok(Some(bridge)) = netlink::link(&self.options.bridge)
        {
            self.make_neighbour(id, &result, bridge.index);
        }
    }

    /// Removes the entry of one that is being detached, as far as its address is known: the next who gets that has another.
    pub(super) fn forget_neighbour(&self, entry: Option<&Cached>, lease: Option<IpAddr>) -> io::Result<()> {
        if self.options.conflist.is_some() {
            return Ok(());
        }
        let Some(bridge) = netlink::link(&self.options.bridge)? else { return Ok(()) };
        // After a detach that was cut off its address may be another's already.
        let leases = self.list.leases(&self.options.state_dir);
        let is_its = |entry: &Cached, address| {
            let holder = leases.as_ref().and_then(|dir| leases::of(dir, address));
            holder.is_none_or(|holder| holder.as_str() == entry.container())
        };
        let attached = entry.and_then(|entry| address(&entry.result).filter(|address| is_its(entry, *address)));
        for address in attached.into_iter().chain(lease) {
            if let IpAddr::V4(address) = address {
                netlink::delete_neighbour(bridge.index, address)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbour_is_the_inner_end_and_its_address() {
        let result = |ips: serde_json::Value| -> CNIResult {
            let interfaces = serde_json::json!([
                { "name": "br7", "mac": "02:00:00:00:00:01" },
                { "name": "veth7", "mac": "02:00:00:00:00:02" },
                { "name": "eth0", "mac": "02:00:00:00:00:0a", "sandbox": "/run/netns/x" },
            ]);
            let result = serde_json::json!({ "cniVersion": "1.0.0", "interfaces": interfaces, "ips": ips, "dns": {} });
            serde_json::from_value(result).unwrap()
        };
        let found = Neighbour::of(&result(serde_json::json!([{ "address": "10.1.0.7/16", "interface": 2 }])));
        let hardware_address = [2, 0, 0, 0, 0, 0x0a];
        assert_eq!(found, Some(Neighbour { address: [10, 1, 0, 7].into(), hardware_address }));
        assert_eq!(Neighbour::of(&result(serde_json::json!([]))), None);
        assert_eq!(Neighbour::of(&result(serde_json::json!([{ "address": "10.1.0.1/16", "interface": 0 }]))), None);
    }

    #[test]
    fn a_hardware_address_is_six_bytes() {
        assert_eq!(hardware_address("0a:00:ff:00:00:01"), Some([10, 0, 255, 0, 0, 1]));
        for text in ["", "0a:00", "0a:00:ff:00:00:01:02", "zz:00:ff:00:00:01"] {
            assert_eq!(hardware_address(text), None, "{text}");
        }
    }
}
