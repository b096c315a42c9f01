//! One call to the host, with a deadline and with its panics caught.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout};

use crate::host::HostError;

/// Runs a host call in a task of its own: a panic in an adapter becomes an error of this call and nothing else, and a
/// call that does not answer in time is dropped. `what` names the call for the error and for the log, which says at
/// `debug` when each call began and how long it took.
pub(super) async fn host_call<T: Send + 'static>(
    runtime: &Handle,
    what: impl FnOnce() -> String,
    deadline: Duration,
    call: impl Future<Output = Result<T, HostError>> + Send + 'static,
) -> Result<T, HostError> {
    let begun = Instant::now();
    let what = what();
    tracing::debug!(call = what, "host call begins");
    let done = match timeout(deadline, Task::spawn(runtime, call).join()).await {
        Ok(Ok(result)) => result,
        Ok(Err(lost)) if lost.is_panic() => Err(HostError::Failed(format!("{what}: the call panicked"))),
        Ok(Err(_)) => Err(HostError::Failed(format!("{what}: the call was cancelled"))),
        Err(_) => Err(HostError::Deadline(format!("{what} ({} s)", deadline.as_secs()))),
    };
    tracing::debug!(call = what, took = ?begun.elapsed(), failed = done.is_err(), "host call");
    done
}

/// Lets `act` hold a place among those that run side by side, but not for ever: what takes longer than `patience` is
/// probably stuck, and goes on without one, so that however many are stuck, others still get their turn.
pub(super) async fn release_after<P, T>(place: P, patience: Duration, act: impl Future<Output = T>) -> T {
    tokio::pin!(act);
    match timeout(patience, &mut act).await {
        Ok(done) => done,
        Err(_) => {
            drop(place);
            act.await
        }
    }
}

/// A task that ends with its owner.
pub(super) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(super) fn spawn(runtime: &Handle, future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(runtime.spawn(future))
    }

    /// What the task returned, or that it panicked.
    pub(super) async fn join(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_ends_at_its_deadline() {
        let hang = std::future::pending::<Result<(), HostError>>();
        let error = host_call(&Handle::current(), || "create x".into(), SECOND, hang).await.unwrap_err();
        assert_eq!(error, HostError::Deadline("create x (1 s)".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_given_back_when_it_was_held_too_long_and_the_act_goes_on() {
        let places = tokio::sync::Semaphore::new(1);
        let act = |seconds: u32| async move {
            tokio::time::sleep(SECOND * seconds).await;
            Instant::now()
        };
        let first = async { release_after(places.acquire().await, 5 * SECOND, act(30)).await };
        let second = async { release_after(places.acquire().await, 5 * SECOND, act(1)).await };
        let begun = Instant::now();
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first - begun, second - begun), (30 * SECOND, 6 * SECOND));
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_call_that_panics_is_an_error_that_names_it() {
        let call = async { panic!("adapter bug") };
        let error = host_call::<()>(&Handle::current(), || "create x".into(), SECOND, call).await.unwrap_err();
        assert_eq!(error, HostError::Failed("create x: the call panicked".into()));
    }
}
