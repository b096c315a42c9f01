//! Notes now and then which functions were called, so that a reboot brings back first what is missed first.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::Context;

/// Rare enough for a disk that wears out by being written to.
const PERIOD: Duration = Duration::from_secs(600);

/// Begins to note, for as long as the context lives.
pub(super) fn begin(context: &Arc<Context>) {
    context.runtime.spawn(keep(Arc::downgrade(context)));
}

async fn keep(context: Weak<Context>) {
    loop {
        sleep(PERIOD).await;
        let Some(context) = context.upgrade() else { return };
        let used = context.routes.take_used();
        if used.is_empty() {
            continue;
        }
        if let Err(error) = context.store.note_uses(used, jiff::Timestamp::now().as_second()).await {
            tracing::warn!(%error, "could not note which functions were called");
        }
    }
}
