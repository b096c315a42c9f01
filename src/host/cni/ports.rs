//! The ports of the bridge, one for each attachment: plugged in, up, isolated from each other, and each with its filter.
//!
//! ```text
//! attach, claim:  the port is isolated and gets its filter (pin)     before anything runs behind it
//! restrict:       it gets another filter                             for a function that may not send to all
//! look:           the same attached, all ports as they were?         else each is looked at, and put back
//! ```
//! What is isolated reaches the bridge's own address, which is the host, and nothing else on layer 2.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rscni_types::types::{CNIResult, Interface};
use tracing::warn;

use super::Cni;
use super::cache::Cached;
use super::holder::Holder;
use super::netlink::{self, Link};
use super::pin::{self, Filter};
use crate::function::Outbound;

/// One who is attached.
pub(super) struct Attached {
    pub(super) holder: Holder,
    /// What its ADD said.
    pub(super) result: CNIResult,
    /// Where it may send to.
    pub(super) outbound: Outbound,
}

/// What was seen of the bridge's ports.
#[derive(Debug)]
pub(super) struct Ports {
    /// Everyone who was attached.
    of: Vec<Holder>,
    /// The ports that were up and isolated.
    up: BTreeSet<String>,
    /// The addresses that are lasting neighbours.
    found: BTreeSet<Ipv4Addr>,
    /// What was put on them.
    filters: Vec<(u32, Filter)>,
}

impl Ports {
    /// Whether the same are attached, and every port is one still.
    fn are_still(&self, now: &Self) -> bool {
        self.of == now.of && self.up.is_subset(&now.up) && self.found.is_subset(&now.found)
    }

    /// Whether what was put on them is there still: a question for each.
    fn are_pinned(&self) -> bool {
        self.filters.iter().all(|(index, filter)| filter.is_on(*index).unwrap_or(false))
    }
}

impl Cni {
    /// Sees to it that the links of all instances are ports of the bridge. An instance whose link is gone can't be helped
    /// here: its own end is gone with it, and its next check or start tells.
    ///
    /// Two questions, and one about each filter, tell whether all is as it was, where the same instances are attached as
    /// the last time.
    pub(super) fn keep_ports(&self) {
        if self.options.conflist.is_some() {
            return;
        }
        let Ok(Some(Link { is_bridge: true, index, .. })) = netlink::link(&self.options.bridge) else { return };
        let look = || {
            let mut of = self.cache.holders().unwrap_or_default();
            of.sort_unstable();
            let (up, found) =
                (netlink::ports(index).unwrap_or_default(), netlink::lasting_neighbours(index).unwrap_or_default());
            Ports { of, up, found, filters: Vec::new() }
        };
        let mut before = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        if before.as_ref().is_some_and(|before| before.are_still(&look()) && before.are_pinned()) {
            return;
        }
        let attached = self.attached();
        let is_whole = self.mend_ports(&attached);
        // One that is being attached, or can't be put back, is looked at again.
        let now = Ports { filters: self.filters(&attached), ..look() };
        *before = (is_whole && attached.len() == now.of.len()).then_some(now);
    }

    /// The filters that are on the links of all; none where the kernel has none.
    fn filters(&self, attached: &[Attached]) -> Vec<(u32, Filter)> {
        let mut found = Vec::new();
        for Attached { result, outbound, .. } in attached.iter().filter(|_| !self.unpinned.load(Ordering::Relaxed)) {
            let Some(filter) = self.filter(result, outbound) else { continue };
            let links = self.ports_of(result).filter_map(|end| netlink::link(&end.name).ok().flatten());
            found.extend(links.map(|link| (link.index, filter.clone())));
        }
        found
    }

    /// Whether the links of all, as far as they are there, are ports of the bridge now, and it knows where each is.
    fn mend_ports(&self, attached: &[Attached]) -> bool {
        let Ok(Some(bridge @ Link { is_bridge: true, .. })) = netlink::link(&self.options.bridge) else { return false };
        let mut is_whole = true;
        for Attached { holder: id, result, outbound } in attached {
            is_whole &= self.make_neighbour(id, result, bridge.index);
            let filter = self.filter(result, outbound);
            for end in self.ports_of(result) {
                let mended = self.mend_port(&end.name, bridge.index, filter.as_ref());
                match mended {
                    Ok(None) => {}
                    Ok(Some(flaw)) => {
                        warn!(instance = %id, link = %end.name, "{flaw}: put back on the functions' bridge");
                    }
                    Err(error) => {
                        is_whole = false;
                        warn!(instance = %id, link = %end.name, %error, "can't be put back on the bridge");
                    }
                }
            }
        }
        is_whole
    }

    /// Looks at all ports and puts back what is missing, as of a bridge that was made anew.
    pub(super) fn mend_all_ports(&self) {
        // Nobody is restricted meanwhile, whose earlier filter would be put back.
        let mut before = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        *before = None;
        self.mend_ports(&self.attached());
    }

