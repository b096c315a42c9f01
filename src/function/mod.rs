//! The heart: the life of one function as data. Pure — no clock, no I/O, no async, nothing of ours imported.
//!
//! [`Lifecycle`] is level-triggered: an [`Event`] changes what is desired or observed, then the [`Effect`]s follow from
//! comparing the two. Time comes in as [`Uptime`] and goes out as [`Effect::RetryAfter`].

mod backoff;
mod checks;
mod duration;
mod lifecycle;
mod name;
mod namespace;
mod pull_policy;
mod quantity;
mod resources;
mod scaling;
mod spec;
mod status;
mod timeout;

pub use backoff::Backoff;
pub use checks::{Checks, HttpCheck};
pub use duration::parse_duration;
pub use lifecycle::{Effect, Event, Lifecycle, Observed, ObservedState, Outcome};
pub use name::{FunctionId, FunctionName, InstanceId, InstanceIds, Invalid, Namespace, SecretName};
pub use namespace::{NamespaceMetadata, OPENFAAS};
pub use pull_policy::PullPolicy;
pub use quantity::{parse_cpu_millis, parse_memory_bytes};
pub use resources::{Resources, parse_pids_limit};
pub use scaling::Scaling;
pub use spec::{ANNOTATION_PREFIX, Desired, Spec, SpecDraft};
pub use status::{Exit, Failure, Generation, InstancePhase, Phase, StartError, Status, Step, Uptime};
pub use timeout::AnswerLimit;
