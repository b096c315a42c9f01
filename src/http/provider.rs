//! Who answers for functions: the messages that HTTP sends, each with its recipient.

use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, MailboxError, Message, Recipient};

use super::error::HttpError;
use crate::actors::Supervised;
use crate::actors::messages::{Apply, Delete, Get, List, Measure, Scale};

/// Who answers now; in the product that is the registry, whichever incarnation of it lives.
#[derive(Clone)]
pub struct Provider(Arc<dyn Fn() -> Recipients + Send + Sync>);

impl Provider {
    /// The recipients that live now.
    #[must_use]
    pub fn now(&self) -> Recipients {
        self.0()
    }
}

impl<A> From<Arc<Supervised<A>>> for Provider
where
    A: Actor<Context = Context<A>>,
    A: Handler<Apply> + Handler<Delete> + Handler<Scale> + Handler<Get> + Handler<List> + Handler<Measure>,
{
    fn from(actor: Arc<Supervised<A>>) -> Self {
        Self(Arc::new(move || actor.addr().into()))
    }
}

impl From<Recipients> for Provider {
    fn from(recipients: Recipients) -> Self {
        Self(Arc::new(move || recipients.clone()))
    }
}

/// The recipients of everything that HTTP asks for.
#[derive(Debug, Clone)]
pub struct Recipients {
    /// Deploys and updates.
    pub apply: Recipient<Apply>,
    /// Deletes.
    pub delete: Recipient<Delete>,
    /// Scales.
    pub scale: Recipient<Scale>,
    /// Shows one function.
    pub get: Recipient<Get>,
    /// Shows all functions of a namespace.
    pub list: Recipient<List>,
    /// Says what functions use of the machine.
    pub measure: Recipient<Measure>,
}

impl<A> From<Addr<A>> for Recipients
where
    A: Actor + Handler<Apply> + Handler<Delete> + Handler<Scale> + Handler<Get> + Handler<List> + Handler<Measure>,
    A::Context: ToEnvelope<A, Apply> + ToEnvelope<A, Delete> + ToEnvelope<A, Scale>,
    A::Context: ToEnvelope<A, Get> + ToEnvelope<A, List> + ToEnvelope<A, Measure>,
{
    fn from(address: Addr<A>) -> Self {
        Self {
            apply: address.clone().recipient(),
            delete: address.clone().recipient(),
            scale: address.clone().recipient(),
            get: address.clone().recipient(),
            list: address.clone().recipient(),
            measure: address.recipient(),
        }
    }
}

/// Sends a message and waits for its answer. The message is on its way before this is first polled and its work is not
/// tied to the caller: a client that disconnects cancels nothing.
///
/// # Errors
/// 503 when the mailbox is closed, or stayed full or silent for `longest`.
pub(super) async fn ask<M>(to: &Recipient<M>, message: M, longest: Duration) -> Result<M::Result, HttpError>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    to.send(message).timeout(longest).await.map_err(|error| match error {
        MailboxError::Closed => HttpError::busy("the registry is restarting: try again"),
        MailboxError::Timeout => HttpError::busy(format!(
            "no answer within {longest:?}: the request may still take effect, look at the function's status"
        )),
    })
}
