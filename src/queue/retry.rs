//! What comes after a try. Pure: no clock, no I/O.

use std::time::Duration;

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// The function answered, or who is called back did.
    Answered {
        /// Its status.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer of its own came: it is ours that a caller would have got.
    Internal {
        /// The status of that.
        status: u16,
        /// How long to wait, where we know.
        retry_after: Option<Duration>,
        /// Why, for people.
        reason: String,
    },
    /// It was not tried. That is never counted.
    NotTried(Hold),
}

/// Why a call was not tried, or its try does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// This actord ends.
    Drained,
    /// The function is kept down.
    KeptDown,
    /// The function is not there.
    Gone,
    /// Load is shed.
    Paused,
    /// It was cancelled meanwhile.
    Cancelled,
}

/// What comes after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It is done.
    Done,
    /// It is tried again after so long.
    Again {
        /// How long.
        wait: Duration,
    },
    /// It is a dead letter.
    Dead {
        /// Why, for people.
        reason: String,
    },
}
