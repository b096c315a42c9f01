//! Why a request that reached a connection came back without an answer.

use std::io;

use super::answer::BadHead;

/// Why a request that was given to a connection has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// Nothing of it reached the function, which had closed the connection before.
    #[error("can't be reached: it closed the connection before the request came")]
    Untaken,
    /// The connection ended before the head of an answer was whole; the function may have acted on the request.
    #[error("can't be reached: the connection ended before an answer ({0})")]
    Ended(io::Error),
    /// What came is no answer that can be passed on.
    #[error(transparent)]
    Bad(BadHead),
    /// The client broke its body off.
    #[error("the request's body broke off")]
    Incomplete,
}
