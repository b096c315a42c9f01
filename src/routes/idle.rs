//! Since when a function is idle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The moment of a function's last use. One for all its instances; written by the request that leaves one of them without
/// any other.
#[derive(Debug)]
pub(super) struct LastUse {
    /// What the rest counts from.
    origin: Instant,
    /// Nanoseconds since then, which last for 584 years.
    nanos: AtomicU64,
}

impl LastUse {
    /// It counts as used just now.
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), nanos: AtomicU64::new(0) }
    }

    /// It is used at this moment.
    pub(super) fn note(&self) {
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanos.store(nanos, Ordering::Release);
    }

    /// How long ago it was used.
    pub(super) fn elapsed(&self) -> Duration {
        self.origin.elapsed().saturating_sub(Duration::from_nanos(self.nanos.load(Ordering::Acquire)))
    }
}
