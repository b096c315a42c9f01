//! actord as a service manager sees it: sockets that are handed over, notices, restarts under load and under
//! calls that nobody waits for, what an earlier program left, upgrades and the way back. On the real machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't be set up has failed")]

#[path = "../support/leaks.rs"]
mod leaks;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/raw_client.rs"]
mod raw_client;
#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/run.rs"]
mod run;
#[path = "../support/sample.rs"]
mod sample;

mod children;
mod from_before;
mod load;
mod machine;
mod manager;
mod notices;
mod queue;
mod restart;
mod tls;
mod trial;
mod trial_cuts;
mod trial_packages;
mod trial_schema;
