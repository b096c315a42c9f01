//! Calls of functions, `/function/{name}`: each is handed on to an instance, and its answer is streamed back.
//!
//! ```text
//! invoke -> deadline -> forward (lease, headers, upload) -> pool, connection (sending, socket) -> instance
//! instance -> connection (answer, body) -> download or upgrade
//! ```
//! A call does no disk write and sends no message; all that it waits for is the instance.

mod ahead;
mod answer;
mod bearer;
mod body;
mod connection;
mod deadline;
mod download;
mod error;
mod forward;
#[cfg(feature = "testing")]
pub(super) mod fuzzed;
mod headers;
pub(super) mod invoke;
mod pool;
mod queued;
mod refusal;
mod sending;
mod socket;
mod timers;
mod unanswered;
mod upgrade;
mod upload;

pub(super) use self::headers::{is_hop_by_hop, listed};
pub(super) use self::invoke::{FunctionBody, Proxy, is_call, split};
pub(super) use self::queued::{NoAnswer, StoredAnswer, StoredCall};
