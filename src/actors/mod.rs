//! The actors: who does what, one at a time per function and side by side across functions.
//!
//! - [`Registry`] routes requests to functions, spawns them, and is their supervisor.
//! - [`Function`](function::Function) owns one [`Lifecycle`](crate::function::Lifecycle): events in, effects performed.
//!   Beside it stand the two procedures that touch the machine, `bring_up` and [`tear_down`].
//!   What panics is replaced: functions by the registry, the others wherever they are asked for ([`Supervised`]).
//! - [`Network`] hands out attachments with a bound. Callers for the same image share one pull (`pulls`).
//! - [`LocalEngine`] is what doors see of all this.
//! - [`housekeeping`] is every periodic job; `pressure` is the one that sheds load while memory is short.
//!
//! Messages are on one page: [`messages`]. A mailbox never waits for the machine: effects run in tasks of their own and
//! come back as [`LifecycleEvent`](messages::LifecycleEvent), so status and delete are answered during a long pull.

mod admission;
mod begun;
mod context;
mod engine;
mod function;
mod host_call;
pub mod housekeeping;
mod log_retention;
mod messages;
mod network;
mod pressure;
mod pulls;
mod registry;
mod retry;
mod settings;
mod supervised;

pub use context::Context;
pub use engine::{LocalEngine, LocalLogs};
pub use function::{RemovalErrors, tear_down};
pub use housekeeping::{Watermarks, keep_invocations};
pub use network::Network;
pub use registry::Registry;
pub use settings::Settings;
pub use supervised::Supervised;
