//! Pulls that were given up: what they fetched is kept for a while, for the next pull of the image to go on from.
//!
//! ```text
//! pull dropped -> its lease parked --(the next pull of the image)--> taken over: blobs and unfinished ones are there
//!                                  --(KEPT_FOR is over)------------> ended: containerd collects what it kept
//! ```
//!
//! A pull that failed, succeeded or had hardly begun leaves nothing here. A lease that a killed actord had is ended at its
//! next start.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::host::HostError;
use crate::host::containerd::connection::{Containerd, Lease};

/// How long what a given-up pull fetched is kept.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// How many bytes a pull must have fetched to be worth it.
const WORTH: u64 = 1 << 20;

/// The leases of pulls that were given up, by the whole names of their images.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parked(Arc<Mutex<HashMap<String, (Lease, Instant)>>>);

/// The lease of a pull. It is parked when this is dropped before the pull came to an end.
pub(crate) struct PullLease {
    parked: Parked,
    image: String,
    /// None once it is settled.
    lease: Option<Lease>,
    /// How many bytes were fetched under it.
    fetched: AtomicU64,
}

impl Parked {
    /// The lease of the pull of this image that was given up last, or a new one.
    pub(crate) async fn lease(&self, containerd: &Containerd, image: &str) -> Result<PullLease, HostError> {
        let (lease, fetched) = match self.take(image) {
            Some(lease) => (lease, WORTH),
            None => (Lease::for_image(containerd).await?, 0),
        };
        let (image, fetched) = (image.to_owned(), AtomicU64::new(fetched));
        Ok(PullLease { parked: self.clone(), image, lease: Some(lease), fetched })
    }

    fn take(&self, image: &str) -> Option<Lease> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(image).map(|(lease, _)| lease)
    }

    fn park(&self, image: String, lease: Lease) {
        // Outside of a runtime, which is at the very end, the lease is ended by the next start.
        let Ok(runtime) = Handle::try_current() else { return };
        let over = Instant::now() + KEPT_FOR;
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(image.clone(), (lease, over));
        // Two pulls of one image by different policies were given up: one lease is enough, what it lacks is fetched.
        drop(before);
        let parked = Arc::downgrade(&self.0);
        runtime.spawn(async move {
            sleep(KEPT_FOR).await;
            let Some(parked) = parked.upgrade() else { return };
            let mut leases = parked.lock().unwrap_or_else(PoisonError::into_inner);
            // One that was parked later has a task of its own.
            if leases.get(&image).is_some_and(|(_, until)| *until == over) {
                leases.remove(&image);
            }
        });
    }
}

impl PullLease {
    /// Does a pull under the lease, and ends it after that. The pull adds to the count what it fetches.
    pub(crate) async fn under<T>(
        mut self,
        pull: impl AsyncFnOnce(&Lease, &AtomicU64) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        let done = match &self.lease {
            Some(lease) => pull(lease, &self.fetched).await,
            None => return Err(HostError::Failed("the lease of a pull has ended".to_owned())),
        };
        match self.lease.take() {
            Some(lease) => lease.settle(done).await,
            None => done,
        }
    }
}

impl Drop for PullLease {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take()
            && *self.fetched.get_mut() >= WORTH
        {
            tracing::info!(image = self.image, "the pull was given up: what it fetched is kept for the next");
            self.parked.park(std::mem::take(&mut self.image), lease);
        }
    }
}
