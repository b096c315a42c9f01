//! Images that no function needs: they go when they were not needed for long, or earlier when their disk fills up.
//!
//! ```text
//! pulled -> no function needs it: noted -> one needs it again: the note goes
//!                                       -> each round: so much longer -> not needed for the whole retention: it goes
//! fuller than the high watermark: what is noted goes before its time, the longest not needed first, until the low one
//! ```
//! The time is counted up, round by round, while actord runs. So a clock that is set forward by years makes no image old, and
//! a machine that was off finds its images as they were. What is found not needed for the first time is never removed in that
//! round: it may be about to be deployed. What was imported has no registry to come back from, and always stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::table::PRUNING;
use crate::actors::Context;
use crate::function::Desired;
use crate::host::{HostError, PulledImage};
use crate::store::StoreError;

/// The most images that one round removes for their age: the rest can wait for the next.
const MOST: usize = 16;

/// How full the disk of the images may be, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// From above here on, images that no function needs go before their time.
    pub high: u8,
    /// Until no more than this is used.
    pub low: u8,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImagesError {
    /// It is not known which images are needed: all stay.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine did not do it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// It removed what it may.
    #[error("{0} % of the disk of the images are used, and none is left to remove that no function needs")]
    StillFull(u8),
}

/// How much time went by between rounds, by a clock that nobody can set.
#[derive(Debug)]
pub(super) struct Rounds(Instant);

impl Rounds {
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    /// Since the last round. One that comes late counts for two at most.
    pub(super) fn passed(&mut self) -> Duration {
        let now = Instant::now();
        let passed = now.duration_since(self.0).min(2 * PRUNING.period);
        self.0 = now;
        passed
    }
}

/// What becomes of a pulled image.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Note(Option<Duration>),
    Remove,
}

/// `passed` since the last time that this was asked.
fn verdict(image: &PulledImage, passed: Duration, retention: Duration) -> Verdict {
    match (image.needed, image.unneeded) {
        (true, None) => Verdict::Keep,
        (true, Some(_)) => Verdict::Note(None),
        (false, None) => Verdict::Note(Some(Duration::ZERO)),
        (false, Some(before)) => match before.saturating_add(passed) {
            age if age >= retention => Verdict::Remove,
            age if age == before => Verdict::Keep,
            age => Verdict::Note(Some(age)),
        },
    }
}

/// Removes what was not needed for the whole retention.
pub(super) async fn prune(context: Arc<Context>, passed: Duration) -> Result<(), ImagesError> {
    let mut removed = 0;
    for image in context.pulled_images().await? {
        match verdict(&image, passed, context.settings.image_retention) {
            Verdict::Keep => {}
            Verdict::Note(unneeded) => drop(context.note_unneeded(&image, unneeded).await?),
            Verdict::Remove if removed == MOST => {}
            Verdict::Remove => {
                if context.remove_image(&image, false).await? {
                    tracing::info!(image = image.name, "removed: no function needed it for long");
                    removed += 1;
                }
            }
        }
    }
    Ok(())
}

/// Makes room, if the disk is too full, by the images that no function needs.
pub(super) async fn reclaim(context: Arc<Context>, marks: Watermarks) -> Result<(), ImagesError> {
    if context.used_percent().await? <= marks.high {
        return Ok(());
    }
    let mut unneeded = Vec::new();
    for image in context.pulled_images().await? {
        match verdict(&image, Duration::ZERO, Duration::ZERO) {
            Verdict::Keep => {}
            Verdict::Note(note) => drop(context.note_unneeded(&image, note).await?),
            Verdict::Remove => unneeded.push(image),
        }
    }
    unneeded.sort_by_key(|image| std::cmp::Reverse(image.unneeded));
    for image in unneeded {
        // Where it can't be told any more, no more goes.
        if context.used_percent().await? <= marks.low {
            break;
        }
        if context.remove_image(&image, true).await? {
            let hours = image.unneeded.unwrap_or_default().as_secs() / 3600;
            tracing::info!(
                image = image.name,
                hours,
                "removed: the disk fills up, and no function needed it for so long"
            );
        }
    }
    match context.used_percent().await? {
        used if used <= marks.high => Ok(()),
        used => Err(ImagesError::StillFull(used)),
    }
}

/// The images of what a function runs, should run or ran well before, and of what a rollback without a number leads to: so
/// that can start while the registry is away. Those of older generations may go, and are pulled again.
fn needed(desired: &Desired) -> BTreeSet<String> {
    let good = [desired.last_good().cloned(), desired.rollback_target(None)].into_iter().flatten();
    let specs = std::iter::once(desired.spec.clone()).chain(good.map(|good| good.spec));
    specs.map(|spec| spec.image.clone()).collect()
}

impl Context {
    async fn pulled_images(&self) -> Result<Vec<PulledImage>, ImagesError> {
        let functions = self.store.all().await?;
        let needed: BTreeSet<String> = functions.iter().flat_map(|(_, desired)| needed(desired)).collect();
        let images = self.host.images.clone();
        Ok(self.call(|| "list images".into(), async move { images.pulled(&needed).await }).await?)
    }

    async fn note_unneeded(&self, image: &PulledImage, unneeded: Option<Duration>) -> Result<bool, HostError> {
        let (images, image) = (self.host.images.clone(), image.clone());
        self.call(|| "note an image".into(), async move { images.note_unneeded(&image, unneeded).await }).await
    }

    async fn remove_image(&self, image: &PulledImage, wait: bool) -> Result<bool, HostError> {
        let (images, image) = (self.host.images.clone(), image.clone());
        self.call(|| "remove an image".into(), async move { images.remove(&image, wait).await }).await
    }

    async fn used_percent(&self) -> Result<u8, HostError> {
        let disks = self.host.disks.clone();
        self.call(|| "look how full the disk is".into(), async move { disks.used_percent().await }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{Event, Lifecycle, Spec, SpecDraft, Uptime};

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn only_what_no_function_needed_for_long_is_removed() {
        let week = 168 * HOUR;
        for (needed, unneeded, expected) in [
            (true, None, Verdict::Keep),
            (true, Some(9 * week), Verdict::Note(None)),
            (false, None, Verdict::Note(Some(Duration::ZERO))),
            (false, Some(HOUR), Verdict::Note(Some(2 * HOUR))),
            (false, Some(week - 2 * HOUR), Verdict::Note(Some(week - HOUR))),
            (false, Some(week - HOUR), Verdict::Remove),
            (false, Some(Duration::MAX), Verdict::Remove),
        ] {
            let image = PulledImage { name: "i".to_owned(), needed, unneeded };
            assert_eq!(verdict(&image, HOUR, week), expected, "{image:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_comes_late_counts_for_two_at_most() {
        let mut rounds = Rounds::begin();
        for (pause, expected) in [(HOUR, HOUR), (HOUR / 2, HOUR / 2), (9 * HOUR, 2 * HOUR)] {
            tokio::time::advance(pause).await;
            assert_eq!(rounds.passed(), expected);
        }
    }

    #[test]
    fn what_serves_and_what_a_rollback_leads_to_are_needed_and_older_images_are_not() {
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
            let images: Vec<String> = needed(life.desired().unwrap()).into_iter().collect();
            assert_eq!(images, expected, "after {image}");
        }
    }
}
