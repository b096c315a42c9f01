//! Calls that ended without an answer, or wait again: told to whoever listens, and held up by nobody.

use tokio::sync::broadcast::{Receiver, Sender};

use crate::function::FunctionId;
use crate::store::calls::CallId;

/// So many wait for a listener that is slow; it is told how many it missed.
const BEHIND: usize = 1_024;

/// What became of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// They are dead letters.
    Dead,
    /// They were cancelled.
    Cancelled,
    /// Dead letters are sent again.
    Revived,
}

impl End {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Revived => "revived",
        }
    }
}

/// Calls of a function that ended, together and for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whose.
    pub function: FunctionId,
    /// Which, where it is one by itself.
    pub call: Option<CallId>,
    /// What became of them.
    pub how: End,
    /// Why.
    pub reason: Option<String>,
    /// How many.
    pub count: u64,
}

/// Tells of them.
#[derive(Debug)]
pub(super) struct Ends(Sender<Ended>);

impl Ends {
    pub(super) fn new() -> Self {
        Self(Sender::new(BEHIND))
    }

    pub(super) fn listen(&self) -> Receiver<Ended> {
        self.0.subscribe()
    }

    pub(super) fn tell(&self, ended: Ended) {
        // Where nobody listens, nobody misses it.
        let _ = self.0.send(ended);
    }
}
