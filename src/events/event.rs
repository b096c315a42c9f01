//! What an event says.

use std::time::Duration;

use tokio::time::Instant;

use super::id::EventId;
use crate::function::{FunctionId, Generation, Phase, Step};
use crate::queue::{CallId, End};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What it is called.
    pub id: EventId,
    /// When it was told.
    pub at: Instant,
    /// Which function it happened to; none: the machine.
    pub function: Option<FunctionId>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The function stands in another way, which is this.
    Phase {
        /// Where it stands as a whole.
        phase: Phase,
        /// The generation that is asked for.
        generation: Generation,
        /// The newest one that serves.
        serving: Option<Generation>,
        /// So many instances serve.
        ready: u32,
        /// So many should.
        replicas: u32,
        /// Why, for a person.
        reason: Option<String>,
        /// How long until the next start, while it backs off.
        retry_in: Option<Duration>,
    },
    /// Another generation is asked for.
    Deployed {
        /// Which.
        generation: Generation,
        /// Its image.
        image: String,
        /// Whether there was no function of this name before.
        created: bool,
    },
    /// Its deletion was accepted.
    Deleted,
    /// An instance that served had to be replaced.
    Restart {
        /// How often that has happened.
        restarts: u64,
        /// Why, for a person.
        reason: Option<String>,
    },
    /// Another number of instances should serve.
    Scale {
        /// Before.
        from: u32,
        /// From now on.
        to: u32,
        /// Why.
        because: Because,
    },
    /// An update was refused, and what was asked for before it is asked for again.
    Refused {
        /// Its generation.
        generation: Generation,
        /// Its image.
        image: String,
        /// Why.
        reason: String,
    },
    /// What is being brought up is in another step, or waits for something else in it.
    Step {
        /// Where it is.
        step: Step,
        /// What it waits for there, for a person.
        waits_for: Option<String>,
    },
    /// Asynchronous calls ended without an answer, or wait again. Those that are done are not told of: they are as many as calls.
    Call {
        /// Which; none: several.
        id: Option<CallId>,
        /// How.
        ended: End,
        /// Why.
        reason: Option<String>,
        /// How many.
        count: u64,
    },
    /// What is wrong with what actord needs, one line each; none: all is well again.
    Faults(Vec<String>),
    /// Whether no asynchronous call is sent because memory is short.
    Paused(bool),
}

/// Why another number of instances should serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// It was asked for.
    Asked,
    /// The load, in these words.
    Load(String),
    /// Nothing was called for a while.
    Idle,
    /// It is no longer idle.
    Woken,
    /// An operator keeps it down.
    KeptDown,
    /// An operator keeps it down no longer.
    Started,
}

impl What {
    /// All words of [`What::word`].
    pub(super) const WORDS: [&str; 10] =
        ["phase", "deployed", "deleted", "restart", "scale", "refused", "step", "call", "faults", "paused"];

    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let [phase, deployed, deleted, restart, scale, refused, step, call, faults, paused] = Self::WORDS;
        match self {
            Self::Phase { .. } => phase,
            Self::Deployed { .. } => deployed,
            Self::Deleted => deleted,
            Self::Restart { .. } => restart,
            Self::Scale { .. } => scale,
            Self::Refused { .. } => refused,
            Self::Step { .. } => step,
            Self::Call { .. } => call,
            Self::Faults(_) => faults,
            Self::Paused(_) => paused,
        }
    }
}

impl Because {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Load(_) => "load",
            Self::Idle => "idle",
            Self::Woken => "woken",
            Self::KeptDown => "stopped",
            Self::Started => "started",
        }
    }
}
