//! Polls what is deployed: one list a namespace, however many functions wait for it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::cli::client::Client;
use crate::cli::ls::list;
use crate::function::FunctionId;
use crate::wire::FunctionStatus;

/// From the end of one poll to the next.
const PERIOD: Duration = Duration::from_millis(200);

/// What one poll found.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Counts the polls, from 1.
    number: u64,
    functions: BTreeMap<FunctionId, FunctionStatus>,
}

/// The polling of some namespaces.
pub(in crate::cli) struct Poll {
    client: Client,
    namespaces: BTreeSet<String>,
    begun: Cell<u64>,
    newest: watch::Sender<Snapshot>,
}

/// How far one function's deployment is.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) enum RolloutState {
    /// It is what it is asked to be.
    Ready,
    /// It is, and none of it runs: an operator keeps it down, for this reason.
    KeptDown(String),
    /// It will not become that by itself.
    Failed(String),
    /// It is on its way: the step that it is in, what it waits for in it, and what went wrong so far.
    Coming { step: String, waiting_for: Option<String>, reason: Option<String> },
    /// It is not there.
    Missing,
}

impl Poll {
    pub(in crate::cli) fn new(client: &Client, functions: impl Iterator<Item = FunctionId>) -> Self {
        let namespaces = functions.map(|id| id.namespace.to_string()).collect();
        Self { client: client.clone(), namespaces, begun: Cell::new(0), newest: watch::Sender::default() }
    }

    /// Polls for ever. A gateway that can't be asked just now is asked again.
    pub(in crate::cli) async fn run(&self) -> std::convert::Infallible {
        loop {
            let number = self.begun.get() + 1;
            self.begun.set(number);
            if let Some(functions) = self.list().await {
                self.newest.send_replace(Snapshot { number, functions });
            }
            sleep(PERIOD).await;
        }
    }

    async fn list(&self) -> Option<BTreeMap<FunctionId, FunctionStatus>> {
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

    /// Calls `seen` with a function's state after each poll, for ever.
    pub(super) async fn follow(&self, id: &FunctionId, mut seen: impl FnMut(RolloutState)) -> std::convert::Infallible {
        let mut snapshots = self.newest.subscribe();
        loop {
            seen(rollout_state(snapshots.borrow_and_update().functions.get(id)));
            if snapshots.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for a poll that begins after this was called, and returns the state that it found once that is final.
    pub(in crate::cli) async fn settled(&self, id: &FunctionId) -> RolloutState {
        let begun = self.begun.get();
        let mut snapshots = self.newest.subscribe();
        let settled = |one: &Snapshot| {
            one.number > begun && !matches!(rollout_state(one.functions.get(id)), RolloutState::Coming { .. })
        };
        match snapshots.wait_for(settled).await {
            Ok(snapshot) => rollout_state(snapshot.functions.get(id)),
            Err(_) => RolloutState::Missing,
        }
    }
}

fn rollout_state(function: Option<&FunctionStatus>) -> RolloutState {
    let Some(function) = function else { return RolloutState::Missing };
    let lifecycle = function.lifecycle.clone().unwrap_or_default();
    match function.state() {
        "stopped" if lifecycle.kept_down => RolloutState::KeptDown(lifecycle.reason.unwrap_or_default()),
        "ready" | "frozen" | "idle" | "stopped" => RolloutState::Ready,
        "failed" => RolloutState::Failed(lifecycle.reason.unwrap_or_else(|| "it says no reason".to_owned())),
        state => {
            let step = lifecycle.step.unwrap_or_else(|| state.to_owned());
            RolloutState::Coming { step, waiting_for: lifecycle.waiting_for, reason: lifecycle.reason }
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
        let coming = |step: &str, reason: Option<&str>| RolloutState::Coming {
            step: step.to_owned(),
            waiting_for: None,
            reason: reason.map(str::to_owned),
        };
        for (function, expected) in [
            (json!({"name": "a"}), RolloutState::Ready),
            (json!({"name": "a", "replicas": 1, "availableReplicas": 1}), RolloutState::Ready),
            (json!({"name": "a", "replicas": 2, "availableReplicas": 1}), coming("not ready", None)),
            (
                json!({"name": "a", "replicas": 1, "availableReplicas": 1, "lifecycle": {"phase": "frozen", "frozen": 1}}),
                RolloutState::Ready,
            ),
            (json!({"name": "a", "lifecycle": {"phase": "idle", "asked": 1}}), RolloutState::Ready),
            (json!({"name": "a", "replicas": 1, "lifecycle": {"phase": "starting"}}), coming("starting", None)),
            (
                json!({"name": "a", "lifecycle": {"phase": "stopped", "keptDown": true, "reason": "by hand"}}),
                RolloutState::KeptDown("by hand".to_owned()),
            ),
            (
                json!({"name": "a", "replicas": 1, "lifecycle": {"phase": "starting", "step": "pulling"}}),
                coming("pulling", None),
            ),
            (
                json!({"name": "a", "replicas": 1, "lifecycle": {"phase": "starting", "step": "waiting until ready",
                    "waitingFor": "a port"}}),
                RolloutState::Coming {
                    step: "waiting until ready".to_owned(),
                    waiting_for: Some("a port".to_owned()),
                    reason: None,
                },
            ),
            (
                json!({"name": "a", "replicas": 1, "lifecycle": {"phase": "backing off", "reason": "exited"}}),
                coming("backing off", Some("exited")),
            ),
            (
                json!({"name": "a", "replicas": 1, "availableReplicas": 1,
                    "lifecycle": {"phase": "failed", "reason": "no such image"}}),
                RolloutState::Failed("no such image".to_owned()),
            ),
        ] {
            let function = Shown::try_from(function).unwrap().function;
            assert_eq!(rollout_state(Some(&function)), expected, "{function:?}");
        }
        assert_eq!(rollout_state(None), RolloutState::Missing);
    }
}
