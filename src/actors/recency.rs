//! Notes now and then which functions were called, so that a reboot brings back first what is missed first.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::Surroundings;

/// Rare enough for a disk that wears out by being written to.
const PERIOD: Duration = Duration::from_secs(600);

/// Begins to note, for as long as the surroundings live.
pub(super) fn begin(around: &Arc<Surroundings>) {
    around.runtime.spawn(keep(Arc::downgrade(around)));
}

async fn keep(around: Weak<Surroundings>) {
    loop {
        sleep(PERIOD).await;
        let Some(around) = around.upgrade() else { return };
        let used = around.endpoints.take_used();
        if used.is_empty() {
            continue;
        }
        if let Err(error) = around.store.note_uses(used, jiff::Timestamp::now().as_second()).await {
            tracing::warn!(%error, "could not note which functions were called");
        }
    }
}
