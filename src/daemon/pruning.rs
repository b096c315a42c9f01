//! Removes now and then the images that no function needs any more, so that years of deploys don't fill the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::host::containerd::images::ContainerdImages;
use crate::store::Store;

/// Prunes once. What a function runs, should run or ran well before stays, and what a rollback would bring back: the one
/// before the one that serves. Of older generations that are kept the image may go, and is pulled again. Where it can't be known what that is, all stays.
pub(super) async fn prune(images: Arc<ContainerdImages>, store: Store, retention: Duration) -> anyhow::Result<()> {
    let functions = store.all().await?;
    let wanted: BTreeSet<String> = functions
        .iter()
        .flat_map(|(_, desired)| {
            let good = [desired.last_good().cloned(), desired.rollback_target(None)].into_iter().flatten();
            std::iter::once(desired.spec.clone()).chain(good.map(|good| good.spec))
        })
        .map(|spec| spec.image.clone())
        .collect();
    images.prune(&wanted, retention).await?;
    Ok(())
}
