//! What is observed of a function and of its instances.

use std::fmt;
use std::time::Duration;

use super::desired::{Desired, Generation};

/// Time as data: how long this process has been up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Uptime(pub Duration);

impl Uptime {
    /// This moment plus `delay`.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// How a function's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With this exit code (0 to 255).
    Code(u32),
    /// By this signal.
    Signal(u32),
    /// Killed by the kernel for using more memory than its limit.
    OutOfMemory,
    /// It was not seen: the task was gone when it was looked for, or the process ended and containerd did not say how.
    Vanished,
}

impl Exit {
    /// From the exit status that a shell and runc use: 128 + n for signal n.
    #[must_use]
    pub fn from_status(status: u32) -> Self {
        match status {
            129..=192 => Self::Signal(status - 128),
            code => Self::Code(code),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::OutOfMemory => f.write_str("was killed: out of memory"),
            Self::Vanished => f.write_str("vanished"),
        }
    }
}

/// Why an instance did not get to serve. The variant tells who can act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The image can't be had: the caller mends the reference, the credentials or the registry.
    #[error("{0}")]
    Image(String),
    /// The spec can't be run as it is: the caller mends it.
    #[error("{0}")]
    Spec(String),
    /// The machine could not do it just now: it may heal.
    #[error("{0}")]
    Host(String),
    /// A disk of the machine has no room for it: the operator frees some, and a later attempt succeeds.
    #[error("{0}")]
    NoRoom(String),
    /// The process ended before it was ready.
    #[error("the process {exit} before it was ready{}", .hint.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Exited {
        /// How it ended.
        exit: Exit,
        /// The end of what it wrote, if anything.
        hint: Option<String>,
    },
    /// The process runs, and did not answer its readiness check in time.
    #[error("{0}")]
    NotReady(String),
}

impl StartError {
    /// Whether no later attempt can succeed: a generation that never served fails for good with it. The exit codes are
    /// those that a shell gives a command that it can't execute, or that is not there.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Image(_) | Self::Spec(_) | Self::Exited { exit: Exit::Code(126 | 127), .. })
    }

    /// How the process ended, if it was that and its end was seen.
    pub(super) fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Exited { exit: Exit::Vanished, .. } => None,
            Self::Exited { exit, .. } => Some(exit),
            _ => None,
        }
    }
}

/// The newest thing that went wrong with a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The generation that it happened to.
    pub generation: Generation,
    /// What happened, for a person.
    pub reason: String,
}

/// Where one instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstancePhase {
    /// Being brought up.
    Starting,
    /// Found running by a fresh actor, being looked at.
    Adopting,
    /// Serving.
    Ready,
    /// As ready, with its processes frozen until the next call.
    Frozen,
    /// Ready, and gets no request until one that serves is missing; its processes are frozen where that can be.
    Spare,
    /// Served before, and says that it can't just now: gets no request until it says that it can again.
    Unready,
    /// Takes no new request, finishes those it has.
    Draining,
    /// Being torn down.
    Removing,
}

impl InstancePhase {
    /// Whether it serves: at once, or as soon as it is thawed for a call.
    #[must_use]
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Ready | Self::Frozen)
    }
}

impl fmt::Display for InstancePhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Adopting => "adopting",
            Self::Ready => "ready",
            Self::Frozen => "frozen",
            Self::Spare => "spare",
            Self::Unready => "not ready",
            Self::Draining => "draining",
            Self::Removing => "removing",
        })
    }
}

/// What an instance that is being brought up waits for. The later step is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The image is being made complete on this machine.
    Pulling,
    /// Others are being started; it waits for its turn.
    WaitingForPlace,
    /// It gets its network.
    Attaching,
    /// Its container is being made.
    Creating,
    /// Its process is being started.
    Starting,
    /// The process runs, and has not said yet that it can take requests.
    WaitingUntilReady,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pulling => "pulling",
            Self::WaitingForPlace => "waiting for a place",
            Self::Attaching => "attaching",
            Self::Creating => "creating",
            Self::Starting => "starting",
            Self::WaitingUntilReady => "waiting until ready",
        })
    }
}

/// Where the function as a whole stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Fewer instances serve than asked for; more are on their way.
    Starting,
    /// Fewer instances serve than asked for, because some say that they are not ready.
    Unready,
    /// As many instances serve as asked for, all of the newest generation.
    Ready,
    /// As ready, and all of its instances are frozen until the next call.
    Frozen,
    /// Nothing is to run until the next call, because nothing was called for a while.
    Idle,
    /// The next start waits until then, because the last ones failed.
    BackingOff {
        /// When the next start is due.
        until: Uptime,
    },
    /// The newest generation will not heal by itself; an older one may be serving.
    Failed,
    /// Nothing is to run: it was scaled to zero, or kept down.
    Stopped,
    /// Deleted; its instances are on their way out.
    Deleting,
}

impl Phase {
    /// The word for [`Phase::BackingOff`].
    pub const BACKING_OFF: &str = "backing off";
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Unready => "not ready",
            Self::Ready => "ready",
            Self::Frozen => "frozen",
            Self::Idle => "idle",
            Self::BackingOff { .. } => Self::BACKING_OFF,
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Deleting => "deleting",
        })
    }
}

/// What a function looks like from outside at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What was asked for; none once it is deleted.
    pub desired: Option<Desired>,
    /// Where it stands.
    pub phase: Phase,
    /// Since when it is in that phase.
    pub since: Uptime,
    /// Instances serving, of whatever generation, frozen ones included.
    pub ready: u32,
    /// How many of those are frozen.
    pub frozen: u32,
    /// Instances that are ready beyond those, to take the place of one that dies.
    pub spares: u32,
    /// The newest generation with an instance serving.
    pub serving: Option<Generation>,
    /// How often an instance that served had to be replaced since this process took the function over.
    pub restarts: u64,
    /// The newest failure that nothing has made up for yet.
    pub failure: Option<Failure>,
}

impl Status {
    /// Whether the function is there: not once its deletion was accepted, even while its instances are on their way out.
    #[must_use]
    pub fn is_deployed(&self) -> bool {
        self.desired.is_some()
    }
}
