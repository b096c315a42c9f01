//! Every periodic job of actord, one row each.
//!
//! Two loops are not here on purpose. The service manager's watchdog has the period that systemd asks for, must ask the
//! actors' own thread, and says with its silence that something is wrong. The thread that copies the store follows commits
//! and not a period, and blocks.

use std::time::Duration;

/// A periodic job: a row of the table.
#[derive(Debug)]
pub struct Job {
    /// Its name in the log and in the metrics.
    pub name: &'static str,
    /// From the end of a round to the begin of the next.
    pub period: Duration,
    /// Whether the first round begins at once, or after a period.
    pub at_once: bool,
    /// What it is for.
    pub purpose: &'static str,
    /// What it means for the operator that its rounds fail.
    pub when_it_fails: &'static str,
    /// Whether actord is ready only while its rounds are good.
    pub decides_readiness: bool,
}

/// Counts what runs.
pub const RELIST: Job = Job {
    name: "relist",
    period: Duration::from_secs(30),
    at_once: false,
    purpose: "notices that a process ended whose wait hangs",
    when_it_fails: "an end that containerd does not tell of goes unnoticed",
    decides_readiness: false,
};

/// Keeps the invocation counts.
pub const INVOCATION_COUNTS: Job = Job {
    name: "invocation-counts",
    // An end without warning loses the counts of this long, at most.
    period: Duration::from_secs(5),
    at_once: false,
    purpose: "lets a restart go on counting calls where it left off",
    when_it_fails: "how often functions were called is not kept through a restart",
    decides_readiness: false,
};

/// Notes which functions were called.
pub const LAST_USED: Job = Job {
    name: "last-used",
    // Rare enough for a disk that wears out by being written to.
    period: Duration::from_secs(600),
    at_once: false,
    purpose: "lets a reboot bring back first what is missed first",
    when_it_fails: "a reboot may start functions in another order than they are used",
    decides_readiness: false,
};

/// Checks forwarding, the firewall and the instances' links.
pub const NETWORK: Job = Job {
    name: "network",
    period: Duration::from_secs(30),
    at_once: true,
    purpose: "puts back what other software took from forwarding, the firewall and the bridge's ports",
    when_it_fails: "functions may reach nothing outside of this machine",
    decides_readiness: false,
};

/// Checks the bridge.
pub const BRIDGE: Job = Job {
    name: "bridge",
    // Calls that meet a broken bridge are tried for a second and more: most of them live through it.
    period: Duration::from_secs(1),
    at_once: false,
    purpose: "puts the functions' bridge back when it is gone, down, or without its address",
    when_it_fails: "functions can't be reached",
    decides_readiness: true,
};

/// Asks containerd whether it is there.
pub const CONTAINERD: Job = Job {
    name: "containerd",
    period: Duration::from_secs(2),
    at_once: true,
    purpose: "knows whether containerd answers, for /readyz",
    when_it_fails: "what runs goes on and is called; nothing can be started, replaced or ended",
    decides_readiness: true,
};

/// Looks whether the store can be written to.
pub const STORE: Job = Job {
    name: "store",
    period: Duration::from_secs(5),
    at_once: true,
    purpose: "knows whether a deploy could be kept, for /readyz",
    when_it_fails: "what runs goes on and is called; deploys and updates are refused",
    decides_readiness: true,
};

/// Compacts the store.
pub const COMPACTION: Job = Job {
    name: "compaction",
    period: Duration::from_secs(3600),
    at_once: false,
    purpose: "gives the disk back what deletions left free in the store's file",
    when_it_fails: "the store's file stays as large as it once had to be",
    decides_readiness: false,
};

/// Keeps house among asynchronous calls.
pub const CALLS: Job = Job {
    name: "calls",
    period: Duration::from_secs(60),
    at_once: false,
    purpose: "removes asynchronous calls that ended long enough ago, and gives the disk back what they took",
    when_it_fails: "calls that have ended are kept for longer",
    decides_readiness: false,
};

/// Follows the host's name servers.
pub const NAME_SERVERS: Job = Job {
    name: "name-servers",
    period: Duration::from_secs(30),
    at_once: true,
    purpose: "lets functions that run ask the name servers that the host asks",
    when_it_fails: "functions may ask name servers that are gone",
    decides_readiness: false,
};

/// Prunes images.
pub const PRUNING: Job = Job {
    name: "pruning",
    period: Duration::from_secs(3600),
    at_once: false,
    purpose: "removes images that no function needs any more",
    when_it_fails: "images that no function needs stay for now",
    decides_readiness: false,
};

/// Removes images early.
pub const WATERMARK: Job = Job {
    name: "watermark",
    period: Duration::from_secs(60),
    at_once: false,
    purpose: "removes images that no function needs while the disk is too full",
    when_it_fails: "the disk fills up; a deploy may soon be refused",
    decides_readiness: false,
};

/// Sheds load.
pub const PRESSURE: Job = Job {
    name: "pressure",
    period: Duration::from_secs(2),
    at_once: true,
    purpose: "sheds load while the machine's memory is short",
    when_it_fails: "the machine's memory is short: load is shed, what serves goes on",
    decides_readiness: true,
};

/// Follows the certificate of TLS.
pub const CERTIFICATE: Job = Job {
    name: "certificate",
    period: Duration::from_secs(10),
    at_once: false,
    purpose: "shows new connections a certificate that was put in the place of the one before",
    when_it_fails: "clients are shown the certificate from before its files changed, which may end",
    decides_readiness: false,
};

/// Gives free memory back.
pub const MEMORY: Job = Job {
    name: "memory",
    period: Duration::from_secs(20),
    at_once: false,
    purpose: "gives memory back that a burst needed and nothing needs any more",
    when_it_fails: "actord goes on holding memory that it does not need",
    decides_readiness: false,
};

/// The table.
pub const ALL: &[&Job] = &[
    &RELIST,
    &INVOCATION_COUNTS,
    &LAST_USED,
    &NETWORK,
    &BRIDGE,
    &CONTAINERD,
    &STORE,
    &COMPACTION,
    &CALLS,
    &NAME_SERVERS,
    &PRUNING,
    &WATERMARK,
    &PRESSURE,
    &CERTIFICATE,
    &MEMORY,
];
