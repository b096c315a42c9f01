//! What the queue needs of who sends: nothing of HTTP is in it, so a test answers as it likes.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::retry::Came;
use crate::function::FunctionId;
use crate::store::calls::{CallId, Kept};

/// Calls functions.
#[async_trait]
pub trait Invoke: Send + Sync {
    /// One try. Whoever drops the future drops the request to the function.
    async fn invoke(&self, call: &Sending) -> Reply;

    /// Why nothing can be sent just now, if so.
    fn fault(&self) -> Option<String> {
        None
    }
}

/// Calls back to elsewhere.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// One try, which ends by itself within half a minute. Redirects are not followed.
    async fn deliver(&self, post: &Post) -> Delivered;
}

/// A call on its way to a function.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Our own id of it, which the function gets to tell doubles by.
    pub id: CallId,
    /// Whom it calls.
    pub function: FunctionId,
    /// The method.
    pub method: String,
    /// What comes after the function's name in the path, and the query.
    pub path_and_query: String,
    /// The headers as they were stored.
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
    /// How much of the answer's body is kept, in bytes; all of it is read.
    pub keep: usize,
}

/// What came of a try to call a function.
pub struct Reply {
    /// What comes next goes by this.
    pub came: Came,
    /// The answer, if one came.
    pub answer: Option<Kept>,
    /// How long the try took.
    pub took: Duration,
    /// The function's lease. It is dropped when what came of the try is on the disk: so nothing that answered is lost over an
    /// orderly end.
    pub held: Option<Box<dyn Send>>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("came", &self.came).field("took", &self.took).finish_non_exhaustive()
    }
}

/// A callback on its way to elsewhere.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where to.
    pub url: String,
    /// The headers, in their order.
    pub head: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// What came of a try to call back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// An answer, or none.
    Came {
        /// What comes next goes by this.
        came: Came,
        /// How long the try took.
        took: Duration,
    },
    /// It may not go there: no other try would end otherwise.
    Refused {
        /// Why, for people.
        reason: String,
    },
}
