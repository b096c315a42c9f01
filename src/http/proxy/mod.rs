//! Calls of functions, `/function/{name}`: each is handed on to an instance, and its answer is streamed back.
//!
//! ```text
//! invoke -> forward (lease, headers, body) -> pool (connections of this worker) -> instance -> headers, body or upgrade
//! ```
//! A call does no disk write and sends no message; all that it waits for is the instance.

mod body;
mod forward;
mod headers;
pub(super) mod invoke;
mod pool;
mod upgrade;
