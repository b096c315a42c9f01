//! Images that no function needs any more: noted when they are first found so, removed when they stayed so for long.
//!
//! ```text
//! pulled -> wanted by no function: noted with the time -> wanted again: the note goes
//!                                                      -> not wanted for the whole retention: the record goes, and with it
//!                                                         what no other image refers to
//! ```
//! When the disk fills up, what is noted goes before its time, the oldest first ([`ContainerdImages::reclaim`]).
//! Only what this installation pulled is ever touched: an imported image has no registry to come back from.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::ContainerdImages;
use super::record::{self, ImageRecord};
use super::reference;
use crate::host::HostError;

/// The most images that one pass removes: the rest can wait for the next.
const MOST: usize = 16;

/// What becomes of a pulled image.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// It is wanted again.
    Forget,
    /// It is not wanted, from now on.
    Note,
    Remove,
}

fn verdict(wanted: bool, unwanted_since: Option<Timestamp>, now: Timestamp, retention: Duration) -> Verdict {
    match (wanted, unwanted_since) {
        (true, None) => Verdict::Keep,
        (true, Some(_)) => Verdict::Forget,
        (false, None) => Verdict::Note,
        // A clock that was set back makes the wait longer, never shorter.
        (false, Some(since)) => match Duration::try_from(now.duration_since(since)) {
            Ok(age) if age >= retention => Verdict::Remove,
            _ => Verdict::Keep,
        },
    }
}

impl ContainerdImages {
    /// Removes images that were pulled and that no function wanted for `retention`, and returns their names. `wanted` are the
    /// references of all that runs or should.
    ///
    /// # Errors
    /// As containerd says; what was removed by then stays removed.
    pub async fn prune(&self, wanted: &BTreeSet<String>, retention: Duration) -> Result<Vec<String>, HostError> {
        let wanted = whole_names(wanted);
        let mut removed = Vec::new();
        for name in record::pulled(&self.containerd).await? {
            // It is not taken for one that is here while it is being removed.
            let _locked = self.lock_name(&name).await;
            let Some(ImageRecord { unwanted_since, .. }) = record::look_up(&self.containerd, &name).await? else {
                continue;
            };
            match verdict(wanted.contains(&name), unwanted_since, Timestamp::now(), retention) {
                Verdict::Keep => {}
                Verdict::Forget => record::note_unwanted(&self.containerd, &name, None).await?,
                Verdict::Note => record::note_unwanted(&self.containerd, &name, Some(Timestamp::now())).await?,
                Verdict::Remove => {
                    record::remove(&self.containerd, &name, false).await?;
                    tracing::info!(image = name, "removed: no function needed it for long");
                    removed.push(name);
                    if removed.len() >= MOST {
                        break;
                    }
                }
            }
        }
        Ok(removed)
    }

    /// Removes images that were pulled and that no function wants, until there is `enough` room; the one that was not wanted
    /// for longest goes first. One that is found unwanted for the first time is only noted: what is being deployed may want
    /// it. Returns their names.
    ///
    /// # Errors
    /// As containerd says; what was removed by then stays removed.
    pub async fn reclaim<E: Future<Output = bool>>(
        &self,
        wanted: &BTreeSet<String>,
        enough: impl Fn() -> E,
    ) -> Result<Vec<String>, HostError> {
        let wanted = whole_names(wanted);
        let mut unwanted = Vec::new();
        for name in record::pulled(&self.containerd).await? {
            let _locked = self.lock_name(&name).await;
            let Some(ImageRecord { unwanted_since, .. }) = record::look_up(&self.containerd, &name).await? else {
                continue;
            };
            match verdict(wanted.contains(&name), unwanted_since, Timestamp::now(), Duration::ZERO) {
                Verdict::Keep => {}
                Verdict::Forget => record::note_unwanted(&self.containerd, &name, None).await?,
                Verdict::Note => record::note_unwanted(&self.containerd, &name, Some(Timestamp::now())).await?,
                Verdict::Remove => unwanted.extend(unwanted_since.map(|since| (since, name))),
            }
        }
        unwanted.sort();
        let mut removed = Vec::new();
        for (since, name) in unwanted {
            if enough().await {
                break;
            }
            let _locked = self.lock_name(&name).await;
            let found = record::look_up(&self.containerd, &name).await?;
            // It may have been taken for one that is here meanwhile.
            if found.is_some_and(|found| found.unwanted_since == Some(since)) {
                record::remove(&self.containerd, &name, true).await?;
                tracing::info!(image = name, unwanted_since = %since, "removed: the disk is filling up, and no function needs it");
                removed.push(name);
            }
        }
        Ok(removed)
    }
}

fn whole_names(references: &BTreeSet<String>) -> BTreeSet<String> {
    let parsed = references.iter().filter_map(|text| reference::parse(text).ok());
    parsed.map(|reference| reference.whole()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_wanted_for_long_is_removed() {
        let now = Timestamp::now();
        let ago = |seconds: i64| Some(now - jiff::SignedDuration::from_secs(seconds));
        let week = Duration::from_secs(7 * 24 * 3600);
        for (wanted, since, expected) in [
            (true, None, Verdict::Keep),
            (true, ago(9_000_000), Verdict::Forget),
            (false, None, Verdict::Note),
            (false, ago(3600), Verdict::Keep),
            (false, ago(-3600), Verdict::Keep),
            (false, ago(9_000_000), Verdict::Remove),
        ] {
            assert_eq!(verdict(wanted, since, now, week), expected, "{wanted} {since:?}");
        }
    }
}
