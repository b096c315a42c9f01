//! Keeps the functions' invocation counts every few seconds, so that a restart goes on counting where it left off.

use std::sync::Arc;

use crate::actors::Context;
use crate::function::FunctionId;
use crate::routes::Routes;
use crate::store::{Store, StoreError};

/// Keeps them once.
pub(super) async fn keep(context: Arc<Context>) -> Result<(), StoreError> {
    keep_invocations(&context.store, &context.routes).await
}

/// Keeps every count that changed since it was last kept.
///
/// # Errors
/// [`StoreError`]; the same counts are kept next time.
pub async fn keep_invocations(store: &Store, routes: &Routes) -> Result<(), StoreError> {
    let changed = routes.calls_to_keep();
    if changed.is_empty() {
        return Ok(());
    }
    let counts = changed.iter().map(|(known, calls)| (known.function().clone(), *calls)).collect();
    store.keep_invocations(counts).await?;
    for (known, calls) in changed {
        // The function that has the name now owns what was written, even if it came just in between.
        if let Some(now) = routes.find(known.function()) {
            now.note_kept(calls);
        }
    }
    Ok(())
}

/// Goes on counting where the last process left off. Not knowing the counts is no reason not to start.
pub(in crate::actors) async fn restore(context: &Context, exists: impl Fn(&FunctionId) -> bool) {
    match context.store.invocations().await {
        Ok(counts) => {
            for (id, calls) in counts.into_iter().filter(|(id, _)| exists(id)) {
                context.routes.restore_count(&id, calls);
            }
        }
        Err(error) => tracing::warn!(%error, "could not read how often functions were called: counting from zero"),
    }
}
