//! The one place where it is told that calls have ended, whatever ended them, once that is on the disk.

use super::context::Context;
use crate::store::calls::{Seq, State};

impl Context {
    /// These calls do not wait for their function any more. `end`: what they have become; none: their answers wait for callbacks,
    /// and their end is told when those are out. Of calls that others than their tries end, those that have a callback are told
    /// of with the others.
    pub(super) fn left(&self, calls: &[Seq], end: Option<State>) {
        if let Some(end) = end {
            calls.iter().for_each(|call| self.room.ended(*call));
            tracing::debug!(calls = calls.len(), ?end, "calls have ended");
        }
    }
}
