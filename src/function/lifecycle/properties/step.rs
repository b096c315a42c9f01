//! One step of a random history, decoded from a number so that twenty thousand histories are cheap to make and shrink.

use crate::function::Tier;

/// How the host does a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Well,
    /// It fails, and may succeed the next time.
    Badly,
    /// It fails in a way that only a new spec mends.
    Hopelessly,
}

/// What dies in a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// The actor alone: the routes and the requests under way survive.
    Panic,
    /// The whole process, maybe before its last record was written.
    Kill,
}

/// One step. `pick` chooses among whatever there is at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A piece of work is done, or a message arrives, in any order.
    Proceed {
        pick: usize,
        how: How,
    },
    /// A message or timer arrives, and will arrive again.
    Twice {
        pick: usize,
    },
    /// A process dies by itself.
    Crash {
        pick: usize,
    },
    /// An instance that serves is no longer ready, or one that is not is ready again.
    Waver {
        pick: usize,
    },
    /// A process goes on running and is not well.
    Sicken {
        pick: usize,
    },
    /// A request is sent to a published instance.
    Request {
        pick: usize,
    },
    /// All requests of an instance are answered.
    Answer {
        pick: usize,
    },
    Wait {
        half_seconds: u32,
    },
    /// A spec is accepted, made durable and applied; something else may happen before it is applied.
    Apply {
        spec: u32,
        meanwhile: Option<usize>,
    },
    Scale {
        replicas: u32,
        meanwhile: Option<usize>,
    },
    KeepDown {
        down: bool,
        meanwhile: Option<usize>,
    },
    Delete {
        meanwhile: Option<usize>,
    },
    /// The load asks for so many.
    Adjust {
        replicas: u32,
    },
    /// Nothing was called for a while.
    Rest {
        tier: Tier,
    },
    /// A request waits and no instance is asked for, or was not a moment ago.
    Wake,
    /// The newest generation failed and is refused: what was asked for before it is made durable again, and told.
    PutBack {
        meanwhile: Option<usize>,
    },
    /// Whatever was under way is lost, done or half done, as the `bits` say; a fresh lifecycle takes over.
    Restart {
        death: Death,
        bits: u32,
    },
}

impl Step {
    pub(super) fn decode(word: u32) -> Self {
        let (kind, rest) = (word % 45, word / 45);
        let pick = (rest / 16) as usize;
        let meanwhile = (rest / 8).is_multiple_of(2).then_some(pick);
        match kind {
            0..=14 => {
                let how = match rest % 16 {
                    0..=11 => How::Well,
                    12..=14 => How::Badly,
                    _ => How::Hopelessly,
                };
                Self::Proceed { pick, how }
            }
            15..=16 => Self::Twice { pick },
            17..=19 => Self::Crash { pick },
            20..=21 => Self::Request { pick },
            22 => Self::Answer { pick },
            23..=25 => {
                let half_seconds = match rest % 16 {
                    0..=5 => 1 + rest / 16 % 4,
                    6..=10 => 5 + rest / 16 % 30,
                    11..=14 => 60 + rest / 16 % 80,
                    _ => 610,
                };
                Self::Wait { half_seconds }
            }
            26 => {
                let death = if rest.is_multiple_of(2) { Death::Panic } else { Death::Kill };
                Self::Restart { death, bits: rest / 2 }
            }
            27..=29 => Self::Apply { spec: rest % 4, meanwhile },
            30 => Self::Scale { replicas: rest % 5, meanwhile },
            31..=33 => Self::Waver { pick },
            34 => Self::Sicken { pick },
            35 => Self::KeepDown { down: rest.is_multiple_of(3), meanwhile },
            36..=37 => Self::Wake,
            38..=39 => Self::PutBack { meanwhile },
            40 => Self::Adjust { replicas: rest % 5 },
            41..=43 => {
                Self::Rest { tier: [Tier::Frozen, Tier::Stopped, Tier::Frozen, Tier::Ready][(rest % 4) as usize] }
            }
            _ => Self::Delete { meanwhile },
        }
    }
}
