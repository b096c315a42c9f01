//! The bridge that all functions are ports of: whether it is as it was made, and how it is put back.
//!
//! ```text
//! look:  link there -> up -> address -> route                        cheap: meant to be asked every second
//! mend:  link made again with its hardware address -> up -> address -> route -> every instance's link a port of it,
//!        isolated, with its filter (pin), up
//! ```
//! The bridge plugin looks after all this only when it attaches an instance. Instances that run keep their own end: address,
//! default route and neighbours, so that they are reached again as soon as this end is whole. A network list of the user's
//! own is left to its plugins.

use std::fmt;
use std::io;
use std::sync::PoisonError;

use rscni_types::types::CNIResult;
use tracing::{info, warn};

use super::holder::Holder;
use super::netlink::{self, Link, Route};
use super::ports::Attached;
use super::{Cni, CniOptions, Ipv4Net, neighbours, refusal};
use crate::host::HostError;

/// What is wrong with the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    Gone,
    NoBridge,
    Down,
    NoAddress(Ipv4Net),
    NoRoute(Ipv4Net),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => write!(f, "is gone"),
            Self::NoBridge => write!(f, "is a link of another kind"),
            Self::Down => write!(f, "is down"),
            Self::NoAddress(address) => write!(f, "lost its address {address}"),
            Self::NoRoute(subnet) => write!(f, "lost its route to {subnet}"),
        }
    }
}

/// An address of the subnet that is not the bridge's own.
fn second(bridge: Ipv4Net) -> std::net::Ipv4Addr {
    u32::from(bridge.addr()).wrapping_add(1).into()
}

/// The first flaw of the bridge, in the order in which they are mended.
pub(super) fn look(options: &CniOptions) -> io::Result<Option<Flaw>> {
    let (address, subnet) = (options.gateway(), options.subnet);
    let Some(Link { index, up, is_bridge, .. }) = netlink::link(&options.bridge)? else { return Ok(Some(Flaw::Gone)) };
    Ok(if !is_bridge {
        Some(Flaw::NoBridge)
    } else if !up {
        Some(Flaw::Down)
    } else if !netlink::has_address(index, address)? {
        Some(Flaw::NoAddress(address))
    } else if netlink::link_towards(second(address))? != Some(index) {
        Some(Flaw::NoRoute(subnet))
    } else {
        None
    })
}

/// Mends one flaw; the next look tells what else there is.
fn mend(options: &CniOptions, flaw: Flaw, hardware_address: Option<[u8; 6]>) -> io::Result<()> {
    if flaw == Flaw::Gone {
        netlink::create_bridge(&options.bridge, hardware_address)?;
    }
    let Some(Link { index, .. }) = netlink::link(&options.bridge)? else { return Ok(()) };
    let address = options.gateway();
    match flaw {
        Flaw::Gone | Flaw::Down => netlink::set_up(index),
        Flaw::NoAddress(_) => netlink::add_address(index, address),
        Flaw::NoRoute(subnet) => netlink::add_route(subnet, Route::Link(index, address.addr())),
        Flaw::NoBridge => {
            let text = "remove that link, or set another bridge name (cni-bridge) after `actord down`";
            Err(io::Error::other(text))
        }
    }
}

impl Cni {
    /// Looks at the bridge, and puts it back if it is not as it was made. What is wrong is told in [`Cni::fault`]
    /// meanwhile.
    pub(super) async fn keep_bridge(&self) -> Result<(), HostError> {
        if self.options.conflist.is_some() {
            return Ok(());
        }
        match look(&self.options).map_err(|error| self.unmended(&error))? {
            Some(flaw) if flaw != Flaw::Gone || self.is_needed() => {}
            _ => {
                self.tell(None);
                return Ok(());
            }
        }
        // No instance is being attached meanwhile: the bridge may be half-made now, by the plugin of the first one.
        let _alone = self.shared.write().await;
        let mended = self.mend_all();
        self.tell(mended.as_ref().err().map(ToString::to_string));
        mended
    }

    /// Whether anything is attached, to the bridge that is not there.
    fn is_needed(&self) -> bool {
        self.cache.holders().is_ok_and(|holders| !holders.is_empty())
    }

    fn mend_all(&self) -> Result<(), HostError> {
        let CniOptions { bridge, .. } = &self.options;
        let attached = self.attached();
        let hardware_address = attached.iter().find_map(|it| hardware_address(&it.result, bridge));
        // What can't be mended is told once, and not at every try.
        let is_news = self.told().is_none();
        let mut last = None;
        while let Some(flaw) = look(&self.options).map_err(|error| self.unmended(&error))? {
            if last == Some(flaw) {
                return Err(self.unmended(&format!("it {flaw}, again as soon as it was put back")));
            }
            if is_news {
                warn!(%bridge, "the functions' bridge {flaw}: putting it back");
            }
            self.tell(Some(format!("bridge {bridge} {flaw}: it is being put back")));
            mend(&self.options, flaw, hardware_address)
                .map_err(|error| self.unmended(&format!("it {flaw}: {error}")))?;
            last = Some(flaw);
        }
        if last.is_some() {
            self.mend_all_ports();
            info!(%bridge, instances = attached.len(), "the functions' bridge is as it was made again");
        }
        Ok(())
    }

    /// Everyone who is attached, those that wait for an instance among them.
    pub(super) fn attached(&self) -> Vec<Attached> {
        let holders = self.cache.holders().unwrap_or_default();
        let read = |holder: Holder| {
            let entry = self.cache.read(&holder).filter(|entry| entry.complete)?;
            Some(Attached { result: entry.parsed()?, outbound: entry.outbound, holder })
        };
        holders.into_iter().filter_map(read).collect()
    }

    /// Makes the route that refuses the subnet when the bridge is gone.
    pub(super) fn keep_refusal(&self) -> Result<(), HostError> {
        if self.options.conflist.is_none() && refusal::ensure(&self.options)? {
            info!(subnet = %self.options.subnet, "made the route that refuses the functions' subnet without its bridge");
        }
        Ok(())
    }

    fn unmended(&self, why: &dyn fmt::Display) -> HostError {
        HostError::Failed(format!(
            "bridge {} can't be put back: {why}: functions are unreachable until then",
            self.options.bridge
        ))
    }

    /// What is wrong with the bridge, until it is mended.
    pub(super) fn told(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

/// The bridge's hardware address when the instance was attached: with the same one the instance finds it at once.
fn hardware_address(result: &CNIResult, bridge: &str) -> Option<[u8; 6]> {
    neighbours::hardware_address(&result.interfaces.iter().find(|interface| interface.name == bridge)?.mac)
}
