//! Which calls are listed, a page at a time.

use super::call::Summary;
use crate::function::{FunctionId, Namespace};

/// Which calls are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of this namespace; none: of all.
    pub namespace: Option<Namespace>,
    /// Those of this function.
    pub function: Option<FunctionId>,
    /// Those that are this.
    pub wanted: Wanted,
    /// Those that were accepted at this time or later, in milliseconds of the wall's clock.
    pub since: Option<i64>,
    /// Those that ended before this time, in ticks.
    pub ended_before: Option<i64>,
    /// So many at most.
    pub limit: usize,
    /// After this end of a page, as [`Page::next`] gave it.
    pub after: Option<String>,
}

/// What calls are to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Anything.
    #[default]
    Any,
    /// Waiting for its function, or under way to it.
    Waiting,
    /// Under way to its function. The file does not know which are: see [`Calls::among`](super::Calls::among).
    Running,
    /// Of these, those that were tried.
    Retrying,
    /// Answered, and its callback is to be sent.
    Callback,
    /// Done.
    Done,
    /// Dead letters.
    Dead,
    /// Cancelled.
    Cancelled,
}

/// Some calls, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// They.
    pub calls: Vec<Summary>,
    /// Where the next page begins; none: these were the last. A page may be empty and not the last.
    pub next: Option<String>,
}

/// A page's beginning is not written as the end of one was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no page ends at {0:?}: take the next page from the one before it")]
pub struct NoSuchPage(pub String);
