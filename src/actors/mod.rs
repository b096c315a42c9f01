//! The actors: who does what, one at a time per function and side by side across functions.
//!
//! - [`Registry`] routes requests to functions, spawns them, and is their supervisor.
//! - [`Function`](function::Function) owns one [`Lifecycle`](crate::function::Lifecycle): events in, effects performed.
//! - [`instance`] holds the two procedures that touch the machine, `bring_up` and `tear_down`.
//!   What panics is replaced: functions by the registry, the others wherever they are asked for ([`Supervised`]).
//! - [`Puller`] lets callers for the same image share one pull; [`Network`] hands out attachments with a bound.
//!
//! Messages are on one page: [`messages`]. A mailbox never waits for the machine: effects run in tasks of their own and
//! come back as [`Happened`](messages::Happened), so status and delete are answered during a long pull.

mod board;
mod census;
mod checks;
mod commit;
mod function;
mod guard;
mod instance;
mod logs;
pub mod messages;
mod meter;
mod network;
mod progress;
mod puller;
mod recency;
mod recovery;
mod registry;
mod routes;
mod running;
mod secrets;
mod settings;
mod supervised;
#[cfg(test)]
mod supervision;
mod surroundings;
mod tally;
mod waiting;

pub use instance::tear_down;
pub use network::Network;
pub use puller::Puller;
pub use registry::Registry;
pub use settings::Settings;
pub use supervised::Supervised;
pub use surroundings::Surroundings;
pub use tally::keep_invocations;
