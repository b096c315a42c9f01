//! What a case needs of an engine, beyond the engine itself.

use std::sync::Arc;

use actord::engine::{Engine, Logs, Namespaces, Secrets};
use actord::routes::{Lease, Routes};

/// What an image does. Every subject has each of them, but for the one that hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Serves; an instance writes at least one line that begins with `hello` when it starts.
    Hello,
    /// As `Hello`, of another content.
    HelloAgain,
    /// Ends at once, with an exit code that says nothing of why.
    EndsAtOnce,
    /// Ends at once, with the exit code of a shell that does not find its command.
    FindsNoCommand,
    /// Has no program in it.
    Unrunnable,
    /// Is not in its registry.
    Unknown,
    /// Is in a registry that takes longer to send it than any case takes.
    Hangs,
}

/// An engine under test, with all that belongs to it.
pub trait Subject {
    /// It. Another one after [`Subject::restart`], as all that follow.
    fn engine(&self) -> Arc<dyn Engine>;

    /// The secrets of its functions.
    fn secrets(&self) -> Arc<dyn Secrets>;

    /// The namespaces of its functions.
    fn namespaces(&self) -> Arc<dyn Namespaces>;

    /// The logs of its functions.
    fn logs(&self) -> Arc<dyn Logs>;

    /// Where it publishes what is ready.
    fn routes(&self) -> Arc<Routes>;

    /// A reference to an image.
    fn image(&self, kind: Kind) -> String;

    /// Sends a request to the instance that the lease is on, and says whether it is answered well. Where an instance is
    /// nothing that can be asked: whether it could answer.
    async fn answers(&self, lease: &Lease) -> bool;

    /// Everything but the durable state is lost; then the engine is there again.
    async fn restart(&mut self);
}
