//! How much is kept of what has ended, and for how long.

use std::time::Duration;

/// How much of an answer's body is kept when nobody waits for all of it.
pub(super) const ANSWER_KEPT: usize = 64 << 10;

/// Bounds on what has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long calls are kept that were answered or cancelled.
    pub kept: Duration,
    /// How many of them; the oldest goes first.
    pub kept_most: u64,
    /// How long dead letters are kept; none: for ever.
    pub dead: Option<Duration>,
    /// What those of one function may take on the disk, in bytes; the oldest goes first.
    pub dead_bytes: u64,
    /// From where on calls that were answered or cancelled go for others, the oldest first, whatever their time is: what all calls
    /// take, in bytes; none: they do not.
    pub bytes: Option<u64>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            kept: Duration::from_secs(3600),
            kept_most: 10_000,
            dead: Some(Duration::from_secs(168 * 3600)),
            dead_bytes: 16 << 20,
            bytes: None,
        }
    }
}