    fn filter(&self, result: &CNIResult, outbound: &Outbound) -> Option<Filter> {
        Filter::of(result, self.options.gateway().addr(), outbound)
    }

    /// Lets an attachment send to these places alone, from now on and after every look.
    pub(super) fn restrict_port(&self, holder: &Holder, entry: &Cached) -> io::Result<()> {
        // No look that has read the entry before puts its earlier filter back.
        let mut before = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        *before = None;
        self.cache.write(holder, entry)?;
        self.set_apart(entry)
    }

    /// The host's ends of an attachment's links, each a port of the bridge.
    pub(super) fn ports_of<'a>(&'a self, result: &'a CNIResult) -> impl Iterator<Item = &'a Interface> {
        let outside = result.interfaces.iter().filter(|end| end.sandbox.as_ref().is_none_or(String::is_empty));
        outside.filter(|end| end.name != self.options.bridge)
    }

    /// Sees to it that an attachment is alone on its link, and sends by its own addresses alone. The bridge plugin of
    /// Debian 12 does not know how.
    pub(super) fn set_apart(&self, entry: &Cached) -> io::Result<()> {
        if self.options.conflist.is_some() {
            return Ok(());
        }
        let result = entry.parsed().ok_or_else(|| io::Error::other("its result can't be read"))?;
        let filter = self.filter(&result, &entry.outbound);
        for end in self.ports_of(&result) {
            if let Some(link) = netlink::link(&end.name)? {
                self.confine(&link, filter.as_ref())?;
            }
        }
        Ok(())
    }

    /// Isolates a port of the bridge and puts a filter on it, unless it is so. What was missing, if anything.
    fn confine(&self, port: &Link, filter: Option<&Filter>) -> io::Result<Option<&'static str>> {
        let mut missing = None;
        if !port.isolated {
            netlink::isolate(port.index)?;
            missing = Some("it was not isolated from other functions");
        }
        let can = |filter: &&Filter| filter.is_needed || !self.unpinned.load(Ordering::Relaxed);
        let Some(filter) = filter.filter(can) else { return Ok(missing) };
        if filter.is_on(port.index)? {
            return Ok(missing);
        }
        match filter.put_on(port.index) {
            Err(error) if pin::is_missing(&error) && filter.is_needed => Err(io::Error::other(format!(
                "this kernel has no cls_bpf or sch_ingress ({error}), by which actord.outbound is held: install one that \
                 has them, or take the annotation away"
            ))),
            Err(error) if pin::is_missing(&error) => {
                if !self.unpinned.swap(true, Ordering::Relaxed) {
                    warn!(
                        %error,
                        "this kernel has no cls_bpf or sch_ingress: a function with CAP_NET_RAW may send by another's \
                         address; install a kernel that has them"
                    );
                }
                Ok(missing)
            }
            done => done.map(|()| missing.or(Some("it could send by others' addresses"))),
        }
    }

    /// What there was to mend, if anything. A link that is gone has nothing.
    fn mend_port(&self, name: &str, bridge: u32, filter: Option<&Filter>) -> io::Result<Option<&'static str>> {
        let Some(mut port) = netlink::link(name)? else { return Ok(None) };
        let strayed = port.master != Some(bridge);
        if strayed {
            netlink::set_master(port.index, bridge)?;
            // A port that is new is like any other.
            port.isolated = false;
        }
        let open = self.confine(&port, filter)?;
        if !port.up {
            netlink::set_up(port.index)?;
        }
        Ok(match port.up {
            _ if strayed => Some("it had left the bridge"),
            false => Some("it was down"),
            true => open,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_looked_at_one_by_one_when_one_is_missing_or_others_are_attached() {
        let ports = |of: &[&str], up: &[&str]| Ports {
            of: of.iter().map(|id| Holder::Instance(id.parse().unwrap())).collect(),
            up: up.iter().map(|name| (*name).to_owned()).collect(),
            found: (2..).map(|last| Ipv4Addr::new(10, 7, 8, last)).take(of.len()).collect(),
            filters: Vec::new(),
        };
        let before = ports(&["f-1", "f-2"], &["veth1", "veth2"]);
        assert!(before.are_still(&ports(&["f-1", "f-2"], &["veth1", "veth2"])));
        assert!(before.are_still(&ports(&["f-1", "f-2"], &["tap9", "veth1", "veth2"])), "a port of another program");
        assert!(!before.are_still(&ports(&["f-1", "f-2"], &["tap9", "veth1"])));
        assert!(!before.are_still(&ports(&["f-1", "f-3"], &["veth1", "veth2"])));
        let not_found = Ports { found: BTreeSet::new(), ..ports(&["f-1", "f-2"], &["veth1", "veth2"]) };
        assert!(!before.are_still(&not_found));
        assert!(!before.are_still(&ports(&["f-1", "f-2", "f-3"], &["veth1", "veth2", "veth3"])));
    }
}
