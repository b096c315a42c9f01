//! Whether the machine holds what the API says, and nothing else.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::actord::Actord;
use crate::inventory::Inventory;

/// What the API says of all functions, by name.
pub(crate) async fn shown(actord: &Actord) -> BTreeMap<String, Value> {
    let named = |function: Value| (function["name"].as_str().unwrap().to_owned(), function);
    actord.list().await.into_iter().map(named).collect()
}

/// What is not (yet) as it should be, where the API says this.
pub(crate) fn faults(actord: &Actord, shown: &BTreeMap<String, Value>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, function) in shown {
        let (replicas, ready) = (&function["replicas"], &function["availableReplicas"]);
        if replicas != ready {
            faults.push(format!("{name} has {ready} of {replicas} replicas: {function}"));
        }
    }
    // Functions serve on while it is restarted, so nothing else waits for it.
    if UnixStream::connect(actord.socket()).is_err() {
        faults.push("containerd does not answer".to_owned());
    }
    if !faults.is_empty() {
        return faults;
    }
    let inventory = Inventory::take(&actord.traces());
    faults = inventory.faults();
    for (name, function) in shown {
        let of = |id: &&String| id.rsplit_once('-').is_some_and(|(of, _)| of == name);
        let (running, replicas) = (inventory.running().iter().filter(of).count(), &function["replicas"]);
        if running as u64 != replicas.as_u64().unwrap_or(0) {
            faults.push(format!("{running} tasks of {name} run for {replicas} replicas"));
        }
    }
    let known = |id: &&String| id.rsplit_once('-').is_some_and(|(of, _)| shown.contains_key(of));
    let strange = inventory.running().iter().filter(|id| !known(id));
    faults.extend(strange.map(|id| format!("{id} runs for no function")));
    faults
}
