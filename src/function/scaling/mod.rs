//! How many replicas a function should have, and when it should rest: the only place that chooses either. Pure: no clock,
//! no I/O, no async; what a driver looked at comes in, what to do goes out.
//!
//! ```text
//! Observation (status, counters) --> Autoscaler::decide --> Decision { wanted, reason }   -> Engine::adjust
//!   loads     counters -> calls a second, requests in flight, milli-cores; what one look saw is noise
//!   rule      targets: load / (target x proportion) replicas     steps: a step more while there are many calls each
//!   window    up at once; down to the largest number of the last so many seconds
//!   limits    what can't be started is not asked for again and again
//! ```
//!
//! What a function becomes that nothing calls is chosen beside it:
//!
//! ```text
//! Idleness (status, how long idle, cpu) --> Idler::decide --> Rest { act, frozen_in, stopped_in }   -> Engine::rest
//! ```
//!
//! # How a driver uses it
//!
//! It keeps one [`Autoscaler`] for each function that is deployed (by its entry in the routes, so that one of the same name
//! that comes later begins anew), and looks at every function once a second or more often:
//!
//! 1. `desired.serving_spec().scaling()` is the rule. A look costs little, and next to nothing where there is no rule.
//! 2. [`Counters`] from the function's entry in the routes; `cpu` is [`Used::cpu_total`](crate::engine::Used), and needs to
//!    be read only if [`Autoscaler::needs_cpu`], every few seconds at most. [`Observation::of`] takes the rest from the
//!    status.
//! 3. [`Autoscaler::decide`]. `None`: leave it alone, and show no number of the autoscaler's.
//! 4. If [`Decision::wanted`] is not `Observation::running`: `Engine::adjust(id, wanted, reason)`. One that is refused is
//!    decided again at the next look, so no refusal has to be remembered.
//! 5. If [`Decision::changed`]: a line in the log. [`Decision::load`], `wanted` and `reason` are for the metrics.
//!
//! 6. One [`Idler`] beside it, also for functions without a rule of scaling: `serving_spec().resting(the settings)`, and
//!    [`Idleness::of`] the status and `FunctionEntry::idle_for()`, without cpu. [`Act::LookAtCpu`]: read the function's
//!    `cpu_total` and decide once more with it; that is twice in the life of an idle function, and every ten seconds while
//!    it is busy with itself. [`Act::Rest`]: `Engine::rest(id, tier)`; what can't rest just now is decided again later.
//!    [`Idleness::next`] is the next step, for people.
//!
//! A function that is at zero is looked at, too: that is how both learn that it was woken.
//!
//! # How fast it is
//!
//! A load that lasts is followed at the second look that saw the whole of it (at the first one a second after it began, if
//! looks are more frequent). One that a single look saw counts for a fifth. Fewer replicas are kept as soon as no more were
//! needed for the whole window. The rule without a target looks at the calls of 10 s, and makes its first step 5 s after
//! they were too many.

mod autoscaler;
mod decision;
mod idler;
mod limits;
mod loads;
mod observation;
#[cfg(test)]
mod properties;
mod series;
mod steps;
#[cfg(test)]
mod tests;
mod window;
mod words;

pub use autoscaler::Autoscaler;
pub use decision::{Decision, Measured, Reason};
pub use idler::{Act, Idleness, Idler, Rest};
pub use observation::{Counters, Observation};
