//! What was asked for becomes durable, if there is room for it; and what a caller is told who is refused.

use std::sync::Arc;

use super::super::context::Context;
use super::super::log_retention;
use crate::engine::Refused;
use crate::function::intents::{Refusal, Write};
use crate::function::{Desired, FunctionId, Generation};
use crate::host::HostError;
use crate::store::StoreError;

/// Why something could not be made durable.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NotWritten {
    /// There is no room for another generation.
    #[error("{0}")]
    NoRoom(String),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes it; `newest` is the generation that the function has by now.
pub(super) async fn write(
    context: &Arc<Context>,
    id: &FunctionId,
    newest: Option<Generation>,
    write: Write,
) -> Result<(), NotWritten> {
    match write {
        // What is put back was accepted with its secrets. One that was deleted since is missed by its next start, and
        // is no reason to keep the update that was refused.
        Write::Put(desired) if desired.is_put_back() => {
            context.store.put(id, &desired).await?;
            context.admission.note(id, Some(&desired));
        }
        Write::Put(desired) if newest == Some(desired.generation) => {
            context.store.put_with_secrets(id, &desired, &context.secrets).await?;
            context.admission.note(id, Some(&desired));
        }
        Write::Put(desired) => {
            let had = context.admission.admit(id, &desired).map_err(NotWritten::NoRoom)?;
            let written = write_anew(context, id, &desired).await;
            if written.is_err() {
                context.admission.put(id, had);
            }
            written?;
        }
        Write::Delete => {
            context.store.delete(id).await?;
            context.admission.note(id, None);
            log_retention::forget(context, id).await;
        }
    }
    Ok(())
}

/// A generation that is new, where the disks have room for it.
async fn write_anew(context: &Arc<Context>, id: &FunctionId, desired: &Desired) -> Result<(), NotWritten> {
    must_have_room(context, id).await?;
    Ok(context.store.put_with_secrets(id, desired, &context.secrets).await?)
}

/// Whether a new generation has the room that each needs. Where that can't be told, its start finds out.
async fn must_have_room(context: &Context, id: &FunctionId) -> Result<(), NotWritten> {
    let disks = context.host.disks.clone();
    match context.call(|| format!("look for room for {id}"), async move { disks.room().await }).await {
        Ok(()) => Ok(()),
        Err(HostError::Full(why)) => Err(NotWritten::NoRoom(why)),
        Err(error) => {
            tracing::warn!(function = %id, %error, "not known whether there is room for it");
            Ok(())
        }
    }
}

pub(super) fn refused(id: &FunctionId, refusal: Refusal<NotWritten>) -> Refused {
    let error = match refusal {
        Refusal::Busy => return Refused::Busy(format!("function {id} has too many requests waiting: try again")),
        Refusal::NotFound => return Refused::NotFound(id.clone()),
        Refusal::Exists => return Refused::Exists(id.clone()),
        Refusal::NotKept { to, kept } => return Refused::NotKept { id: id.clone(), to, kept },
        Refusal::Unrunnable(reason) => return Refused::Unrunnable(reason),
        Refusal::NoRoom(reason) | Refusal::NotWritten(NotWritten::NoRoom(reason)) => return Refused::Full(reason),
        Refusal::NotWritten(NotWritten::Store(error)) => error,
    };
    match error {
        StoreError::NoNamespace(namespace) => Refused::NoNamespace(namespace),
        StoreError::NoSecret(name) => Refused::NoSecret(name),
        full @ StoreError::Full(_) => Refused::Full(full.to_string()),
        error => Refused::Failed(error.to_string()),
    }
}
