//! What a lifecycle is told and what it asks for: events in, effects out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Adjusted, Tier};
use crate::function::{Desired, Exit, Generation, InstanceId, Spec, StartError};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A spec was accepted and is durable; see [`Lifecycle::accept`].
    Apply(Desired),
    /// Another number of replicas was accepted and is durable.
    Scale(u32),
    /// That it is to be kept down whatever is called, or no longer, was accepted and is durable.
    KeepDown(bool),
    /// A request waits although no instance is asked for.
    Wake,
    /// The load asks for another number of instances than an operator did.
    Adjust(Adjusted),
    /// Nothing was called for a while: it may go down to this tier.
    Rest(Tier),
    /// The machine's memory is short, so that it should keep no spares; or it is not any more.
    Lean(bool),
    /// The processes of an instance are frozen: the next call thaws them.
    Frozen(InstanceId),
    /// The processes of an instance run again.
    Thawed(InstanceId),
    /// The deletion was accepted and is durable.
    Delete,
    /// The newest generation was refused, and it is durable that what was asked for before it is asked for again.
    PutBack(Desired),
    /// An instance is ready to serve at this address.
    Started(InstanceId, SocketAddr),
    /// An instance could not be brought up, or adopted.
    StartFailed(InstanceId, StartError),
    /// An instance's process ended.
    Exited(InstanceId, Exit),
    /// An instance that served says, for this reason, that it can't take requests just now.
    Unready(InstanceId, String),
    /// An instance that was unready can take requests again, at this address.
    Ready(InstanceId, SocketAddr),
    /// An instance's process lives, and is not well for this reason: it has to be replaced.
    Unhealthy(InstanceId, String),
    /// A draining instance has no request left, or its time is over.
    Drained(InstanceId),
    /// Nothing is left of an instance.
    Removed(InstanceId),
    /// An instance could not be torn down completely.
    RemoveFailed(InstanceId, String),
    /// A time asked for by [`Effect::RetryAfter`] has come.
    RetryDue,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Bring an instance up; answer with `Started` or `StartFailed`, and later `Unready`,
    /// `Ready`, `Unhealthy` and `Exited`.
    BringUp(InstanceId, Generation, Arc<Spec>),
    /// Look at a running instance and watch it; answer as for `BringUp`, or with `Unready`.
    Adopt(InstanceId, Generation, Arc<Spec>),
    /// Send requests to this instance.
    Publish(InstanceId, SocketAddr),
    /// Keep an instance that is ready and gets no requests: its spare time is no reason to use the processor, so it is frozen
    /// where that can be. There is no answer; `Unready`, `Ready`, `Unhealthy` and `Exited` as for one that serves.
    StandBy(InstanceId),
    /// Send requests to this instance, which stood by, as soon as it is thawed. `Unhealthy` if it can't be.
    Promote(InstanceId, SocketAddr),
    /// Send no new request to this instance.
    Retract(InstanceId),
    /// Freeze an instance if no request or check has it just now, and thaw it for the next one; answer with `Frozen`, and
    /// later `Thawed`. Where it can't be, there is no answer: the next `Rest` asks again.
    Freeze(InstanceId),
    /// Wait for the requests that the instance has; answer with `Drained`.
    Drain(InstanceId),
    /// Remove all there is of the instance, whatever there is, also while it is still being brought up; answer with
    /// `Removed` or `RemoveFailed`.
    TearDown(InstanceId),
    /// Send `RetryDue` after this long.
    RetryAfter(Duration),
    /// Something was learnt of this generation that should outlive a restart: the store takes `last_good`, `has_served`,
    /// `failed`, `idle`, `adjusted` and the replicas of a function that was woken from it, if it still holds this
    /// generation. (It may hold a newer one, another number of replicas or a deletion that was committed a moment ago and
    /// is about to be told.)
    Record(Desired),
    /// The function is deleted and nothing of it is left. (A new deployment may have been committed meanwhile and be about
    /// to be applied.)
    Gone,
}

/// What became of a generation that a caller waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not decided yet.
    Pending,
    /// It serves with all its replicas.
    Ready,
    /// Its process ended twice in a row, in the same way, before it was ready. It is tried on, and not worth a wait.
    Looping,
    /// It will not heal by itself.
    Failed(String),
    /// It never served, and its last start found a disk full. It is tried on, and who waits for it is told.
    NoRoom {
        /// Which disk, and what to do.
        reason: String,
        /// How many of its starts in a row ended so: a caller that came after the last one waits for the next.
        times: u32,
    },
    /// A newer generation or a deletion took its place.
    Superseded,
}

/// An instance that a fresh lifecycle finds on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Which one.
    pub id: InstanceId,
    /// The generation that its label names.
    pub generation: Generation,
    /// What is left of it.
    pub state: ObservedState,
}

/// What a look at the host says of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservedState {
    /// Its process runs.
    Running,
    /// Parts of it exist, its process does not run.
    Remains,
}
