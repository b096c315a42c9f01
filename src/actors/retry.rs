//! What is asked until it is answered: reads that have to succeed some time, and removals that may come late.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::context::Context;
use super::host_call::host_call;
use crate::host::HostError;

/// Asks the host until it answers.
pub(super) async fn ask<T, F>(context: &Arc<Context>, what: &str, call: impl Fn() -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = Result<T, HostError>> + Send + 'static,
{
    let timeout = context.settings.host_timeout;
    until_it_works(what, || host_call(&context.runtime, || what.to_owned(), timeout, call())).await
}

/// Does it again until it succeeds, and says in the log why it did not.
pub(super) async fn until_it_works<T, E: std::fmt::Display, F>(what: &str, act: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    let mut pause = Duration::from_millis(200);
    loop {
        match act().await {
            Ok(done) => return done,
            Err(error) => tracing::warn!(%error, "could not {what}, trying again"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}
