//! Notes now and then which functions were called, so that a reboot brings back first what is missed first.

use std::sync::Arc;

use crate::actors::Context;
use crate::store::StoreError;

/// Notes what was called since the round before.
pub(super) async fn note(context: Arc<Context>) -> Result<(), StoreError> {
    let used = context.routes.take_used();
    if used.is_empty() {
        return Ok(());
    }
    context.store.note_uses(used, jiff::Timestamp::now().as_second()).await
}
