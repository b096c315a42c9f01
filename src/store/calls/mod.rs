//! Asynchronous calls in a file of their own: each is on the disk before it is answered, and leaves it when it has ended for long.

mod call;
mod id;
mod list;
mod ops;

pub use super::StoreError;
pub use call::{Attempt, Callback, Kept, Loaded, NewCall, Phase, Request, State, Summary, Verdict};
pub use id::{CallId, LaneId, NotAnId, Seq};
pub use list::{Filter, NoSuchPage, Page, Wanted};
pub use ops::{
    Done, Fired, FiredKey, FiredRow, Firing, Head, LaneKey, Mark, Notice, Op, Revive, Revived, Settled, Upkeep, Why,
};
