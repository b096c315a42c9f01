//! The one way down for an instance, whatever there is of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::context::Context;
use super::super::host_call::Task;
use super::super::messages::Detach;
use super::instance_task::host_call_on;
use crate::function::InstanceId;
use crate::host::{HostError, Termination};

/// All that went wrong while an instance was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalErrors(pub Vec<HostError>);

impl fmt::Display for RemovalErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RemovalErrors {}

/// Removes all there is of an instance: asks its process to end, by the signal and for as long as it wants that, and
/// insists then; removes container and network. Idempotent; goes on after an error, so that one fault leaves little behind.
///
/// # Errors
/// [`RemovalErrors`]: all that went wrong; the caller tries again.
pub async fn tear_down(context: &Arc<Context>, id: &InstanceId) -> Result<(), RemovalErrors> {
    tear_down_within(context, id, Duration::MAX).await
}

/// [`tear_down`] of an instance that may take no longer to end than `most`, whatever it wants.
pub(super) async fn tear_down_within(
    context: &Arc<Context>,
    id: &InstanceId,
    most: Duration,
) -> Result<(), RemovalErrors> {
    let mut errors = Vec::new();
    end_process(context, id, most).await;
    let (runtime, one) = (context.host.runtime.clone(), id.clone());
    let removed = host_call_on(context, "remove", id, async move { runtime.remove(&one).await }).await;
    errors.extend(removed.err());
    match context.network.addr().send(Detach(id.clone())).await {
        Ok(detached) => errors.extend(detached.err()),
        Err(lost) => errors.push(HostError::Failed(format!("the network actor is not there: {lost}"))),
    }
    if errors.is_empty() { Ok(()) } else { Err(RemovalErrors(errors)) }
}

/// Ends the process politely if that works. Errors are left to `remove`, which kills whatever still runs.
async fn end_process(context: &Arc<Context>, id: &InstanceId, most: Duration) {
    let (runtime, one) = (context.host.runtime.clone(), id.clone());
    let termination = async move { runtime.termination(&one).await };
    let Termination { signal, grace } = match host_call_on(context, "look up the end of", id, termination).await {
        Ok(termination) => termination,
        Err(HostError::NotFound(_)) => return,
        Err(error) => {
            tracing::debug!(instance = %id, %error, "asked to end in the usual way");
            Termination::default()
        }
    };
    let (runtime, one) = (context.host.runtime.clone(), id.clone());
    if host_call_on(context, "signal", id, async move { runtime.kill(&one, signal).await }).await.is_err() {
        return;
    }
    let (runtime, one) = (context.host.runtime.clone(), id.clone());
    let wait = Task::spawn(&context.runtime, async move { runtime.wait(&one).await });
    let grace = grace.or(context.settings.grace_period).min(most);
    if timeout(grace, wait.join()).await.is_err() {
        tracing::info!(instance = %id, %signal, ?grace, "did not end within its grace period: killed");
    }
}
