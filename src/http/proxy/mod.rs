//! Calls of functions, `/function/{name}`: each is handed on to an instance, and its answer is streamed back.
//!
//! ```text
//! invoke -> deadline -> forward (lease, headers, upload) -> pool, connection, socket -> instance -> headers, download or upgrade
//! ```
//! A call does no disk write and sends no message; all that it waits for is the instance.

mod ahead;
mod connection;
mod deadline;
mod download;
mod forward;
mod headers;
pub(super) mod invoke;
mod pool;
mod socket;
mod upgrade;
mod upload;
