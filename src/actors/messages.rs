//! Every message that one actor sends another, on one page.
//!
//! ```text
//! http --Apply, Scale, Delete, Get, List, Measure--> Registry --Accept, Resize, Withdraw--> Function
//!                                                       ^                                     |  ^ |
//!                                                       +---- SupervisorEvent: finished, died ---------+  | +--Ensure--> Puller
//!                                                                                   LifecycleEvent ----+ +--Attach, Detach--> Network
//! ```

use std::time::Duration;

use actix::Message;

use crate::function::{Event, FunctionId, InstanceId, Invalid, Namespace, SecretName, Spec, Status, Step};
use crate::host::{Attachment, HostError, Image, Progress, PullPolicy};

/// Why a request was refused: for the caller, who can act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The request itself is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such function.
    #[error("function {0} not found")]
    NotFound(FunctionId),
    /// There is such a function already.
    #[error("function {0} already exists: update it with PUT, or delete it first")]
    Exists(FunctionId),
    /// The spec names a secret that nobody created.
    #[error("unable to find secret: {0}")]
    NoSecret(SecretName),
    /// There is no such namespace.
    #[error("namespace not valid")]
    NoNamespace(Namespace),
    /// The image or spec can't be run, as the caller can mend; nothing was kept of a create.
    #[error("{0}")]
    Unrunnable(String),
    /// The store could not make it durable.
    #[error("{0}")]
    Store(String),
    /// Too much is being asked at this moment; the same request may succeed later.
    #[error("{0}")]
    Busy(String),
}

/// Whether a deployment may, or must, find a function of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// POST: there must be none.
    Create,
    /// PUT: there must be one.
    Update,
}

/// What a function looks like, for those who ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Which function.
    pub id: FunctionId,
    /// What it looks like.
    pub status: Status,
    /// How long until the next start, while it backs off.
    pub retry_in: Option<Duration>,
    /// How far the newest generation that is being brought up has come: its instance that is furthest behind.
    pub step: Option<Step>,
    /// How far its image is, while it is being pulled.
    pub pull: Option<Progress>,
}

/// What a function uses of the machine, all of its instances together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// Milli-cores, averaged since it was last measured; at first, since its instances were started.
    pub cpu_millis: f64,
    /// Memory in bytes that can't easily be taken back: the working set.
    pub memory_bytes: u64,
    /// Cpu time since this process took the function over, that of instances that are gone included.
    pub cpu_total: Duration,
}

// ---- to the registry ---------------------------------------------------------------------------------------------

/// Deploys or updates a function. Answered when the instance is ready, when the deployment failed, or after the
/// configured wait, whichever is first; the desired state is durable by then.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), Refused>")]
pub struct Apply {
    /// Which function.
    pub id: FunctionId,
    /// What it is asked to be.
    pub spec: Spec,
    /// Create or update.
    pub mode: Mode,
}

/// Deletes a function. Answered when the deletion is durable and no new request reaches it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), Refused>")]
pub struct Delete {
    /// Which function.
    pub id: FunctionId,
}

/// Asks for another number of replicas. Answered when that is durable.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), Refused>")]
pub struct Scale {
    /// Which function.
    pub id: FunctionId,
    /// How many instances should serve.
    pub replicas: u32,
}

/// What one function looks like.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Option<View>")]
pub struct Get {
    /// Which function.
    pub id: FunctionId,
}

/// What all functions of a namespace look like, by name.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Vec<View>")]
pub struct List {
    /// Which namespace.
    pub namespace: Namespace,
}

/// What functions use of the machine: one, or all. A function of which nothing runs is left out, and so is one that
/// can't be read.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Vec<(FunctionId, Used)>")]
pub struct Measure {
    /// Which function; none for all of them.
    pub only: Option<FunctionId>,
}

// ---- to a function -----------------------------------------------------------------------------------------------

/// [`Apply`], passed on to the function that it is for.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Refused>")]
pub struct Accept {
    /// What the function is asked to be.
    pub spec: Spec,
    /// Create or update.
    pub mode: Mode,
}

/// [`Scale`], passed on.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Refused>")]
pub struct Resize(pub u32);

/// [`Delete`], passed on.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), Refused>")]
pub struct Withdraw;

/// Something happened to one of its instances, or a time has come: the answer of an effect.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LifecycleEvent(pub Event);

// ---- to the puller -----------------------------------------------------------------------------------------------

/// Makes an image complete on the machine; callers for the same image share one pull.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Image, HostError>")]
pub struct Ensure {
    /// The image reference as it was sent.
    pub reference: String,
    /// When to ask the registry.
    pub policy: PullPolicy,
}

// ---- to the network ----------------------------------------------------------------------------------------------

/// Hands out an attachment for an instance.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Attachment, HostError>")]
pub struct Attach(pub InstanceId);

/// Takes an instance's attachment back.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), HostError>")]
pub struct Detach(pub InstanceId);

// ---- to the registry, from a function ----------------------------------------------------------------------------

/// What a function tells its supervisor. Notices go through a channel without a bound: none may be lost, least of all
/// one that is sent while a panic unwinds.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct SupervisorEvent {
    /// Which function.
    pub id: FunctionId,
    /// Which of the actors that this function had.
    pub incarnation: u64,
    /// What it has to say.
    pub what: ActorExit,
}

/// Why a function's actor is no longer needed, or no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorExit {
    /// The function is deleted and nothing of it is left; so many requests had been handled by then.
    Finished {
        /// Requests handled.
        handled: u64,
    },
    /// The actor ended without being asked to: it panicked.
    Died,
}
