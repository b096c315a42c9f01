//! What an engine tells of a function.

use std::time::Duration;

use crate::function::{FunctionId, Status, Step};

/// Whether a deployment may, or must, find a function of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// POST: there must be none.
    Create,
    /// PUT: there must be one.
    Update,
}

/// One function as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Which function.
    pub id: FunctionId,
    /// What is desired and observed of it.
    pub status: Status,
    /// How long it has been in its phase, as far as this engine knows; none if it does not.
    pub in_phase_for: Option<Duration>,
    /// How long until the next start, while it backs off.
    pub retry_in: Option<Duration>,
    /// How far the newest generation that is being brought up has come: its instance that is furthest behind.
    pub step: Option<Step>,
    /// What that instance waits for in this step, for a person, if it is known.
    pub waits_for: Option<String>,
    /// How far its image is, while it is being pulled.
    pub pull: Option<PullProgress>,
    /// How the version that serves was found to be ready, where that was not by its own word: for a person.
    pub judged: Option<String>,
}

/// How far the pull of an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullProgress {
    /// Bytes of its layers that are here.
    pub pulled: u64,
    /// Bytes that its layers have, once the registry has told.
    pub total: Option<u64>,
}

/// What a function uses, all of its instances together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// Milli-cores, averaged since it was last measured; at first, since its instances were started.
    pub cpu_millis: f64,
    /// Memory in bytes that can't easily be taken back: the working set.
    pub memory_bytes: u64,
    /// Cpu time since this engine took the function over, that of instances that are gone included.
    pub cpu_total: Duration,
}
