//! The actors: who does what, one at a time per function and side by side across functions.
//!
//! - [`Registry`] slots requests to functions, spawns them, and is their supervisor.
//! - [`Function`](function::Function) owns one [`Lifecycle`](crate::function::Lifecycle): events in, effects performed.
//!   Beside it stand the two procedures that touch the machine, `bring_up` and [`tear_down`].
//!   What panics is replaced: functions by the registry, the others wherever they are asked for ([`Supervised`]).
//! - [`Puller`] lets callers for the same image share one pull; [`Network`] hands out attachments with a bound.
//!
//! Messages are on one page: [`messages`]. A mailbox never waits for the machine: effects run in tasks of their own and
//! come back as [`LifecycleEvent`](messages::LifecycleEvent), so status and delete are answered during a long pull.

mod context;
mod function;
mod host_call;
mod invocation_counts;
mod last_used;
mod logs;
pub mod messages;
mod network;
mod puller;
mod recovery;
mod registry;
mod relist;
mod settings;
mod slots;
mod status_cache;
mod supervised;
#[cfg(test)]
mod supervision;
mod usage;

pub use context::Context;
pub use function::{RemovalErrors, tear_down};
pub use invocation_counts::keep_invocations;
pub use network::Network;
pub use puller::Puller;
pub use registry::Registry;
pub use settings::Settings;
pub use supervised::Supervised;
