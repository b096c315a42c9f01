//! A connection that is made while the instance is being thawed: the kernel takes it although the process stands still.
//!
//! ```text
//! lease on a frozen one -> its task is told -> it thaws the instance
//!                       -> the connection is opened meanwhile -> thawed: the request is sent
//! ```
//! So a request does not wait for one after the other, and seldom sleeps until the thaw is told. Nothing is sent before it: an
//! instance that goes in place of its thaw has got nothing, and the request looks for another one.

use super::connection::Connection;
use super::pool::Pool;
use crate::routes::{Lease, NoEndpoint, Wait};

/// The instance that `wait` comes to, and a connection to it if one was kept or made meanwhile.
///
/// # Errors
/// [`NoEndpoint`] says why there is none.
pub(super) async fn lease(pool: &Pool, wait: Wait<'_>) -> Result<(Lease, Option<Connection>), NoEndpoint> {
    let Some(address) = wait.thawing() else { return Ok((wait.end().await?, None)) };
    if let Some(kept) = pool.take(address) {
        let lease = wait.end().await?;
        let kept = Some(kept).filter(|_| lease.address() == address);
        return Ok((lease, kept));
    }
    let (opening, waiting) = (pool.open(address), wait.end());
    tokio::pin!(opening, waiting);
    let (lease, opened) = tokio::select! {
        // First the connection, which sets out at once, while another thread thaws.
        biased;
        opened = &mut opening => (waiting.await?, opened),
        lease = &mut waiting => {
            let lease = lease?;
            // It may be another instance, if this one went.
            if lease.address() != address {
                return Ok((lease, None));
            }
            (lease, opening.await)
        }
    };
    // Where it could not be made, the try that follows finds out.
    let opened = opened.ok().filter(|_| lease.address() == address);
    Ok((lease, opened))
}
