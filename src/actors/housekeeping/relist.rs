//! Counts now and then what runs, so that a wait for a process that hangs does not hide the process's end for ever.
//!
//! A wait has no deadline of its own: the only way to tell that it hangs is that its process does not run any more.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::actors::Context;
use crate::function::InstanceId;
use crate::host::HostError;

/// What ran at the last count.
#[derive(Debug, Default)]
pub(in crate::actors) struct Relist(watch::Sender<HashSet<InstanceId>>);

impl Relist {
    /// Returns when an instance did not run at a count that began after this call.
    pub(in crate::actors) async fn misses(&self, id: &InstanceId) {
        let mut counts = self.0.subscribe();
        // The sender lives as long as `self`: waiting can't fail. The first count may have begun before.
        let _ = counts.changed().await;
        let _ = counts.changed().await;
        let _ = counts.wait_for(|running| !running.contains(id)).await;
    }
}

/// Counts once, if an instance waits for it.
pub(super) async fn count(context: Arc<Context>) -> Result<(), HostError> {
    if context.relist.0.receiver_count() == 0 {
        return Ok(());
    }
    let runtime = context.host.runtime.clone();
    let list = async move { runtime.list().await };
    let found = context.call(|| "count the instances".into(), list).await?;
    let running = found.into_iter().filter(|found| found.running).map(|found| found.id);
    context.relist.0.send_replace(running.collect());
    Ok(())
}
