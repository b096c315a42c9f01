//! The real program on the real machine, from outside: REST in, containers and answers out. Needs root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod api;
mod boards;
mod bundle;
mod callbacks;
mod crashes;
mod cron;
mod dashboard;
mod deploys;
mod doctor;
mod ends;
mod environment;
mod events;
mod examples;
mod full_disks;
mod invoke;
mod logs;
mod mapped;
mod names;
mod network_faults;
mod prometheus;
mod queue;
mod reach;
mod readiness;
mod recovery;
mod resting;
mod runtimes;
mod secrets;
mod shims;
mod spare;
mod streams;
mod tls;
mod tokens;
mod updates;
mod warm;
mod zero;

#[path = "../support/actord.rs"]
mod actord;
#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/freezer.rs"]
mod freezer;
#[path = "../support/inventory.rs"]
mod inventory;
#[path = "../support/killed.rs"]
mod killed;
#[path = "../support/leaks.rs"]
mod leaks;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/oci_runtimes.rs"]
mod oci_runtimes;
#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/registry.rs"]
mod registry;
#[path = "../support/run.rs"]
mod run;
#[path = "../support/sample.rs"]
mod sample;
