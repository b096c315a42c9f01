//! An instance that sleeps while nothing calls it: its task freezes it when the lifecycle asks for that, and thaws it when a
//! request takes a lease on it.
//!
//! ```text
//! Freeze -> no check in flight -> marked in the routes (no lease) -> the host freezes it -> Frozen ...
//!    ... a request takes a lease, or it is retracted -> the host thaws it -> the mark is cleared: requests go on -> Thawed
//! ```
//! The actor is told of both and waited for by neither: between a request and the thaw there are this task and the host.
//! Checks hold the instance awake while they ask, and wait while it is frozen.

use std::future::{Future, pending};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::host_call::host_call;
use super::instance_task::InstanceTask;
use crate::function::Event;
use crate::host::HostError;

/// How long freezing may take, beyond what the host gives it by itself.
pub(super) const FREEZE_LIMIT: Duration = Duration::from_secs(3);
/// How long one attempt to thaw may take, how many there are, and the wait between two: requests wait for it.
const THAW_LIMIT: Duration = Duration::from_secs(2);
const THAWS: u32 = 3;
const THAW_AGAIN: Duration = Duration::from_millis(50);

/// How long an instance that the host did not freeze is left alone: each attempt may stop most of its processes for a
/// second, and what keeps it from freezing may last.
const FREEZE_AGAIN: Duration = Duration::from_secs(60);

/// What came of one attempt to freeze.
pub(super) enum Attempt {
    /// A request has it, a check is in flight, or it gets no requests: it is asked again another time.
    Busy,
    /// It was frozen, or was about to be, and is awake again.
    Over,
    /// The host did not freeze it, and it is awake.
    Refused(HostError),
    /// It can't be thawed.
    Stuck(HostError),
}

impl InstanceTask {
    /// Freezes the instance each time it is asked for and possible, and thaws it for the next request; a spare, as long as it
    /// stands by. Does not return.
    pub(super) async fn freeze_when_asked<F>(&self, tell: impl Fn(Event) -> F)
    where
        F: Future<Output = ()>,
    {
        let mut standby = self.standby.subscribe();
        // It may have been told before this began.
        standby.mark_changed();
        let (mut said, mut not_before) = (false, Instant::now());
        loop {
            let attempt = tokio::select! {
                () = self.freeze.notified() => {
                    if Instant::now() < not_before {
                        continue;
                    }
                    self.try_to_freeze(&tell).await
                }
                _ = standby.changed() => self.stand_by(&mut standby).await,
            };
            match attempt {
                Attempt::Busy => {}
                Attempt::Over => said = false,
                Attempt::Refused(error) => {
                    not_before = Instant::now() + FREEZE_AGAIN;
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(function = %self.function, instance = %self.id, %error, "stays awake although nothing calls it");
                    }
                }
                Attempt::Stuck(error) => {
                    tell(Event::Unhealthy(self.id.clone(), format!("can't be thawed: {error}"))).await;
                    // It is replaced, and its tear-down ends this task. Until then its requests are no longer waited for here.
                    return pending().await;
                }
            }
        }
    }

    async fn try_to_freeze<F>(&self, tell: &impl Fn(Event) -> F) -> Attempt
    where
        F: Future<Output = ()>,
    {
        let Ok(_no_check) = self.awake.try_write() else { return Attempt::Busy };
        let (routes, runtime, id) = (&self.context.routes, self.context.host.runtime.clone(), self.id.clone());
        if !routes.freeze(&self.function, &self.id) {
            return Attempt::Busy;
        }
        let freeze = async move { runtime.freeze(&id).await };
        let freeze = host_call(&self.context.runtime, || format!("freeze {}", self.id), FREEZE_LIMIT, freeze);
        let frozen = tokio::select! {
            biased;
            // A request came meanwhile: the host gives up what is half done.
            () = routes.called(&self.function, &self.id) => None,
            frozen = freeze => Some(frozen),
        };
        let thawed = if let Some(Ok(())) = frozen {
            tracing::debug!(function = %self.function, instance = %self.id, "frozen");
            let thaw = async {
                routes.called(&self.function, &self.id).await;
                self.thaw().await
            };
            tokio::join!(tell(Event::Frozen(self.id.clone())), thaw).1
        } else {
            self.thaw().await
        };
        match (thawed, frozen) {
            (Err(error), _) => Attempt::Stuck(error),
            (Ok(()), Some(Err(error))) => Attempt::Refused(error),
            (Ok(()), None) => Attempt::Over,
            (Ok(()), Some(Ok(()))) => {
                tell(Event::Thawed(self.id.clone())).await;
                Attempt::Over
            }
        }
    }

    /// Thaws the instance, frozen or not, and lets its requests go on.
    pub(super) async fn thaw(&self) -> Result<(), HostError> {
        let mut left = THAWS;
        loop {
            let (runtime, id) = (self.context.host.runtime.clone(), self.id.clone());
            let thaw = async move { runtime.thaw(&id).await };
            let thawed = host_call(&self.context.runtime, || format!("thaw {}", self.id), THAW_LIMIT, thaw).await;
            left -= 1;
            match thawed {
                Ok(()) => {
                    self.context.routes.thaw(&self.function, &self.id);
                    return Ok(());
                }
                Err(error) if left == 0 => return Err(error),
                Err(error) => {
                    tracing::warn!(function = %self.function, instance = %self.id, %error, "thawing it again in {THAW_AGAIN:?}");
                    sleep(THAW_AGAIN).await;
                }
            }
        }
    }
}
