//! What a function is asked to be: names, quantities, and what its labels, annotations and variables say.

mod auth;
mod capabilities;
mod checks;
mod compat;
mod duration;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod keys;
mod meant;
mod name;
mod namespace;
mod outbound;
mod pull_policy;
mod quantity;
mod queue;
mod resend;
mod resources;
mod resting;
mod retry;
mod runtime;
mod scaling;
mod schedule;
mod spare;
mod timeout;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::capabilities::{Capability, GrantableCapabilities};
pub use self::checks::{Checks, HttpCheck};
pub use self::compat::Compat32Bit;
pub use self::duration::parse_duration;
use self::keys::Keys;
pub use self::name::{FunctionId, FunctionName, InstanceId, InstanceIds, Invalid, Namespace, RuntimeName, SecretName};
pub use self::namespace::{NamespaceMetadata, OPENFAAS};
pub use self::outbound::{Destination, Outbound};
pub use self::pull_policy::PullPolicy;
pub use self::quantity::{parse_cpu_millis, parse_memory_bytes};
pub use self::resources::{Resources, parse_pids_limit};
pub use self::resting::Resting;
use self::resting::RestingKeys;
pub use self::retry::{Jitter, RetryCodes, RetryRule};
pub use self::runtime::RuntimeNames;
pub use self::scaling::{LoadType, Rule, Scaling, Signal};
pub use self::schedule::{Fields, Missed, Overlap, Schedule, Schedules, When};
pub use self::timeout::{AnswerLimit, GracePeriod};
pub use self::upstream::{Whereabouts, upstream_port};

/// Annotations are kept on the container as labels under this prefix.
pub const ANNOTATION_PREFIX: &str = "com.openfaas.annotations.";

/// Linux refuses to start a process with a longer `NAME=value`, the closing NUL included (MAX_ARG_STRLEN).
const VARIABLE_MAX: usize = 128 * 1024;

/// A spec before it was checked: plain fields, as a deployment carries them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecDraft {
    /// Image reference as it was sent.
    pub image: String,
    /// The process that the watchdog runs (`fprocess`); empty for the image's own.
    pub env_process: String,
    /// Environment variables as they were sent.
    pub env_vars: BTreeMap<String, String>,
    /// Placement constraints; kept and given back, without effect on a single machine.
    pub constraints: Vec<String>,
    /// Names of secrets that are mounted.
    pub secrets: Vec<SecretName>,
    /// Labels as they were sent.
    pub labels: BTreeMap<String, String>,
    /// Annotations as they were sent.
    pub annotations: BTreeMap<String, String>,
    /// Upper bounds.
    pub limits: Option<Resources>,
    /// What is left to it when the machine runs short.
    pub requests: Option<Resources>,
    /// Whether the root file system is mounted read-only.
    pub read_only_root_filesystem: bool,
}

/// What a function is asked to be, checked: its holder may rely on its quantities and labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SpecDraft", into = "SpecDraft")]
pub struct Spec(SpecDraft);

impl std::ops::Deref for Spec {
    type Target = SpecDraft;
    fn deref(&self) -> &SpecDraft {
        &self.0
    }
}

impl From<Spec> for SpecDraft {
    fn from(spec: Spec) -> Self {
        spec.0
    }
}

impl TryFrom<SpecDraft> for Spec {
    type Error = Invalid;

    /// # Errors
    /// [`Invalid`] with the field and the rule: no image, a quantity that can't be read, a label that collides with an
    /// annotation, an environment variable that can't be one, an annotation of ours that can't be read.
    fn try_from(draft: SpecDraft) -> Result<Self, Invalid> {
        let spec = Self::exported(draft)?;
        let mut keys = Keys::of(&spec);
        Scaling::read(&mut keys);
        RestingKeys::read(&mut keys);
        spare::spare(&mut keys);
        runtime::runtime(&mut keys);
        capabilities::capabilities(&mut keys);
        compat::compat(&mut keys);
        outbound::outbound(&mut keys);
        RetryRule::read(&mut keys);
        queue::max_inflight(&mut keys);
        queue::call_deadline(&mut keys);
        schedule::schedules(&mut keys);
        keys.fault()?;
        Ok(spec)
    }
}

