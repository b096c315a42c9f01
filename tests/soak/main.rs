//! What actord promises, under fire: updates under load, kills at random moments, a reboot, a function that crashes
//! again and again, one that writes without end, requests that nobody meant, thousands of slow clients, calls that outlive
//! all of that, everything at once.
//! Needs root. Each test prints its figures in one line.
//!
//! As they stand these are the short forms. `make soak` runs the long ones; `SEED=` replays a kill storm and `ROUNDS=`
//! says how many rounds it has, `MEMORY_SECONDS=` how long everything happens at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod book;
mod calls;
mod crash_loop;
mod field;
mod frozen;
mod fuzz;
mod hardened;
mod logs;
mod memory;
mod ramp;
mod reboot;
mod rest;
mod settled;
mod slow;
mod stack;
mod stopped;
mod storm;
mod updates;
mod victims;

#[path = "../support/actord.rs"]
mod actord;
#[path = "../support/bare.rs"]
mod bare;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/freezer.rs"]
mod freezer;
#[path = "../support/inventory.rs"]
mod inventory;
#[path = "../support/leaks.rs"]
mod leaks;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/platform.rs"]
mod platform;
#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/rising.rs"]
mod rising;
#[path = "../support/run.rs"]
mod run;
#[path = "../support/sample.rs"]
mod sample;
#[path = "../support/sleepers.rs"]
mod sleepers;
#[path = "../support/slow_clients.rs"]
mod slow_clients;
#[path = "../support/tools.rs"]
mod tools;

/// The size of something: in the short form, and in the long one.
fn sized(short: usize, long: usize) -> usize {
    if std::env::var_os("ACTORD_SOAK").is_some() { long } else { short }
}

/// A number that the caller may have chosen.
fn chosen(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: expected a number")))
}
