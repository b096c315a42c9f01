//! The way down: one instance, or all there is of the network.

use std::future::ready;
use std::net::IpAddr;
use std::path::Path;

use futures_util::{StreamExt as _, stream};
use tracing::info;

use super::cache::Cached;
use super::cleanup::Cleanup;
use super::conflist::Conflist;
use super::holder::Holder;
use super::{Cni, CniNetwork, host_lock, leases, netlink, netns, refusal};
use crate::host::HostError;

/// Attachments that are removed side by side when all go.
const SIDE_BY_SIDE: usize = 4;

impl CniNetwork {
    /// Removes the network as a whole, as `actord down` needs it: every attachment, our rules, the bridge,
    /// leases and cached results. Idempotent, and goes on after an error.
    ///
    /// What others may have a part in stays: IPv4 forwarding stays on, a bridge that a user's network list does not
    /// name as ours stays, and the chains CNI-FORWARD and CNI-ADMIN, which all CNI networks of a host share, go only
    /// when they are empty.
    ///
    /// # Errors
    /// [`HostError::Failed`] with everything that could not be removed.
    pub async fn teardown_all(&self) -> Result<(), HostError> {
        let cni = &self.0;
        let mut errors = Vec::new();
        match cni.holders() {
            Ok(holders) => {
                let detached = stream::iter(&holders).map(|holder| cni.detach(holder)).buffer_unordered(SIDE_BY_SIDE);
                let failed = detached.filter_map(|done| ready(done.err().map(|error| error.to_string())));
                errors.extend(failed.collect::<Vec<_>>().await);
            }
            Err(error) => errors.push(format!("list attachments: {error}")),
        }
        let subnet = cni.options.conflist.is_none().then_some(cni.options.subnet);
        // Another network that has the lock is about to use the shared chains: then they stay, and the last to go takes them.
        let lock = host_lock::alone(cni.firewall());
        let chains = matches!(lock, Ok(Some(_)));
        let cleanup = Cleanup::Network { network: &cni.list.name, bridge: &cni.options.bridge, subnet, chains };
        let mut open = cni.open.lock().await;
        errors.extend(cni.iptables.remove(cleanup).await.err());
        *open = None;
        drop((open, lock));
        errors.extend(self.remove_bridge().err().map(|error| error.to_string()));
        // Last, so that nothing leaves by another way meanwhile.
        if cni.options.conflist.is_none() {
            errors.extend(refusal::remove(&cni.options).err().map(|error| error.to_string()));
        }
        // With something left, what is needed to try again is left, too.
        if errors.is_empty() {
            errors.extend(cni.forget_state().err().map(|error| format!("state: {error}")));
        }
        if !errors.is_empty() {
            return Err(HostError::Failed(format!("remove network {}: {}", cni.list.name, errors.join("; "))));
        }
        info!(network = %cni.list.name, bridge = %cni.options.bridge, "the functions' network is removed");
        Ok(())
    }

    /// Removes the bridge, if our network list is what makes it. Idempotent.
    ///
    /// # Errors
    /// [`HostError::Failed`] with the kernel's reason.
    pub fn remove_bridge(&self) -> Result<(), HostError> {
        let bridge = &self.0.options.bridge;
        if !self.0.list.makes_bridge(bridge) {
            return Ok(());
        }
        netlink::delete_link(bridge).map_err(|error| HostError::Failed(format!("remove bridge {bridge}: {error}")))
    }
}

impl Cni {
    pub(super) async fn detach(&self, id: &Holder) -> Result<(), HostError> {
        let _locked = self.changing.lock(id.clone()).await;
        self.clear(id, false).await.map_err(|left| HostError::Failed(format!("detach {id}: {left}")))
    }

    /// Removes all there is of a holder's network. `suspect`: what is there may be half-made, even if it looks complete.
    /// The caller holds the holder's lock.
    pub(super) async fn clear(&self, id: &Holder, suspect: bool) -> Result<(), String> {
        let entry = self.cache.read(id);
        if let (Holder::Warm(warm), None) = (id, &entry)
            && self.cache.claimed().map_err(|error| format!("cached results: {error}"))?.contains(warm)
        {
            // It is an instance's, and goes with that.
            return Ok(());
        }
        let path = entry.as_ref().map_or_else(|| self.options.netns(id), |entry| self.netns_of(entry));
        // As the plugins know it.
        let container = entry.as_ref().map_or(id.as_str(), Cached::container).to_owned();
        let live = netns::is_live(&path);
        let lease = if entry.is_some() { None } else { self.lease(id)? };
        let known = entry.is_some() || lease.is_some() || self.cache.holds(id) || path.exists();
        if !known && !suspect {
            return Ok(());
        }
        let result = entry.as_ref().map(|entry| &entry.result).filter(|result| !result.is_null());
        let list = entry.as_ref().and_then(Cached::list);
        let list: &Conflist = list.as_ref().unwrap_or(&self.list);
        let whole = live && entry.as_ref().is_some_and(|entry| entry.complete) && !suspect;
        let mut errors = Vec::new();

        // If we are killed on the way, the next detach must not take what is left for whole: plugins pass over what
        // they find no link for.
        if let Some(mut begun) = entry.clone().filter(|entry| entry.complete) {
            begun.complete = false;
            errors.extend(self.cache.write(id, &begun).err().map(|error| format!("cached result: {error}")));
        }
        // Before the lease is given back: afterwards the address, and rules for it, may be another instance's.
        let forgotten = self.forget_neighbour(entry.as_ref(), lease);
        errors.extend(forgotten.err().map(|error| format!("neighbour entry: {error}")));
        if let Some(address) = lease {
            errors.extend(self.iptables.remove(Cleanup::Address(address)).await.err());
        }
        let failed = self.chain(list, &container, live.then_some(path.as_path())).del(result).await;
        errors.extend(failed.iter().map(ToString::to_string));
        if !whole || !errors.is_empty() {
            errors.extend(self.iptables.remove(Cleanup::Instance { network: &list.name, id: &container }).await.err());
        }
        errors.extend(remove_netns(&path).await.err());
        let cached = if errors.is_empty() {
            self.cache.remove(id)
        } else if entry.is_none() {
            // So that `list` still shows it, and the next detach knows that something is left.
            self.cache.write(id, &Cached::begun(list, id, &path, &[]))
        } else {
            // The result is what a plugin needs when it is asked again.
            Ok(())
        };
        errors.extend(cached.err().map(|error| format!("cached result: {error}")));
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    fn lease(&self, id: &Holder) -> Result<Option<IpAddr>, String> {
        let Some(dir) = self.list.leases(&self.options.state_dir) else { return Ok(None) };
        let leases = leases::read(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(leases.into_iter().find(|(holder, _)| holder == id).map(|(_, address)| address))
    }

    /// Removes the directories of leases and results.
    fn forget_state(&self) -> std::io::Result<()> {
        let leases = self.list.leases(&self.options.state_dir);
        for dir in leases.into_iter().chain([self.options.leases(), self.options.state_dir.join("results")]) {
            match std::fs::remove_dir_all(dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

async fn remove_netns(path: &Path) -> Result<(), String> {
    let owned = path.to_owned();
    let done = tokio::task::spawn_blocking(move || netns::remove(&owned)).await.map_err(std::io::Error::other);
    done.flatten().map_err(|error| format!("network namespace {}: {error}", path.display()))
}
