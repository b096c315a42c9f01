//! Looks at what is deployed, again and again: one list a namespace, however many functions wait for it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::cli::client::Client;
use crate::cli::ls::list;
use crate::function::FunctionId;
use crate::wire::FunctionStatus;

/// From the end of a look to the next.
const PERIOD: Duration = Duration::from_millis(200);

/// What one look saw.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Counts the looks, from 1.
    number: u64,
    functions: BTreeMap<FunctionId, FunctionStatus>,
}

/// The looks at some namespaces.
pub(super) struct Looks {
    client: Client,
    namespaces: BTreeSet<String>,
    begun: Cell<u64>,
    newest: watch::Sender<Look>,
}

/// What was seen of one function.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// It is what it is asked to be.
    Ready,
    /// It will not become that by itself.
    Failed(String),
    /// It is on its way: the step that it is in, and what went wrong so far.
    Coming { step: String, reason: Option<String> },
    /// It is not there.
    Missing,
}

impl Looks {
    pub(super) fn new(client: &Client, functions: impl Iterator<Item = FunctionId>) -> Self {
        let namespaces = functions.map(|id| id.namespace.to_string()).collect();
        Self { client: client.clone(), namespaces, begun: Cell::new(0), newest: watch::Sender::default() }
    }

    /// Looks for ever. A gateway that can't be asked just now is asked again.
    pub(super) async fn go_on(&self) -> std::convert::Infallible {
        loop {
            let number = self.begun.get() + 1;
            self.begun.set(number);
            if let Some(functions) = self.look().await {
                self.newest.send_replace(Look { number, functions });
            }
            sleep(PERIOD).await;
        }
    }

    async fn look(&self) -> Option<BTreeMap<FunctionId, FunctionStatus>> {
        let mut functions = BTreeMap::new();
        for namespace in &self.namespaces {
            for shown in list(&self.client, namespace).await.ok()? {
                if let Ok(id) = format!("{}.{namespace}", shown.function.name).parse() {
                    functions.insert(id, shown.function);
                }
            }
        }
        Some(functions)
    }

    /// Tells each look at a function to `seen`, for ever.
    pub(super) async fn follow(&self, id: &FunctionId, mut seen: impl FnMut(Standing)) -> std::convert::Infallible {
        let mut looks = self.newest.subscribe();
        loop {
            seen(standing(looks.borrow_and_update().functions.get(id)));
            if looks.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for a look that begins after this was called, and returns what it saw once that is final.
    pub(super) async fn settled(&self, id: &FunctionId) -> Standing {
        let begun = self.begun.get();
        let mut looks = self.newest.subscribe();
        let settled =
            |look: &Look| look.number > begun && !matches!(standing(look.functions.get(id)), Standing::Coming { .. });
        match looks.wait_for(settled).await {
            Ok(look) => standing(look.functions.get(id)),
            Err(_) => Standing::Missing,
        }
    }
}

fn standing(function: Option<&FunctionStatus>) -> Standing {
    let Some(function) = function else { return Standing::Missing };
    let lifecycle = function.lifecycle.clone().unwrap_or_default();
    match function.state() {
        "ready" | "stopped" => Standing::Ready,
        "failed" => Standing::Failed(lifecycle.reason.unwrap_or_else(|| "it says no reason".to_owned())),
        state => {
            let step = lifecycle.step.unwrap_or_else(|| state.to_owned());
            Standing::Coming { step, reason: lifecycle.reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::client::Shown;

    #[test]
    fn the_phase_tells_whether_there_is_something_to_wait_for() {
        let coming = |step: &str, reason: Option<&str>| Standing::Coming {
            step: step.to_owned(),
            reason: reason.map(str::to_owned),
        };
        for (function, expected) in [
            (json!({"name": "a"}), Standing::Ready),
            (json!({"name": "a", "replicas": 1, "availableReplicas": 1}), Standing::Ready),
            (json!({"name": "a", "replicas": 2, "availableReplicas": 1}), coming("not ready", None)),
            (json!({"name": "a", "replicas": 1, "lifecycle": {"phase": "starting"}}), coming("starting", None)),
            (
                json!({"name": "a", "replicas": 1, "lifecycle": {"phase": "starting", "step": "pulling"}}),
                coming("pulling", None),
            ),
            (
                json!({"name": "a", "replicas": 1, "lifecycle": {"phase": "backing off", "reason": "exited"}}),
                coming("backing off", Some("exited")),
            ),
            (
                json!({"name": "a", "replicas": 1, "availableReplicas": 1,
                    "lifecycle": {"phase": "failed", "reason": "no such image"}}),
                Standing::Failed("no such image".to_owned()),
            ),
        ] {
            let function = Shown::try_from(function).unwrap().function;
            assert_eq!(standing(Some(&function)), expected, "{function:?}");
        }
        assert_eq!(standing(None), Standing::Missing);
    }
}
