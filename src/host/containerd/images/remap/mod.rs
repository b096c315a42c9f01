//! Images for user namespaces: a copy of an image's file tree in one snapshot, in which each file belongs to the user and group
//! that its own stand for on this machine. It is made once for an image and a mapping, and goes with the image.
//!
//! ```text
//! the image's snapshots --view--> a namespace of mounts that ends with its thread --tree: copy--> a snapshot --commit--> NAME
//! ```
//! All is made under the lease of the image that is completed: what a killed run left goes as other remains of pulls do. There
//! is never a mount that any other process sees.

mod owners;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use containerd_client::types::Mount;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::tree::Uncopied;
use super::snapshots::Snapshots;
use super::unpack::has_snapshot;
use crate::host::containerd::connection::Lease;
use crate::host::keyed_lock::KeyedLock;
use crate::host::{HostError, IdMapping, MappedCopy};

/// The copy of an image whose topmost layer's snapshot is `chain_id`, be it there or not.
pub(super) fn of(chain_id: &str, ids: IdMapping) -> MappedCopy {
    MappedCopy { snapshot: format!("{chain_id}@{ids}"), ids }
}

/// Of the thread that copies, in bytes: some 4 KiB for each level of directories.
const STACK: usize = 4 << 20;

/// Makes the copy of an image for a mapping, if it is not there yet. `what` is the image's digest.
///
/// # Errors
/// [`HostError::Spec`] when a file belongs to a user or group that is not mapped, or lies too deep: no other copy of the image
/// from elsewhere would do.
pub(super) async fn make(
    lease: &Lease,
    snapshotter: &str,
    locks: &KeyedLock<String>,
    what: &str,
    chain_id: &str,
    ids: IdMapping,
) -> Result<(), HostError> {
    let name = of(chain_id, ids).snapshot;
    // Two images of the same layers have it made once.
    let _locked = locks.lock(format!("{snapshotter}/{name}")).await;
    lease.keep_snapshot(snapshotter, &name).await?;
    if has_snapshot(lease.containerd(), snapshotter, &name).await? {
        return Ok(());
    }
    let begun = Instant::now();
    Copy { snapshots: Snapshots { lease, snapshotter }, what, chain_id, name: &name, ids }.make().await?;
    tracing::info!(image = what, mapping = %ids, took = ?begun.elapsed(), "copied for user namespaces");
    Ok(())
}

/// A copy on its way.
struct Copy<'a> {
    snapshots: Snapshots<'a>,
    what: &'a str,
    chain_id: &'a str,
    name: &'a str,
    ids: IdMapping,
}

impl Copy<'_> {
    async fn make(&self) -> Result<(), HostError> {
        // Never the same twice, so that what an interrupted attempt left can't be in the way.
        let number = rand::random::<u64>();
        let [view, copy] = ["view", "copy"].map(|kind| format!("{kind}-{number:016x} {}", self.name));
        let done = async {
            let image = self.snapshots.view(&view, self.chain_id).await?;
            let place = self.snapshots.prepare(format!("prepare snapshot {}", self.name), &copy, "").await?;
            self.copy(image, place).await?;
            self.snapshots.commit(&copy, self.name).await
        }
        .await;
        self.snapshots.remove(&view).await;
        if done.is_err() {
            self.snapshots.remove(&copy).await;
        }
        done
    }

    /// Copies on a thread of its own, which ends soon after this was dropped.
    async fn copy(&self, image: Vec<Mount>, place: Vec<Mount>) -> Result<(), HostError> {
        let [Mount { r#type: kind, source, .. }] = place.as_slice() else { return Err(self.unsuitable()) };
        if kind != "bind" {
            return Err(self.unsuitable());
        }
        let (place, ids, stop) = (PathBuf::from(source), self.ids, Stop::default());
        let stopped = Arc::clone(&stop.0);
        let (send, done) = oneshot::channel();
        let spawned = std::thread::Builder::new().name("copy-image".to_owned()).stack_size(STACK).spawn(move || {
            let _ = send.send(tree::copy(&image, &place, ids, &stopped));
        });
        let failed = |why: String| HostError::Failed(format!("copy image {} for user namespaces: {why}", self.what));
        spawned.map_err(|error| failed(error.to_string()))?;
        match done.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Uncopied::Machine(error))) => Err(failed(error.to_string())),
            Ok(Err(Uncopied::Image(why))) => Err(HostError::Spec(format!("image {}: {why}", self.what))),
            Err(_) => Err(failed("its thread died".to_owned())),
        }
    }

    fn unsuitable(&self) -> HostError {
        HostError::Failed(format!(
            "user-namespaces: the snapshotter {} keeps no plain directories: use overlayfs, or switch user-namespaces off",
            self.snapshots.snapshotter
        ))
    }
}

/// Stops the thread that copies when its caller goes.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
