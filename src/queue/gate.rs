//! Whether calls of a function are sent at all just now.
//!
//! ```text
//! Asking --the engine says--> Open | Down | Gone
//! Open   --actord stop------> Down --actord start--> Open
//! Open   --deleted----------> Gone --deployed------> Open
//!                             Gone --5 minutes-----> its calls are dead letters
//! ```

/// How long calls of a function that is deleted wait for its name, in milliseconds: to delete and create is how some clients
/// replace a function.
pub(super) const GONE_FOR: i64 = 5 * 60 * 1000;
/// How soon the engine is asked again that could not be asked, or said something else than the routes.
pub(super) const ASK_AGAIN: i64 = 1000;

/// See the module. Times are in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// They are sent.
    Open,
    /// It is not known yet, or asked again at this time.
    Asking {
        /// When; none: the question is under way.
        again: Option<i64>,
    },
    /// An operator keeps the function down.
    Down,
    /// Those that have a callback wait until the disk may take their answers, as `room` says.
    Full,
    /// There is no such function.
    Gone {
        /// Since when.
        since: i64,
    },
}

impl Gate {
    /// For people and programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Asking { .. } => "asking",
            Self::Down => "stopped",
            Self::Full => "full",
            Self::Gone { .. } => "deleted",
        }
    }

    /// When something is to be done about it.
    pub(super) fn due(self) -> Option<i64> {
        match self {
            Self::Open | Self::Down | Self::Full => None,
            Self::Asking { again } => again,
            Self::Gone { since } => Some(since + GONE_FOR),
        }
    }
}