impl Spec {
    /// A spec that an actord wrote down which had accepted it: checked like a new one, but for the keys of scaling, resting
    /// and asynchronous calls. They had no rules once, and what can't be read there counts as not given.
    ///
    /// # Errors
    /// As for a new one.
    pub fn exported(draft: SpecDraft) -> Result<Self, Invalid> {
        if draft.image.trim().is_empty() {
            return Err(Invalid("no image: give an image reference such as docker.io/functions/figlet:latest".into()));
        }
        for resources in [&draft.limits, &draft.requests].into_iter().flatten() {
            resources.check()?;
        }
        for key in draft.annotations.keys() {
            let label = format!("{ANNOTATION_PREFIX}{key}");
            if draft.labels.contains_key(&label) {
                return Err(Invalid(format!("label {label:?} collides with annotation {key:?}: remove one of them")));
            }
        }
        for key in draft.labels.keys().chain(draft.annotations.keys()) {
            if key.is_empty() {
                return Err(Invalid("invalid label or annotation \"\": give it a name".into()));
            }
        }
        for (key, value) in &draft.env_vars {
            check_variable(key, value)?;
        }
        check_variable("fprocess", &draft.env_process).map_err(|Invalid(why)| Invalid(format!("envProcess: {why}")))?;
        let spec = Self(draft);
        let mut keys = Keys::of(&spec);
        scaling::min_replicas(&mut keys);
        keys.fault()?;
        Checks::parse(&spec.annotations)?;
        checks::drain_timeout(&spec.annotations, &spec.env_vars)?;
        resources::pids_limit(&spec.annotations)?;
        pull_policy::annotated(&spec.annotations)?;
        AnswerLimit::parse(&spec.annotations, &spec.env_vars)?;
        resend::annotated(&spec.annotations)?;
        auth::annotated(&spec.annotations)?;
        Ok(spec)
    }
}

/// Whether this can be an environment variable at all: what can't would fail at every start.
fn check_variable(name: &str, value: &str) -> Result<(), Invalid> {
    let wrong = if name.is_empty() || name.contains(['=', '\0']) {
        "the name must not be empty or hold '=' or a NUL character".to_owned()
    } else if value.contains('\0') {
        "the value holds a NUL character".to_owned()
    } else if name.len() + "=".len() + value.len() + "\0".len() > VARIABLE_MAX {
        format!("name and value are longer than {} bytes: put it into a secret or the image", VARIABLE_MAX - 2)
    } else {
        return Ok(());
    };
    Err(Invalid(format!("invalid environment variable {name:?}: {wrong}")))
}

impl Spec {
    /// A spec that was checked when it was accepted, perhaps by an older program with fewer rules: what runs must not be
    /// lost over a rule that came later. Where it breaks one, the default holds.
    #[must_use]
    pub fn accepted_before(draft: SpecDraft) -> Self {
        Self(draft)
    }

    /// Replicas that a fresh deployment begins with: `com.openfaas.scale.min`, else 1.
    #[must_use]
    pub fn min_replicas(&self) -> u32 {
        scaling::min_replicas(&mut Keys::of(self))
    }

    /// How its instances are asked whether they are ready and well.
    #[must_use]
    pub fn checks(&self) -> Checks {
        Checks::parse(&self.annotations).unwrap_or_default()
    }

    /// When the registry is asked for its image, if the function says so.
    #[must_use]
    pub fn pull_policy(&self) -> Option<PullPolicy> {
        pull_policy::annotated(&self.annotations).ok().flatten()
    }

    /// How long a draining instance may go on with the requests that it has, if the function says so.
    #[must_use]
    pub fn drain_timeout(&self) -> Option<Duration> {
        checks::drain_timeout(&self.annotations, &self.env_vars).ok().flatten()
    }

    /// How long it may take to begin an answer.
    #[must_use]
    pub fn answer_limit(&self) -> AnswerLimit {
        AnswerLimit::parse(&self.annotations, &self.env_vars).unwrap_or_default()
    }

    /// Whether a safe request may be sent to it a second time when its connection broke before an answer.
    #[must_use]
    pub fn resend(&self) -> bool {
        resend::annotated(&self.annotations).unwrap_or(true)
    }

    /// Whether a call needs a token. What can't be read asks for one: it was not meant for all.
    #[must_use]
    pub fn asks_for_token(&self) -> bool {
        auth::annotated(&self.annotations).unwrap_or(true)
    }

    /// Between which bounds and by which rule it is scaled.
    #[must_use]
    pub fn scaling(&self) -> Scaling {
        Scaling::read(&mut Keys::of(self))
    }

