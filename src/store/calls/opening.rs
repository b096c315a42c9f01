//! Opening off the async workers, until that is not wanted any more.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Bounds, Calls, StoreError, open};

/// How soon an opening that is to end is told so again.
const RAISED_AGAIN: Duration = Duration::from_millis(20);

impl Calls {
    /// As [`Calls::open`], on a thread of its own, and ended soon when `end` is cancelled: then the file is as it was. This is to be
    /// waited for, or it goes on by itself.
    ///
    /// # Errors
    /// As for [`Calls::open`].
    pub async fn open_until(
        end: CancellationToken,
        path: PathBuf,
        bounds: Bounds,
        wall: i64,
    ) -> Result<Self, StoreError> {
        let how = open::How::default();
        let stop = how.stop.clone();
        let opened = super::super::blocking(move || open::open(&path, bounds, wall, &how));
        tokio::pin!(opened);
        if let Some(opened) = end.run_until_cancelled(&mut opened).await {
            return opened;
        }
        loop {
            stop.raise();
            if let Ok(opened) = timeout(RAISED_AGAIN, &mut opened).await {
                return opened;
            }
        }
    }
}
