//! What the autoscaler decided and why, in a sentence for the person who reads the log or a function's status.

use std::fmt;
use std::time::Duration;

use super::steps::CALLS_EACH;
use super::words::{number, time};
use crate::function::LoadType;

/// What came of a look.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// So many replicas should run.
    pub wanted: u32,
    /// Why.
    pub reason: Reason,
    /// Whether that is another number than was decided at the look before: worth a line in the log.
    pub changed: bool,
    /// The load that counted most, if any is known.
    pub load: Option<Measured>,
}

/// A load, and how much of it is planned with for one replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// What was measured.
    pub load: LoadType,
    /// How much of it there is, all replicas together, in its own unit.
    pub total: f64,
    /// How much of it one replica should have at most.
    pub each: f64,
}

impl Measured {
    /// So many replicas share it so that none has too much; at least one.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        // A load that is exactly what some replicas should have needs no further one for an error in the last digit.
        let exact = (self.total / self.each - 1e-9).ceil().max(1.0);
        // A float is cut to the bounds of the type.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is at least 1, and cut above")]
        let replicas = exact as u32;
        replicas
    }
}

/// Why so many are wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// As many run already, and nothing asks for another number.
    Running,
    /// The load needs them.
    Load(Measured),
    /// There are more calls than one replica should have: a step.
    Step {
        /// Calls a second, for each replica.
        each: f64,
    },
    /// No more were needed for so long.
    EnoughFor(Duration),
    /// An operator or an alert set the number; the load is gone by again after that.
    ByHand {
        /// How long that is.
        left: Duration,
    },
    /// More would be needed, or fewer would do, and the function's bounds forbid it.
    Bounds {
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
    },
    /// More would be needed, and can't be started.
    Limit {
        /// Why not.
        why: String,
        /// When one more is tried.
        again_in: Duration,
    },
    /// One more is tried, after more could not be started before.
    TriedAgain,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("as many run already"),
            Self::Load(measured) => measured.fmt(f),
            Self::Step { each } => {
                write!(f, "{} calls a second a replica, more than {}", number(*each), number(CALLS_EACH))
            }
            Self::EnoughFor(span) => write!(f, "no more were needed for {}", time(*span)),
            Self::ByHand { left } => write!(f, "set by hand, the load counts again in {}", time(*left)),
            Self::Bounds { min, max } => write!(f, "from {min} to {max} replicas are allowed"),
            Self::Limit { why, again_in } => {
                write!(f, "no more can be started, tried again in {}: {why}", time(*again_in))
            }
            Self::TriedAgain => f.write_str("tried again, after no more could be started"),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.load {
            LoadType::Rps => "calls a second",
            LoadType::Capacity => "requests in flight",
            LoadType::Cpu => "milli-cores used",
            LoadType::Queue => "calls queued",
            LoadType::Custom => "units of load",
        };
        write!(f, "{} {what}, {} a replica wanted", number(self.total), number(self.each))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_shared_so_that_no_replica_has_more_than_it_should() {
        for (total, each, replicas) in [
            (0.0, 45.0, 1),
            (45.0, 45.0, 1),
            (45.1, 45.0, 2),
            (15.0, 5.0, 3),
            (25.0, 5.0, 5),
            (90.0, 70.0, 2),
            (0.9 * 3.0, 0.9, 3),
            (1e30, 1.0, u32::MAX),
        ] {
            assert_eq!(Measured { load: LoadType::Rps, total, each }.replicas(), replicas, "{total} / {each}");
        }
    }

    #[test]
    fn reasons_are_short_sentences() {
        let measured = |load, total, each| Reason::Load(Measured { load, total, each });
        let span = Duration::from_secs;
        for (reason, sentence) in [
            (measured(LoadType::Capacity, 12.04, 2.0), "12 requests in flight, 2 a replica wanted"),
            (measured(LoadType::Rps, 119.6, 4.5), "120 calls a second, 4.5 a replica wanted"),
            (measured(LoadType::Cpu, 1234.5, 630.0), "1234 milli-cores used, 630 a replica wanted"),
            (measured(LoadType::Capacity, 1.24, 0.95), "1.2 requests in flight, 0.95 a replica wanted"),
            (Reason::Step { each: 8.25 }, "8.2 calls a second a replica, more than 5"),
            (Reason::EnoughFor(span(60)), "no more were needed for 60 s"),
            (Reason::EnoughFor(span(300)), "no more were needed for 5 min"),
            (Reason::ByHand { left: Duration::from_millis(29_500) }, "set by hand, the load counts again in 30 s"),
            (Reason::Bounds { min: 2, max: 12 }, "from 2 to 12 replicas are allowed"),
            (
                Reason::Limit { why: "no address is left".into(), again_in: span(30) },
                "no more can be started, tried again in 30 s: no address is left",
            ),
            (Reason::TriedAgain, "tried again, after no more could be started"),
            (Reason::Running, "as many run already"),
        ] {
            assert_eq!(reason.to_string(), sentence);
        }
    }
}
