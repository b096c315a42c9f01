//! An instance that stands by, in the place of one that may die: its task freezes it, and thaws it once it takes over.
//!
//! ```text
//! StandBy -> its last request is answered, it is ready, no check in flight -> the host freezes it
//!     ... Promote -> published with the mark of a frozen one: requests get leases and wait -> the host thaws it: they go on
//! ```
//! Published before it is thawed: what is retracted meanwhile is not published late by a task that does not know of that. The
//! heart is told nothing: to it a spare is one that is ready.

use std::future::pending;

use tokio::sync::watch;

use super::super::host_call::host_call;
use super::freezing::{Attempt, FREEZE_LIMIT};
use super::instance_task::{InstanceTask, Standby};
use crate::host::HostError;

impl InstanceTask {
    /// Does what follows from a change of `standby`, until the next.
    pub(super) async fn stand_by(&self, standby: &mut watch::Receiver<Standby>) -> Attempt {
        let now = *standby.borrow_and_update();
        let refused = match now {
            Standby::No => return Attempt::Over,
            Standby::Over => None,
            Standby::Yes => tokio::select! {
                biased;
                _ = standby.wait_for(|now| *now != Standby::Yes) => None,
                error = self.sleep_as_spare() => Some(error),
            },
        };
        match (self.thaw().await, refused) {
            (Err(error), _) => Attempt::Stuck(error),
            (Ok(()), Some(error)) => Attempt::Refused(error),
            (Ok(()), None) => Attempt::Over,
        }
    }

    /// Freezes it once it has nothing left to do. Returns only if the host does not do that. One that is not ready is not
    /// frozen: it has to be asked until it is.
    async fn sleep_as_spare(&self) -> HostError {
        self.context.routes.drained(&self.function, &self.id).wait().await;
        let mut ready = self.ready.subscribe();
        let _no_check = loop {
            // (It fails only without a sender, which this task is.)
            let _ = ready.wait_for(|ready| *ready).await;
            let no_check = self.awake.write().await;
            if *ready.borrow() {
                break no_check;
            }
        };
        let (runtime, id) = (self.context.host.runtime.clone(), self.id.clone());
        let freeze = async move { runtime.freeze(&id).await };
        let freeze = host_call(&self.context.runtime, || format!("freeze {}", self.id), FREEZE_LIMIT, freeze);
        match freeze.await {
            Err(error) => error,
            Ok(()) => {
                tracing::debug!(function = %self.function, instance = %self.id, "stands by, frozen");
                pending().await
            }
        }
    }
}
