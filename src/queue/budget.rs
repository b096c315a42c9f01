//! How much memory the bodies of calls under way may take.
//!
//! ```text
//! reserve (the most that a body may have) -> read from the disk -> keep (what it has) -> dropped with the call
//! ```
//! A function's first call is not made to wait for it: others with large bodies must not hold it up.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All bodies together, in bytes.
const ALL: usize = 64 << 20;
/// What a call takes beside its body.
pub(super) const BESIDE: usize = 64 << 10;
const UNIT: usize = 1 << 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Budget(Arc<Semaphore>);

/// A part of it. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Reserved(Option<OwnedSemaphorePermit>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ALL / UNIT)))
    }

    /// Reserves so many bytes, as soon as there are so many, in turn.
    pub(super) async fn reserve(&self, bytes: usize) -> Reserved {
        // It is never closed; if it were, nothing would have to be given back.
        Reserved(self.0.clone().acquire_many_owned(units(bytes)).await.ok())
    }
}

impl Reserved {
    /// What need not wait.
    pub(super) const NOTHING: Self = Self(None);

    /// Gives all back but so many bytes.
    pub(super) fn keep(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.0 {
            let over = permit.num_permits().saturating_sub(units(bytes) as usize);
            drop(permit.split(over));
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.min(ALL).div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_is_reserved_is_given_back_and_more_than_all_is_all() {
        let budget = Budget::new();
        let mut most = budget.reserve(usize::MAX).await;
        assert!(budget.reserve(1).now_or_never().is_none());
        most.keep(ALL - 2 * UNIT);
        let one = budget.reserve(UNIT + 1).await;
        assert!(budget.reserve(1).now_or_never().is_none());
        drop(one);
        assert!(budget.reserve(1).now_or_never().is_some());
        most.keep(usize::MAX);
        drop(most);
        assert!(budget.reserve(ALL).now_or_never().is_some());
        let mut nothing = Reserved::NOTHING;
        nothing.keep(UNIT);
    }
}
