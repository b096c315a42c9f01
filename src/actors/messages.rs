//! Every message that one actor sends another, on one page.
//!
//! ```text
//! engine --To(id, M)--> Registry --M: Apply, Rollback, Scale, KeepDown, Adjust, Rest, Lean, Delete--> Function
//!                          ^                                                                          |  ^  |
//!                          +--SupervisorEvent: finished, died-----------------------------------------+  |  +--Attach, Detach--> Network
//!                                                                                        LifecycleEvent--+
//! ```

use actix::Message;

use crate::engine::{Mode, Refused};
use crate::function::{Adjusted, Event, FunctionId, Generation, InstanceId, Outbound, Spec, Tier};
use crate::host::{Attachment, HostError};

// ---- to the registry ---------------------------------------------------------------------------------------------

/// A message for a function, sent to the registry, which passes it on to the function's actor. Answered by that.
#[derive(Debug, Clone)]
pub(super) struct To<M>(pub(super) FunctionId, pub(super) M);

impl<M: Message> Message for To<M> {
    type Result = M::Result;
}

/// Asks whether the registry answers.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct Ping;

// ---- to a function -----------------------------------------------------------------------------------------------

/// Deploys or updates a function. Answered when the instance is ready, when the deployment failed, or after the
/// configured wait, whichever is first; the desired state is durable by then.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), Refused>")]
pub(super) struct Apply {
    /// What the function is asked to be.
    pub(super) spec: Spec,
    /// Create or update.
    pub(super) mode: Mode,
}

/// Brings an earlier generation back, as an update. Answered as [`Apply`] is.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), Refused>")]
pub(super) struct Rollback {
    /// Which one; none for the one before.
    pub(super) to: Option<Generation>,
}

/// Asks for another number of replicas. Answered when that is durable.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), Refused>")]
pub(super) struct Scale {
    /// How many instances should serve.
    pub(super) replicas: u32,
}

/// Keeps a function down, or no longer. Answered when that is durable.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), Refused>")]
pub(super) struct KeepDown {
    /// Whether nothing of it should run.
    pub(super) down: bool,
}

/// Lets so many instances run as the load needs. Answered when the lifecycle was told.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), Refused>")]
pub(super) struct Adjust(pub(super) Adjusted);

/// Lets a function that nothing calls go down to a tier, or up to ready. Answered when the lifecycle was told.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), Refused>")]
pub(super) struct Rest(pub(super) Tier);

/// Lets a function keep no spares, or keep them again. Answered when the lifecycle was told.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), Refused>")]
pub(super) struct Lean(pub(super) bool);

/// Deletes a function. Answered when the deletion is durable and no new request reaches it.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), Refused>")]
pub(super) struct Delete;

/// What is asked of a function that has to be there.
pub(super) trait OfExisting: Message<Result = Result<(), Refused>> + Send + 'static {}

impl OfExisting for Rollback {}
impl OfExisting for Scale {}
impl OfExisting for KeepDown {}
impl OfExisting for Adjust {}
impl OfExisting for Rest {}
impl OfExisting for Lean {}
impl OfExisting for Delete {}

/// Something happened to one of its instances, or a time has come: the answer of an effect.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct LifecycleEvent(pub(super) Event);

// ---- to the network ----------------------------------------------------------------------------------------------

/// Hands out an attachment for an instance, that sends to these places alone.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Attachment, HostError>")]
pub(super) struct Attach(pub(super) InstanceId, pub(super) Outbound);

/// Takes an instance's attachment back.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), HostError>")]
pub(super) struct Detach(pub(super) InstanceId);

// ---- to the registry, from a function ----------------------------------------------------------------------------

/// What a function tells its supervisor. Events go through a channel without a bound: none may be lost, least of all one
/// that is sent while a panic unwinds.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(super) struct SupervisorEvent {
    /// Which function.
    pub(super) id: FunctionId,
    /// Which of the actors that this function had.
    pub(super) incarnation: u64,
    /// What it has to say.
    pub(super) what: ActorExit,
}

/// Why a function's actor is no longer needed, or no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActorExit {
    /// The function is deleted and nothing of it is left; so many requests had been handled by then.
    Finished {
        /// Requests handled.
        handled: u64,
    },
    /// The actor ended without being asked to: it panicked.
    Died,
}
