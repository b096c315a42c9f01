//! Logs outlive instances, not functions: who is forgotten, and when.
//!
//! Both are done however often it takes, in tasks that nobody waits for. They name a time, so that one that comes late
//! forgets nothing of a function that has been deployed again under the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::recovery::ask;
use super::surroundings::Surroundings;
use crate::function::{Desired, FunctionId};

/// A function was deleted: what its instances wrote until now goes.
pub(super) fn forget(around: &Arc<Surroundings>, function: &FunctionId) {
    let (around, function, now) = (around.clone(), function.clone(), Timestamp::now());
    around.runtime.clone().spawn(async move {
        ask(&around, "remove the logs of a deleted function", || {
            let (logs, function) = (around.host.logs.clone(), function.clone());
            async move { logs.forget(&function, now).await }
        })
        .await;
    });
}

/// actord starts: what was written by functions goes that were deleted since, or before they were deployed anew.
pub(super) fn sweep<'a>(around: &Arc<Surroundings>, functions: impl Iterator<Item = (&'a FunctionId, &'a Desired)>) {
    let created = |desired: &Desired| desired.created_at.parse().unwrap_or(Timestamp::MIN);
    let known: BTreeMap<_, Timestamp> = functions.map(|(id, desired)| (id.clone(), created(desired))).collect();
    let (around, now) = (around.clone(), Timestamp::now());
    around.runtime.clone().spawn(async move {
        ask(&around, "remove the logs of functions that are gone", || {
            let (logs, known) = (around.host.logs.clone(), known.clone());
            async move { logs.sweep(&known, now).await }
        })
        .await;
    });
}
