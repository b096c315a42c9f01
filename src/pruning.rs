//! Removes now and then the images that no function needs any more, so that years of deploys don't fill the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actord::host::containerd::images::ContainerdImages;
use actord::store::Store;

/// The time between two passes.
const EVERY: Duration = Duration::from_secs(3600);

/// Prunes for as long as it is polled. What a function runs, should run or ran well before stays; a pass that can't be
/// sure what that is, or that fails, is left to the next.
pub(crate) async fn keep_pruning(images: Arc<ContainerdImages>, store: Store, retention: Duration) {
    if retention.is_zero() {
        return;
    }
    loop {
        tokio::time::sleep(EVERY).await;
        let wanted: BTreeSet<String> = match store.all().await {
            Ok(functions) => functions
                .iter()
                .flat_map(|(_, desired)| [Some(&desired.spec), desired.last_good.as_ref().map(|(_, spec)| spec)])
                .flatten()
                .map(|spec| spec.image.clone())
                .collect(),
            Err(error) => {
                tracing::warn!(%error, "images that nobody needs stay for now");
                continue;
            }
        };
        if let Err(error) = images.prune(&wanted, retention).await {
            tracing::warn!(%error, "images that nobody needs stay for now");
        }
    }
}
