//! The heart: the life of one function as data. Pure — no clock, no I/O, no async, nothing of ours imported.
//!
//! [`Lifecycle`] is level-triggered: an [`Event`] changes what is desired or observed, then the [`Effect`]s follow from
//! comparing the two. Time comes in as [`Uptime`] and goes out as [`Effect::RetryAfter`].

mod confinement;
#[cfg(test)]
mod histories;
pub mod intents;
mod lifecycle;
mod pressure;
mod readiness;
pub mod scaling;
mod spec;

#[cfg(feature = "testing")]
pub(crate) use spec::fuzzed;

pub use confinement::way_out;
pub use lifecycle::{
    Adjusted, Backoff, Desired, Effect, Event, Exit, Failure, Generation, GoodGeneration, History, InstancePhase,
    Lifecycle, Observed, ObservedState, Outcome, Outlook, Phase, RefusedUpdate, StartError, Status, Step, Tier, Uptime,
};
pub use pressure::{Memory, Pressure, Shedding, sleepers_to_stop};
pub use readiness::{Answer, GRACE, GoodVersion, HEALTH, Judged, Verdict};
pub use spec::{
    ANNOTATION_PREFIX, AnswerLimit, Capability, Checks, Compat32Bit, Destination, Fields, FunctionId, FunctionName,
    GracePeriod, GrantableCapabilities, HttpCheck, InstanceId, InstanceIds, Invalid, Jitter, LoadType, Missed,
    Namespace, NamespaceMetadata, OPENFAAS, Outbound, Overlap, PullPolicy, Resources, Resting, RetryCodes, RetryRule,
    Rule, RuntimeName, RuntimeNames, Scaling, Schedule, Schedules, SecretName, Signal, Spec, SpecDraft, When,
    Whereabouts, parse_cpu_millis, parse_duration, parse_memory_bytes, parse_pids_limit, upstream_port,
};
