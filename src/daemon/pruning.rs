//! Removes now and then the images that no function needs any more, so that years of deploys don't fill the disk.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;

use crate::config::Config;
use crate::function::Desired;
use crate::host::containerd::images::ContainerdImages;
use crate::host::used_percent;
use crate::store::Store;

/// Prunes once. Where it can't be known which images are wanted, all stay.
pub(super) async fn prune(images: Arc<ContainerdImages>, store: Store, retention: Duration) -> anyhow::Result<()> {
    let functions = store.all().await?;
    let wanted = functions.iter().flat_map(|(_, desired)| wanted(desired)).collect();
    images.prune(&wanted, retention).await?;
    Ok(())
}

/// How full the disk of the images may be, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watermarks {
    /// From above here on, images that no function needs go.
    pub(super) high: u8,
    /// Until no more than this is used.
    pub(super) low: u8,
}

impl Watermarks {
    /// None where nothing is to be removed early, or it is not known where images are.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let Config { image_high_watermark: high, image_low_watermark: low, .. } = *config;
        let on = high > 0 && !config.image_retention.is_zero() && config.containerd.is_none();
        on.then_some(Self { high, low: low.min(high) })
    }
}

/// Makes room, if the disk of `root` is too full, by the images that no function needs.
pub(super) async fn reclaim(
    images: Arc<ContainerdImages>,
    store: Store,
    root: PathBuf,
    marks: Watermarks,
) -> anyhow::Result<()> {
    if used_percent(&root).await? <= marks.high {
        return Ok(());
    }
    let functions = store.all().await?;
    let wanted = functions.iter().flat_map(|(_, desired)| wanted(desired)).collect();
    // Where it can't be told, no more goes.
    let enough = || async { used_percent(&root).await.map_or(true, |used| used <= marks.low) };
    images.reclaim(&wanted, enough).await?;
    let used = used_percent(&root).await?;
    ensure!(
        used <= marks.high,
        "{used} % of the disk of {} are used, and no image is left to remove that no function needs",
        root.display()
    );
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
    use crate::daemon::given::config;
    use crate::function::{Event, Lifecycle, Spec, SpecDraft, Uptime};

    #[test]
    fn images_go_early_only_where_they_may_go_at_all_and_it_is_known_where_they_are() {
        for (arguments, expected) in [
            ("", Some((85, 80))),
            ("--image-high-watermark 60", Some((60, 60))),
            ("--image-high-watermark 90 --image-low-watermark 50", Some((90, 50))),
            ("--image-high-watermark 0", None),
            ("--image-retention 0", None),
            ("--containerd /run/containerd/containerd.sock", None),
        ] {
            let marks = Watermarks::of(&config(arguments)).map(|marks| (marks.high, marks.low));
            assert_eq!(marks, expected, "{arguments}");
        }
    }

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
