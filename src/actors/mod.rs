//! The actors: who does what, one at a time per function and side by side across functions.
//!
//! - [`Registry`] slots requests to functions, spawns them, and is their supervisor.
//! - [`Function`](function::Function) owns one [`Lifecycle`](crate::function::Lifecycle): events in, effects performed.
//! - [`instance`] holds the two procedures that touch the machine, `bring_up` and `tear_down`.
//!   What panics is replaced: functions by the registry, the others wherever they are asked for ([`Supervised`]).
//! - [`Puller`] lets callers for the same image share one pull; [`Network`] hands out attachments with a bound.
//! - [`housekeeping`] is every periodic job.
//!
//! Messages are on one page: [`messages`]. A mailbox never waits for the machine: effects run in tasks of their own and
//! come back as [`LifecycleEvent`](messages::LifecycleEvent), so status and delete are answered during a long pull.

mod checks;
mod commit;
mod context;
mod function;
mod host_call;
pub mod housekeeping;
mod instance;
mod logs;
pub mod messages;
mod network;
mod progress;
mod puller;
mod recovery;
mod registry;
mod running;
mod secrets;
mod settings;
mod slots;
mod status_cache;
mod supervised;
#[cfg(test)]
mod supervision;
mod usage;
mod waiting;

pub use context::Context;
pub use housekeeping::keep_invocations;
pub use instance::tear_down;
pub use network::Network;
pub use puller::Puller;
pub use registry::Registry;
pub use settings::Settings;
pub use supervised::Supervised;
