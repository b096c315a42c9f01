//! Freezing as the table sees it: the mark that an instance's task sets before it freezes its process, and clears after it
//! has thawed it.
//!
//! ```text
//! freeze (no lease) -> the host freezes ... a request takes a lease -> called -> the host thaws -> thaw: the request goes on
//! ```
//! Between request and task there is no actor and no message: that a frozen instance has a lease is a state, and the task
//! looks at it.

use super::Routes;
use crate::function::{FunctionId, InstanceId};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

impl Routes {
    /// Marks an instance frozen, if it is published and has no request. Returns whether it is marked now by this call: then
    /// no request is sent to it before [`Routes::thaw`].
    #[must_use]
    pub fn freeze(&self, function: &FunctionId, id: &InstanceId) -> bool {
        self.get(function).and_then(|entry| entry.endpoint(id)).is_some_and(|endpoint| endpoint.freeze())
    }

    /// Returns when an instance has to be thawed: a request waits for that, or it is not published any more. At once where
    /// it is not frozen.
    pub async fn called(&self, function: &FunctionId, id: &InstanceId) {
        if let Some(endpoint) = self.get(function).and_then(|entry| entry.endpoint(id)) {
            endpoint.called().await;
        }
    }

    /// Lets the requests go on that wait for this instance. Idempotent.
    pub fn thaw(&self, function: &FunctionId, id: &InstanceId) {
        if let Some(endpoint) = self.get(function).and_then(|entry| entry.endpoint(id)) {
            endpoint.thaw();
        }
    }
}
