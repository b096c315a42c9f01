//! What is asked of the engine, each in a task of its own: the driver waits for none of it.

use std::sync::Arc;
use std::time::Duration;

use super::followed::Wish;
use crate::engine::{Engine, Refused};
use crate::routes::FunctionEntry;

/// What came of an errand.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The cpu time that was read, if it could be.
    Cpu(Option<Duration>),
    /// It was asked to rest, or is not idle any more.
    Rested,
    /// The engine knows how many instances are to run, or could not be told.
    Adjusted,
}

/// Fulfils a wish. What the engine refuses is wished for again.
pub(super) async fn run(engine: Arc<dyn Engine>, entry: FunctionEntry, wish: Wish) -> (FunctionEntry, Outcome) {
    let id = entry.function();
    let outcome = match wish {
        Wish::ReadCpu => Outcome::Cpu(engine.cpu_time(id).await),
        Wish::Rest(tier, idle) => {
            // The function may be another one of its name by now, or be called.
            if !entry.is_deleted() && entry.idle_for() >= idle {
                note(&entry, engine.rest(id, tier).await);
            }
            Outcome::Rested
        }
        Wish::Adjust(wanted, reason) => {
            if !entry.is_deleted() {
                note(&entry, engine.adjust(id, wanted, reason).await);
            }
            Outcome::Adjusted
        }
    };
    (entry, outcome)
}

fn note(entry: &FunctionEntry, answer: Result<(), Refused>) {
    if let Err(error) = answer {
        tracing::debug!(function = %entry.function(), %error, "can't be scaled or rest just now");
    }
}
