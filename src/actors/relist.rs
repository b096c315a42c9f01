//! Counts now and then what runs, so that a wait for a process that hangs does not hide the process's end for ever.
//!
//! A wait has no deadline of its own: the only way to tell that it hangs is that its process does not run any more.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::Context;
use super::host_call::host_call;
use crate::function::InstanceId;

/// The time between two counts.
const PERIOD: Duration = Duration::from_secs(30);

/// What ran at the last count.
#[derive(Debug, Default)]
pub(super) struct Relist(watch::Sender<HashSet<InstanceId>>);

impl Relist {
    /// Returns when an instance did not run at a count that began after this call.
    pub(super) async fn misses(&self, id: &InstanceId) {
        let mut counts = self.0.subscribe();
        // The sender lives as long as `self`: waiting can't fail. The first count may have begun before.
        let _ = counts.changed().await;
        let _ = counts.changed().await;
        let _ = counts.wait_for(|running| !running.contains(id)).await;
    }

    /// Counts for as long as there is somebody whom it concerns. A count that fails is left out.
    pub(super) async fn keep(context: Weak<Context>) {
        loop {
            sleep(PERIOD).await;
            let Some(context) = context.upgrade() else { return };
            if context.relist.0.receiver_count() == 0 {
                continue;
            }
            let runtime = context.host.runtime.clone();
            let list = async move { runtime.list().await };
            match host_call(&context.runtime, || "count the instances".into(), context.settings.host_timeout, list)
                .await
            {
                Ok(found) => {
                    let running = found.into_iter().filter(|found| found.running).map(|found| found.id);
                    context.relist.0.send_replace(running.collect());
                }
                Err(error) => tracing::warn!(%error, "counting again later"),
            }
        }
    }

    /// Begins to count.
    pub(super) fn begin(context: &Arc<Context>) {
        context.runtime.spawn(Self::keep(Arc::downgrade(context)));
    }
}
