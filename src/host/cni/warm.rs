//! Attachments that are made before an instance asks for one.
//!
//! ```text
//! warm:   as attach, by a name of its own                      namespace, lease and plugins know it by that name for good
//! claim:  whole? made as it would be made now? -> its cached result is renamed to the instance's     one step, no plugin
//! ```
//! Whose one is, is only in the name of its cached result: what no result of an instance refers to is nobody's.

use std::collections::BTreeSet;

use super::cache::{Cached, names};
use super::holder::Holder;
use super::{Cni, leases};
use crate::function::InstanceId;
use crate::host::{Attachment, HostError, WarmId};

impl Cni {
    pub(super) async fn claim(&self, warm: &WarmId, id: &InstanceId) -> Result<Attachment, HostError> {
        let (from, to) = (Holder::from(warm), Holder::from(id));
        let _warm_locked = self.changing.lock(from.clone()).await;
        let _locked = self.changing.lock(to.clone()).await;
        if self.cache.holds(&to) || self.options.netns(&to).exists() {
            return Err(HostError::Failed(format!("attach {id}: it has an attachment already: detach it first")));
        }
        let unusable = |why: &str| HostError::NotFound(format!("attachment {warm} that can be used ({why})"));
        let entry = self.cache.read(&from).ok_or_else(|| unusable("there is none of that name"))?;
        let attachment = self.usable(&entry).map_err(|why| unusable(&why))?;
        // Other software may have undone it since.
        self.set_apart(&entry).map_err(|error| unusable(&error.to_string()))?;
        self.see_to_the_way_out().await?;
        let claimed = self.cache.claim(warm, id);
        claimed.map_err(|error| HostError::Failed(format!("attach {id}: cached result of {warm}: {error}")))?;
        Ok(attachment)
    }

    /// Whether an attachment is as it would be made now.
    fn usable(&self, entry: &Cached) -> Result<Attachment, String> {
        if !entry.is_of(&self.list) || entry.binaries() != self.binaries {
            return Err("it was made with other settings".to_owned());
        }
        if !entry.quiet {
            return Err("an earlier version made it, and its namespace is not quiet".to_owned());
        }
        let attachment = self.look(entry)?;
        if attachment.netns.parent() != Some(&self.options.netns_dir) {
            return Err("its network namespace is in another directory".to_owned());
        }
        Ok(attachment)
    }

    /// All that were not claimed, and whether they can be.
    pub(super) async fn list_warm(&self) -> Result<Vec<(WarmId, bool)>, HostError> {
        let failed = |error| HostError::Failed(format!("list attachments that are ready to be claimed: {error}"));
        let mut found: BTreeSet<WarmId> =
            self.holders().map_err(failed)?.into_iter().filter_map(Holder::warm).collect();
        // Afterwards: one that is claimed meanwhile is among these.
        let claimed = self.cache.claimed().map_err(failed)?;
        found.retain(|warm| !claimed.contains(warm));
        let usable = |warm: &WarmId| self.cache.read(&warm.into()).is_some_and(|entry| self.usable(&entry).is_ok());
        let found: Vec<_> =
            found.into_iter().map(|warm| (usable(&warm), warm)).map(|(fit, warm)| (warm, fit)).collect();
        if found.iter().any(|(_, fit)| *fit) {
            // So that the first claim need not.
            self.see_to_the_way_out().await?;
        }
        Ok(found)
    }

    /// Everyone of whom this network holds anything, complete or half-made.
    pub(super) fn holders(&self) -> std::io::Result<BTreeSet<Holder>> {
        let netns = names(&self.options.netns_dir)?;
        let mut found: BTreeSet<Holder> =
            netns.iter().filter_map(|name| self.options.holder_of(name.as_ref())).collect();
        found.extend(self.cache.holders()?);
        if let Some(dir) = self.list.leases(&self.options.state_dir) {
            found.extend(leases::read(&dir)?.into_iter().map(|(holder, _)| holder));
        }
        Ok(found)
    }
}
