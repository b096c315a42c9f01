//! Begins the periodic jobs that need more of the machine than the actors see: `actors::housekeeping` has the idiom, and
//! the table of all jobs.

use super::machine::Machine;
use super::memory::give_back;
use super::pruning::prune;
use crate::actors::housekeeping::{Housekeeping, table};
use crate::config::Config;
use crate::store::Store;

/// Begins them, until the housekeeping is stopped.
pub(super) fn begin(config: &Config, machine: &Machine, store: &Store, housekeeping: &Housekeeping) {
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
    let runtime = machine.runtime.clone();
    housekeeping.every(&table::NAME_SERVERS, move || {
        let runtime = runtime.clone();
        async move { runtime.follow_name_servers().await }
    });
    housekeeping.every(&table::MEMORY, give_back);
    let (images, store, retention) = (machine.images.clone(), store.clone(), config.image_retention);
    if !retention.is_zero() {
        housekeeping.every(&table::PRUNING, move || prune(images.clone(), store.clone(), retention));
    }
}
