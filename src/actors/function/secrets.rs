//! The secrets of an instance that runs: a new value reaches it while it runs.
//!
//! ```text
//! listening -> made, or adopted -> a change is heard -> its value is read -> handed over, however often that takes
//! ```
//! An instance's secrets are read for its making after its task began to listen. So a change that comes too late for the making
//! is heard, and handed over once the instance is made: none is lost in between. What changed while no actord ran can't
//! be heard, so an adopted instance is given everything.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::sleep;

use super::instance_task::InstanceTask;
use crate::function::SecretName;
use crate::host::HostError;
use crate::store::NewValue;

/// Waits between attempts to hand over.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LONGEST: Duration = Duration::from_secs(30);

impl InstanceTask {
    /// Hands new values to the instance from when it is made until it is cancelled. `changes` were listened to
    /// since before it was begun.
    pub(super) async fn keep_secrets(&self, changes: Receiver<NewValue>, adopted: bool) {
        if !self.spec.secrets.is_empty() {
            self.cancelled.run_until_cancelled(self.hand_over_for_ever(changes, adopted)).await;
        }
    }

    async fn hand_over_for_ever(&self, mut changes: Receiver<NewValue>, adopted: bool) {
        let mut due = if adopted { self.all_secrets() } else { BTreeSet::new() };
        if !adopted {
            self.made.notified().await;
        }
        let mut pause = AGAIN_FIRST;
        loop {
            self.hear(&mut changes, &mut due).await;
            match self.hand_over(&due).await {
                Ok(()) => {
                    due.clear();
                    pause = AGAIN_FIRST;
                }
                Err(error) => {
                    tracing::warn!(instance = %self.id, %error, "new values of its secrets are handed over again in {pause:?}");
                    sleep(pause).await;
                    pause = (pause * 2).min(AGAIN_LONGEST);
                }
            }
        }
    }

    /// Adds all changes that were told to what is due, and waits until something is.
    async fn hear(&self, changes: &mut Receiver<NewValue>, due: &mut BTreeSet<SecretName>) {
        loop {
            let heard = match changes.try_recv() {
                Err(TryRecvError::Lagged(_)) => Err(RecvError::Lagged(0)),
                Err(_) if !due.is_empty() => return,
                Err(_) => changes.recv().await,
                Ok(change) => Ok(change),
            };
            match heard {
                Ok(NewValue { namespace, name }) => {
                    if namespace == self.function.namespace && self.spec.secrets.contains(&name) {
                        due.insert(name);
                    }
                }
                Err(RecvError::Lagged(_)) => due.extend(self.all_secrets()),
                // Those who change secrets are gone: nothing will change.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Reads what is due and hands it over. A secret that was deleted stays in the instance as it was.
    async fn hand_over(&self, due: &BTreeSet<SecretName>) -> Result<(), HostError> {
        let (secrets, namespace, names) = (self.context.secrets.clone(), self.function.namespace.clone(), due.clone());
        let read = tokio::task::spawn_blocking(move || secrets.read_present(&namespace, &names)).await;
        let values = match read {
            Ok(Ok(values)) if values.is_empty() => return Ok(()),
            Ok(Ok(values)) => values,
            Ok(Err(error)) => return Err(HostError::Failed(error.to_string())),
            Err(lost) => return Err(HostError::Failed(format!("reading secrets: {lost}"))),
        };
        let (runtime, id) = (self.context.host.runtime.clone(), self.id.clone());
        let call = async move { runtime.update_secrets(&id, &values).await };
        self.context.call(|| format!("hand new secrets to {}", self.id), call).await?;
        tracing::info!(function = %self.function, instance = %self.id, secrets = ?due, "has the secrets' present values");
        Ok(())
    }

    fn all_secrets(&self) -> BTreeSet<SecretName> {
        self.spec.secrets.iter().cloned().collect()
    }
}
