//! When a function is called by the clock.

use std::time::Duration;

use super::keys::Keys;

/// When a function is called by the clock, and what becomes of times that were missed.
#[derive(Debug, Clone)]
pub struct Schedules {
    /// Each fires for itself.
    pub all: Vec<Schedule>,
    /// What becomes of due times at which actord was not there.
    pub missed: Missed,
    /// Whether a call is made while the one before it goes on.
    pub overlap: Overlap,
}

/// One schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// As it was written; it is what tells it from the others of its function.
    pub text: String,
    /// The name of the zone that its times are of; none: the usual one.
    pub zone: Option<String>,
    /// When it is due.
    pub when: When,
}

/// When a schedule is due.
#[derive(Debug, Clone)]
pub enum When {
    /// At minutes of the calendar.
    Cron(Box<croner::Cron>),
    /// After each such time.
    Every(Duration),
}

/// What becomes of due times at which actord was not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missed {
    /// They are counted and told.
    #[default]
    None,
    /// The newest of them fires late.
    RunOnce,
}

/// Whether a call is made while the one before it goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is.
    #[default]
    Allow,
    /// It is skipped and counted.
    Skip,
}

/// What the keys say; none where the function has no schedule.
pub(super) fn schedules(_keys: &mut Keys<'_>) -> Option<Schedules> {
    None
}
