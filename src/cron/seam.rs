//! What the driver asks of whatever keeps calls, and of the clock on the wall.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::function::FunctionId;

/// Keeps the calls of schedules, and with each how far its schedule has come.
#[async_trait]
pub trait Calls: Send + Sync {
    /// All schedules that are remembered.
    ///
    /// # Errors
    /// Why they can't be had just now, for a person.
    async fn fired(&self) -> Result<Vec<Known>, String>;

    /// Keeps a call of the schedule, and that this due time has fired, both or neither.
    ///
    /// # Errors
    /// Why neither could be kept, for a person.
    async fn fire(&self, firing: Firing) -> Result<Fired, String>;

    /// Remembers something of a schedule, durably.
    ///
    /// # Errors
    /// As for [`Calls::fire`].
    async fn mark(&self, key: Key, mark: Mark) -> Result<(), String>;
}

/// A schedule of a function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Whose.
    pub function: FunctionId,
    /// [`Schedule::key`](crate::function::Schedule::key).
    pub schedule: String,
}

/// What is remembered of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub key: Key,
    /// Since when it counts.
    pub anchor: Timestamp,
    /// The last due time that fired, was skipped or was missed.
    pub last_due: Option<Timestamp>,
    /// The call that it made last.
    pub last_call: Option<String>,
    /// When it made that.
    pub fired_at: Option<Timestamp>,
    /// Due times that were missed, in all.
    pub missed: u64,
    /// Due times that were skipped, in all.
    pub skipped: u64,
}

/// A due time that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// Of which schedule.
    pub key: Key,
    /// How people write the schedule.
    pub text: String,
    /// The due time. One that is not after the last that was dealt with does not fire again.
    pub due: Timestamp,
    /// What time it is.
    pub now: Timestamp,
    /// Whether it is skipped while the schedule's last call has not ended.
    pub skip: bool,
}

/// What came of a due time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fired {
    /// This call is kept.
    Now(String),
    /// This due time, or a later one, was dealt with before.
    Already,
    /// The call before it has not ended.
    Skipped,
}

/// What is remembered of a schedule beside its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is there, and counts from now on unless it was known before.
    Seen(Timestamp),
    /// It counts from now on, whatever fired before.
    Anew(Timestamp),
    /// So many due times up to this one got no call.
    Missed(Timestamp, u64),
    /// It is there no more.
    Gone,
}

/// The clock on the wall, which anybody may set.
pub trait Wall: Send + Sync {
    /// What it shows.
    fn now(&self) -> Timestamp;
}
