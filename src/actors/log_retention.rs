//! Logs outlive instances, not functions: who is forgotten, and when.
//!
//! Both are done however often it takes, in tasks that no caller waits for to the end. They name a time, so that one that comes late
//! forgets nothing of a function that has been deployed again under the same name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::retry::ask;
use crate::actors::context::Context;
use crate::function::{Desired, FunctionId};

/// How long the answer to a deletion waits for its logs to be gone, where the host is slow.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// A function was deleted: what its instances wrote until now goes. Returns when no reader is told of it any more, so that
/// the next function of this name begins with its own; or after a while: then that comes late.
pub(super) async fn forget(context: &Arc<Context>, function: &FunctionId) {
    let (context, function, now) = (context.clone(), function.clone(), Timestamp::now());
    let gone = context.runtime.clone().spawn(async move {
        ask(&context, "remove the logs of a deleted function", || {
            let (logs, function) = (context.host.logs.clone(), function.clone());
            async move { logs.forget(&function, now).await }
        })
        .await;
    });
    let _ = timeout(GONE_WITHIN, gone).await;
}

/// actord starts: what was written by functions goes that were deleted since, or before they were deployed anew. Of a function
/// that was made in the future nothing goes: the clock was set back since, and what was written then would look old.
pub(super) fn sweep<'a>(context: &Arc<Context>, functions: impl Iterator<Item = (&'a FunctionId, &'a Desired)>) {
    let now = Timestamp::now();
    let created = |desired: &Desired| desired.created_at.parse().ok().filter(|created| *created <= now);
    let known = functions.map(|(id, desired)| (id.clone(), created(desired).unwrap_or(Timestamp::MIN)));
    let (context, known) = (context.clone(), known.collect::<BTreeMap<_, _>>());
    context.runtime.clone().spawn(async move {
        ask(&context, "remove the logs of functions that are gone", || {
            let (logs, known) = (context.host.logs.clone(), known.clone());
            async move { logs.sweep(&known, now).await }
        })
        .await;
    });
}
