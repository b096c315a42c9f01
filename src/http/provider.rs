//! Who answers for functions: the messages that HTTP sends, each with its recipient.

use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, MailboxError, Message, Recipient};

use super::error::HttpError;
use crate::actors::messages::{Apply, Delete, Get, List, Scale};

/// The recipients of everything that HTTP asks for; in the product all of them are the registry.
#[derive(Debug, Clone)]
pub struct Provider {
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
}

impl<A> From<Addr<A>> for Provider
where
    A: Actor + Handler<Apply> + Handler<Delete> + Handler<Scale> + Handler<Get> + Handler<List>,
    A::Context:
        ToEnvelope<A, Apply> + ToEnvelope<A, Delete> + ToEnvelope<A, Scale> + ToEnvelope<A, Get> + ToEnvelope<A, List>,
{
    fn from(address: Addr<A>) -> Self {
        Self {
            apply: address.clone().recipient(),
            delete: address.clone().recipient(),
            scale: address.clone().recipient(),
            get: address.clone().recipient(),
            list: address.recipient(),
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
