//! Asynchronous calls, `/async-function/{name}`, on their way in and on their way out.
//!
//! ```text
//! client -> accept (may it? is there room? read the body) -> queue: on the disk -> 202
//!           queue -> worker -> exchange (stored head -> request -> proxy) -> function
//!           queue -> callback (which addresses may be called) -> another server
//! ```

pub(super) mod accept;
mod body;
mod callback;
mod exchange;
#[cfg(feature = "testing")]
pub(super) mod fuzzed;
mod places;
mod stored;
mod worker;

pub use self::places::Bodies;
pub use self::worker::Queued;
