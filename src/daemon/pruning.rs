//! Removes now and then the images that no function needs any more, so that years of deploys don't fill the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::function::Desired;
use crate::host::containerd::images::ContainerdImages;
use crate::store::Store;

/// Prunes once. Where it can't be known which images are wanted, all stay.
pub(super) async fn prune(images: Arc<ContainerdImages>, store: Store, retention: Duration) -> anyhow::Result<()> {
    let functions = store.all().await?;
    let wanted = functions.iter().flat_map(|(_, desired)| wanted(desired)).collect();
    images.prune(&wanted, retention).await?;
    Ok(())
}

/// The images of what a function runs, should run or ran well before, and of what a rollback without a number leads to: so
/// that can start while the registry is away. Those of older generations may go, and are pulled again.
fn wanted(desired: &Desired) -> BTreeSet<String> {
    let good = [desired.last_good().cloned(), desired.rollback_target(None)].into_iter().flatten();
    let specs = std::iter::once(desired.spec.clone()).chain(good.map(|good| good.spec));
    specs.map(|spec| spec.image.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{Event, Lifecycle, Spec, SpecDraft, Uptime};

    #[test]
    fn what_serves_and_what_a_rollback_leads_to_are_wanted_and_older_images_are_not() {
        let mut life = Lifecycle::new(&"f".parse().unwrap(), 1);
        for (image, serves, expected) in [
            ("a", true, ["a"].as_slice()),
            ("b", true, &["a", "b"]),
            ("c", true, &["b", "c"]),
            ("d", false, &["c", "d"]),
            ("c", true, &["b", "c"]),
            ("b", true, &["b", "c"]),
        ] {
            let draft = SpecDraft { image: image.to_owned(), ..SpecDraft::default() };
            let next = life.accept(Spec::try_from(draft).unwrap(), "then");
            life.on(Event::Apply(Desired { has_served: serves, ..next }), Uptime::default());
            let images: Vec<String> = wanted(life.desired().unwrap()).into_iter().collect();
            assert_eq!(images, expected, "after {image}");
        }
    }
}
