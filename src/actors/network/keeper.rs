//! Keeps the pool as large as is wanted, one chore after the other, when nothing else is going on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

use super::pool::Chore;
use super::{PATIENCE, Shared, release_after};
use crate::host::HostError;

/// Before each chore: so that the first comes a while after the last demand, and many do not come in one go.
const PACE: Duration = Duration::from_millis(50);
/// After a chore that failed, and the longest that this grows to.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Does what there is to be done, for as long as it is polled.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut failing: Option<Failing> = None;
    loop {
        let Some(chore) = shared.pool.next() else {
            shared.pool.changed().await;
            continue;
        };
        let kind = chore.kind();
        match shared.do_chore(chore).await {
            Ok(()) if failing.as_ref().is_some_and(|failing| failing.kind == kind) => {
                tracing::info!("{kind} works again");
                failing = None;
            }
            Ok(()) => {}
            Err(error) => {
                let pause = match failing.take() {
                    Some(Failing { kind: last, pause }) if last == kind => (pause * 2).min(BACKOFF.1),
                    _ => {
                        tracing::warn!(%error, "{kind} fails: it is tried again, and starts make their own");
                        BACKOFF.0
                    }
                };
                sleep(pause).await;
                failing = Some(Failing { kind, pause });
            }
        }
    }
}

/// What did not work the last time, and how long was waited then.
struct Failing {
    kind: &'static str,
    pause: Duration,
}

impl Shared {
    async fn do_chore(&self, chore: Chore) -> Result<(), HostError> {
        match chore {
            Chore::Recover => {
                let found = self.call("list", &"warm attachments", |network| async move { network.list_warm().await });
                let found = found.await?;
                let count = found.len();
                let kept = self.pool.recovered(found);
                if count > 0 {
                    tracing::info!(found = count, kept, "attachments that an earlier run made ahead of time");
                }
                Ok(())
            }
            Chore::Make(open) => {
                let warm = open.id().clone();
                let make = self.call("attach", open.id(), |network| async move { network.warm(&warm).await });
                if self.in_turn(self.turns.in_a_long_lull(), make).await? {
                    open.made();
                }
                Ok(())
            }
            Chore::Discard(open) => {
                let warm = open.id().clone();
                let discard = self.call("discard", open.id(), |network| async move { network.discard(&warm).await });
                if self.in_turn(self.turns.in_a_lull(), discard).await? {
                    open.settled();
                }
                Ok(())
            }
        }
    }

    /// Changes the machine for the pool when it is its turn. Says whether it was done: not when the pool is closed.
    async fn in_turn(
        &self,
        turn: impl Future<Output = Option<SemaphorePermit<'_>>>,
        change: impl Future<Output = Result<(), HostError>>,
    ) -> Result<bool, HostError> {
        sleep(PACE).await;
        let place = turn.await;
        let Some(_working) = self.pool.work().await else { return Ok(false) };
        release_after(place, PATIENCE, change).await?;
        Ok(true)
    }
}
