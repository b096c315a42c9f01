//! Logs outlive instances, not functions: who is forgotten, and when.
//!
//! Both are done however often it takes, in tasks that no caller waits for. They name a time, so that one that comes late
//! forgets nothing of a function that has been deployed again under the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::retry::ask;
use crate::actors::context::Context;
use crate::function::{Desired, FunctionId};

/// A function was deleted: what its instances wrote until now goes.
pub(super) fn forget(context: &Arc<Context>, function: &FunctionId) {
    let (context, function, now) = (context.clone(), function.clone(), Timestamp::now());
    context.runtime.clone().spawn(async move {
        ask(&context, "remove the logs of a deleted function", || {
            let (logs, function) = (context.host.logs.clone(), function.clone());
            async move { logs.forget(&function, now).await }
        })
        .await;
    });
}

/// actord starts: what was written by functions goes that were deleted since, or before they were deployed anew.
pub(super) fn sweep<'a>(context: &Arc<Context>, functions: impl Iterator<Item = (&'a FunctionId, &'a Desired)>) {
    let created = |desired: &Desired| desired.created_at.parse().unwrap_or(Timestamp::MIN);
    let known: BTreeMap<_, Timestamp> = functions.map(|(id, desired)| (id.clone(), created(desired))).collect();
    let (context, now) = (context.clone(), Timestamp::now());
    context.runtime.clone().spawn(async move {
        ask(&context, "remove the logs of functions that are gone", || {
            let (logs, known) = (context.host.logs.clone(), known.clone());
            async move { logs.sweep(&known, now).await }
        })
        .await;
    });
}
