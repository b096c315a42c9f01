//! What is asked of a function's logs, and the lines that come of it.

use futures_util::stream::BoxStream;
use jiff::Timestamp;

use crate::function::{FunctionId, InstanceId};

/// Which lines are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Whose.
    pub function: FunctionId,
    /// Only what the instance of this name wrote.
    pub instance: Option<String>,
    /// Only the last so many lines, of all instances together.
    pub tail: Option<u64>,
    /// Only what was written at this time or later.
    pub since: Option<Timestamp>,
    /// Whether the reading goes on with what comes, for as long as the function is there.
    pub follow: bool,
}

impl LogQuery {
    /// Whether the log of this instance is asked for.
    #[must_use]
    pub fn wants(&self, id: &InstanceId) -> bool {
        self.instance.as_deref().is_none_or(|wanted| wanted == id.as_str())
    }

    /// Whether a line of this time is asked for.
    #[must_use]
    pub fn wants_from(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since)
    }
}

/// One line, or a part of one that is too long for one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Which instance wrote it.
    pub instance: InstanceId,
    /// When it was begun.
    pub time: Timestamp,
    /// What it says, without the end of the line.
    pub text: String,
}

/// Lines as they are read, some at a time and never none. The reading is over after an error.
pub type LogLines = BoxStream<'static, Result<Vec<LogLine>, LogsUnreadable>>;

/// Why no line is told at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogsRefused {
    /// There is no such function (any more).
    #[error("function {0} not found")]
    NotFound(FunctionId),
    /// What is there already can't be read.
    #[error(transparent)]
    Unreadable(#[from] LogsUnreadable),
}

/// The logs could not be read, and why: for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LogsUnreadable(pub String);
