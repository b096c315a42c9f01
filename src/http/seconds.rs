//! Times as clients are told them.

use std::time::Duration;

/// A part of a second is counted as one: nothing happens before the time that is said.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
