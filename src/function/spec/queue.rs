//! How asynchronous calls of a function are sent: how many side by side, and how long they may take in all.

use std::time::Duration;

use super::keys::Keys;

/// Most calls of the function that are under way side by side, if it says so.
pub(super) fn max_inflight(_keys: &mut Keys<'_>) -> Option<u32> {
    None
}

/// How long a call may wait and be tried in all, if the function says so.
pub(super) fn call_deadline(_keys: &mut Keys<'_>) -> Option<Duration> {
    None
}