    /// After how long without a call it rests, where `usual` is usual for functions that rest.
    #[must_use]
    pub fn resting(&self, usual: Resting) -> Resting {
        RestingKeys::read(&mut Keys::of(self)).or(usual)
    }

    /// How many instances are kept beyond those that are asked for, to take over when one dies.
    #[must_use]
    pub fn spare(&self) -> u32 {
        spare::spare(&mut Keys::of(self))
    }

    /// The OCI runtime that it chooses, if it does. Whether there is such a one is [`RuntimeNames::of`]'s to say.
    #[must_use]
    pub fn runtime(&self) -> Option<RuntimeName> {
        runtime::runtime(&mut Keys::of(self))
    }

    /// The capabilities that it asks for. Whether it may have them is [`GrantableCapabilities::of`]'s to say.
    #[must_use]
    pub fn capabilities(&self) -> BTreeSet<Capability> {
        capabilities::capabilities(&mut Keys::of(self))
    }

    /// Whether it asks for the 32-bit way into the kernel. Whether it may have that is [`Compat32Bit::of`]'s to say.
    #[must_use]
    pub fn compat_32bit(&self) -> bool {
        compat::compat(&mut Keys::of(self))
    }

    /// Where its instances may send to.
    #[must_use]
    pub fn outbound(&self) -> Outbound {
        outbound::outbound(&mut Keys::of(self))
    }

    /// When its asynchronous calls are tried again, and how often.
    #[must_use]
    pub fn retry(&self) -> RetryRule {
        RetryRule::read(&mut Keys::of(self))
    }

    /// Most of its asynchronous calls that are under way side by side, if the function says so.
    #[must_use]
    pub fn max_inflight(&self) -> Option<u32> {
        queue::max_inflight(&mut Keys::of(self))
    }

    /// How long an asynchronous call of it may wait and be tried in all, if the function says so.
    #[must_use]
    pub fn call_deadline(&self) -> Option<Duration> {
        queue::call_deadline(&mut Keys::of(self))
    }

    /// When it is called by the clock, if it asks for it. Whether the machine knows the zones is for `cron` to say.
    #[must_use]
    pub fn schedules(&self) -> Option<Schedules> {
        schedule::schedules(&mut Keys::of(self))
    }

    /// The memory limit in bytes, if one is set.
    #[must_use]
    pub fn memory_limit_bytes(&self) -> Option<u64> {
        self.limits.as_ref()?.memory_bytes()
    }

    /// The cpu limit in milli-cores, if one is set.
    #[must_use]
    pub fn cpu_limit_millis(&self) -> Option<u64> {
        self.limits.as_ref()?.cpu_millis()
    }

    /// The most bytes of the machine's disk that what an instance writes may take, if the function says so.
    #[must_use]
    pub fn storage_limit_bytes(&self) -> Option<u64> {
        self.limits.as_ref()?.storage_bytes()
    }

    /// Whether what an instance writes is on the machine's disk. With a read-only root it is in memory, and counted there.
    #[must_use]
    pub fn writes_to_disk(&self) -> bool {
        !self.read_only_root_filesystem
    }

    /// The memory in bytes that should be left to it when the machine runs short, if the function says so.
    #[must_use]
    pub fn memory_request_bytes(&self) -> Option<u64> {
        self.requests.as_ref()?.memory_bytes()
    }

    /// The cpu in milli-cores that is its share when the machine is busy, if the function says so.
    #[must_use]
    pub fn cpu_request_millis(&self) -> Option<u64> {
        self.requests.as_ref()?.cpu_millis()
    }

    /// The most processes and threads of one instance, if the function says so.
    #[must_use]
    pub fn pids_limit(&self) -> Option<u32> {
        resources::pids_limit(&self.annotations).ok().flatten()
    }

    /// The environment that the function's process gets on top of the image's: `fprocess` from `envProcess`, which an
    /// `fprocess` among the variables overrides.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        if !self.env_process.is_empty() {
            environment.insert("fprocess".to_owned(), self.env_process.clone());
        }
        environment.extend(self.env_vars.clone());
        environment
    }

    /// Labels that the container carries: the function's own, and its annotations under [`ANNOTATION_PREFIX`].
    #[must_use]
    pub fn container_labels(&self) -> BTreeMap<String, String> {
        let annotations =
            self.annotations.iter().map(|(key, value)| (format!("{ANNOTATION_PREFIX}{key}"), value.clone()));
        self.labels.clone().into_iter().chain(annotations).collect()
    }
}
