//! Keeps the functions' invocation counts every few seconds, so that a restart goes on counting where it left off.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::Context;
use crate::function::FunctionId;
use crate::routes::Routes;
use crate::store::{Store, StoreError};

/// An end without warning loses the counts of this long, at most.
const PERIOD: Duration = Duration::from_secs(5);

/// Begins to keep them, for as long as the context lives.
pub(super) fn begin(context: &Arc<Context>) {
    context.runtime.spawn(keep(Arc::downgrade(context)));
}

async fn keep(context: Weak<Context>) {
    loop {
        sleep(PERIOD).await;
        let Some(context) = context.upgrade() else { return };
        if let Err(error) = keep_invocations(&context.store, &context.routes).await {
            tracing::warn!(%error, "could not keep how often functions were called: trying again");
        }
    }
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
        // Whoever has the name now owns what was written, even if it came just in between.
        if let Some(now) = routes.find(known.function()) {
            now.note_kept(calls);
        }
    }
    Ok(())
}

/// Goes on counting where the last process left off. Not knowing the counts is no reason not to start.
pub(super) async fn restore(context: &Context, exists: impl Fn(&FunctionId) -> bool) {
    match context.store.invocations().await {
        Ok(counts) => {
            for (id, calls) in counts.into_iter().filter(|(id, _)| exists(id)) {
                context.routes.restore_count(&id, calls);
            }
        }
        Err(error) => tracing::warn!(%error, "could not read how often functions were called: counting from zero"),
    }
}
