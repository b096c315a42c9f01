//! Begins the periodic jobs that need more of the machine than the actors see: `actors::housekeeping` has the idiom, and
//! the table of all jobs.

use std::time::Duration;

use super::certificate::follow;
use super::machine::Machine;
use super::memory::give_back;
use crate::actors::housekeeping::{Housekeeping, table};
use crate::config::Config;
use crate::host::containerd::daemon::answers;
use crate::queue::Queue;
use crate::store::Store;
use crate::tls::Tls;

/// How long containerd may take to answer before it counts as one that does not.
const CONTAINERD_WITHIN: Duration = Duration::from_secs(2);

/// Begins them, until the housekeeping is stopped.
pub(super) fn begin(
    config: &Config,
    machine: &Machine,
    (store, calls): (&Store, &Queue),
    tls: Option<Tls>,
    housekeeping: &Housekeeping,
) {
    if let Some(tls) = tls {
        housekeeping.every(&table::CERTIFICATE, move || follow(tls.clone()));
    }
    let network = machine.network.clone();
    housekeeping.every(&table::NETWORK, move || {
        let network = network.clone();
        async move { network.keep_open().await }
    });
    let network = machine.network.clone();
    housekeeping.every(&table::BRIDGE, move || {
        let network = network.clone();
        async move { network.keep_bridge().await }
    });
    let socket = config.containerd_socket();
    housekeeping.every(&table::CONTAINERD, move || {
        let socket = socket.clone();
        async move { answers(&socket, CONTAINERD_WITHIN).await }
    });
    let (disks, kept) = (machine.host().disks, store.clone());
    housekeeping.every(&table::STORE, move || {
        let (disks, kept) = (disks.clone(), kept.clone());
        async move {
            disks.room().await?;
            anyhow::Ok(kept.writable().await?)
        }
    });
    let calls = calls.clone();
    housekeeping.every(&table::CALLS, move || {
        let calls = calls.clone();
        async move { calls.tidy().await }
    });
    let runtime = machine.runtime.clone();
    housekeeping.every(&table::NAME_SERVERS, move || {
        let runtime = runtime.clone();
        async move { runtime.follow_name_servers().await }
    });
    housekeeping.every(&table::MEMORY, give_back);
}
