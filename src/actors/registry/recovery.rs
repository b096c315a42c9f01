//! What the store and the host say, put together for those who take over: at start, and after an actor's panic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::actors::context::Context;
use crate::actors::retry::{ask, until_it_works};
use crate::function::{Desired, FunctionId, Generation, InstanceId, Observed, ObservedState};
use crate::host::InstanceRecord;
use crate::store::StoreError;

/// What one function is found to be.
#[derive(Debug, Default)]
pub(in crate::actors) struct Remembered {
    pub(in crate::actors) desired: Option<Desired>,
    pub(in crate::actors) observed: Vec<Observed>,
}

/// Everything that is found.
#[derive(Debug, Default)]
pub(in crate::actors) struct Recovered {
    pub(in crate::actors) functions: BTreeMap<FunctionId, Remembered>,
    /// Functions that were called, the most recent first: they are started first.
    pub(in crate::actors) recent: Vec<FunctionId>,
    /// Remains that can't be told to be of a function.
    pub(in crate::actors) orphans: BTreeSet<InstanceId>,
}

/// Reads the store and the host. Waits for a host that is not there yet, and says so in the log.
///
/// # Errors
/// [`StoreError`] when the store can't be read: nothing should be touched then.
pub(in crate::actors) async fn everything(context: &Arc<Context>) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    for (id, desired) in context.store.all().await? {
        recovered.functions.entry(id).or_default().desired = Some(desired);
    }
    // Not knowing the order is no reason not to start.
    recovered.recent = context.store.by_recency().await.unwrap_or_default();
    let found = found(context).await;
    let attached = attached(context).await;
    let mut known = BTreeSet::new();
    for instance in found {
        match observe(&instance) {
            Some((function, observed)) => {
                known.insert(instance.id);
                recovered.functions.entry(function).or_default().observed.push(observed);
            }
            None => drop(recovered.orphans.insert(instance.id)),
        }
    }
    recovered.orphans.extend(attached.into_iter().filter(|id| !known.contains(id)));
    Ok(recovered)
}

/// Reads what there is of one function. `begun` are instances that may have left traces only on the network.
pub(in crate::actors) async fn one(context: &Arc<Context>, id: &FunctionId, begun: BTreeSet<InstanceId>) -> Remembered {
    let desired = until_it_works("read the store", || async { context.store.get(id).await }).await;
    let mut observed: Vec<Observed> = found(context)
        .await
        .iter()
        .filter_map(observe)
        .filter_map(|(function, observed)| (function == *id).then_some(observed))
        .collect();
    let seen: BTreeSet<InstanceId> = observed.iter().map(|observed| observed.id.clone()).collect();
    let remains = begun.into_iter().filter(|id| !seen.contains(id));
    observed.extend(remains.map(|id| Observed { id, generation: Generation(0), state: ObservedState::Remains }));
    Remembered { desired, observed }
}

fn observe(found: &InstanceRecord) -> Option<(FunctionId, Observed)> {
    let (function, generation) = found.of.clone()?;
    let state = if found.running { ObservedState::Running } else { ObservedState::Remains };
    Some((function, Observed { id: found.id.clone(), generation, state }))
}

async fn found(context: &Arc<Context>) -> Vec<InstanceRecord> {
    ask(context, "list the instances", || {
        let runtime = context.host.runtime.clone();
        async move { runtime.list().await }
    })
    .await
}

async fn attached(context: &Arc<Context>) -> Vec<InstanceId> {
    ask(context, "list the attachments", || {
        let network = context.host.network.clone();
        async move { network.list().await }
    })
    .await
}
