//! What an earlier version attached is made as quiet as what is attached now, while its instances run: what they do over
//! IPv4, or over `::1`, goes on.

use std::sync::atomic::Ordering;

use tracing::{info, warn};

use super::holder::Holder;
use super::quiet::{Families, quieten};
use super::{Cni, netns};

impl Cni {
    pub(super) fn quiet_families(&self) -> Families {
        if self.options.conflist.is_some() { Families::Ipv4 } else { Families::Both }
    }

    /// Makes the network namespaces quiet that an earlier version made. Once: those to come are made so.
    pub(super) async fn keep_quiet(&self) {
        if self.quiet.load(Ordering::Relaxed) {
            return;
        }
        let (mut count, mut failed) = (0, false);
        let read = |holder: &Holder| self.cache.read(holder).filter(|entry| entry.complete && !entry.quiet);
        for holder in self.cache.holders().unwrap_or_default().into_iter().filter(|holder| read(holder).is_some()) {
            // It is not taken away meanwhile.
            let _locked = self.changing.lock(holder.clone()).await;
            let Some(mut entry) = read(&holder) else { continue };
            let families = self.quiet_families();
            let mut done = netns::inside(&self.netns_of(&entry), move || quieten(families)).await;
            if done.is_ok() {
                entry.quiet = true;
                done = self.cache.write(&holder, &entry);
            }
            match done {
                Ok(()) => count += 1,
                Err(error) => {
                    failed = true;
                    warn!(instance = %holder, %error, "its network namespace can't be made quiet: it is tried again");
                }
            }
        }
        if count > 0 {
            info!(instances = count, "IPv6, redirects and forwarding are off now in what an earlier version attached");
        }
        self.quiet.store(!failed, Ordering::Relaxed);
    }
}
