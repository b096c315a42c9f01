//! Images that no function needs any more: noted when they are first found so, removed when they stayed so for long.
//!
//! ```text
//! pulled -> wanted by no function: noted with the time -> wanted again: the note goes
//!                                                      -> not wanted for the whole retention: the record goes, and with it
//!                                                         what no other image refers to
//! ```
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
        let wanted: BTreeSet<String> =
            wanted.iter().filter_map(|text| reference::parse(text).ok()).map(|reference| reference.whole()).collect();
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
                    record::remove(&self.containerd, &name).await?;
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
