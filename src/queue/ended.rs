//! The one place where it is told that calls have ended, whatever ended them, once that is on the disk.

use super::context::Context;
use super::ends::Ended;
use crate::store::calls::{Seq, State};

impl Context {
    /// These calls do not wait for their function any more. `end`: what they have become; none: their answers wait for callbacks,
    /// and their end is told when those are out. Of calls that others than their tries end, those that have a callback are told
    /// of with the others. `told`: what is said of them to whoever listens, once it is known that no answer will come: that is
    /// before their callbacks are out.
    pub(super) fn left(&self, calls: &[Seq], end: Option<State>, told: Vec<Ended>) {
        if let Some(end) = end {
            calls.iter().for_each(|call| self.room.ended(*call));
            tracing::debug!(calls = calls.len(), ?end, "calls have ended");
        }
        told.into_iter().for_each(|ended| self.ends.tell(ended));
    }
}
