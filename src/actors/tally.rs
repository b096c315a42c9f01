//! Keeps the functions' invocation counts every few seconds, so that a restart goes on counting where it left off.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::Surroundings;
use crate::endpoints::Endpoints;
use crate::function::FunctionId;
use crate::store::{Store, StoreError};

/// An end without warning loses the counts of this long, at most.
const PERIOD: Duration = Duration::from_secs(5);

/// Begins to keep them, for as long as the surroundings live.
pub(super) fn begin(around: &Arc<Surroundings>) {
    around.runtime.spawn(keep(Arc::downgrade(around)));
}

async fn keep(around: Weak<Surroundings>) {
    loop {
        sleep(PERIOD).await;
        let Some(around) = around.upgrade() else { return };
        if let Err(error) = keep_invocations(&around.store, &around.endpoints).await {
            tracing::warn!(%error, "could not keep how often functions were called: trying again");
        }
    }
}

/// Keeps every count that changed since it was last kept.
///
/// # Errors
/// [`StoreError`]; the same counts are kept next time.
pub async fn keep_invocations(store: &Store, endpoints: &Endpoints) -> Result<(), StoreError> {
    let changed = endpoints.calls_to_keep();
    if changed.is_empty() {
        return Ok(());
    }
    let counts = changed.iter().map(|(known, calls)| (known.function().clone(), *calls)).collect();
    store.keep_invocations(counts).await?;
    for (known, calls) in changed {
        // Whoever has the name now owns what was written, even if it came just in between.
        if let Some(now) = endpoints.find(known.function()) {
            now.note_kept(calls);
        }
    }
    Ok(())
}

/// Goes on counting where the last process left off. Not knowing the counts is no reason not to start.
pub(super) async fn recall(around: &Surroundings, exists: impl Fn(&FunctionId) -> bool) {
    match around.store.invocations().await {
        Ok(counts) => {
            for (id, calls) in counts.into_iter().filter(|(id, _)| exists(id)) {
                around.endpoints.recall(&id, calls);
            }
        }
        Err(error) => tracing::warn!(%error, "could not read how often functions were called: counting from zero"),
    }
}
