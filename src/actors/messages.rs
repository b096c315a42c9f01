//! Every message that one actor sends another, on one page.
//!
//! ```text
//! engine --Apply, Scale, Delete--> Registry --Accept, Resize, Withdraw--> Function
//!                                                       ^                                     |  ^ |
//!                                                       +---- SupervisorEvent: finished, died ---------+  | +--Ensure--> Puller
//!                                                                                   LifecycleEvent ----+ +--Attach, Detach--> Network
//! ```

use actix::Message;

use crate::engine::{Mode, Refused};
use crate::function::{Event, FunctionId, InstanceId, Spec};
use crate::host::{Attachment, HostError, Image, PullPolicy};

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

/// Asks whether the registry answers.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Ping;

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
