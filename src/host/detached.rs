//! Acts that change the machine in several steps.

use super::HostError;

/// Runs `act` in a task of its own, to its end: a caller that goes away, as one does whose deadline has passed, does not
/// stop it between two steps. `what` names it for the error where it panics.
pub(super) async fn to_its_end<T: Send + 'static>(
    what: &str,
    act: impl Future<Output = Result<T, HostError>> + Send + 'static,
) -> Result<T, HostError> {
    tokio::spawn(act).await.unwrap_or_else(|error| Err(HostError::Failed(format!("{what}: {error}"))))
}
