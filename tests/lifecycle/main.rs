//! The life of functions as an operator sees it: the real actors, store and routes on the machine in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../support/platform.rs"]
mod platform;

mod admission;
mod capabilities;
mod checks;
mod crashes;
mod deploys;
mod ends;
mod events;
mod freezing;
mod history;
mod images;
mod instances;
mod logs;
mod many;
mod network;
mod outbound;
mod panics;
mod pressure;
mod readiness;
mod recovers;
mod resting;
mod room;
mod runtimes;
mod secrets;
mod spare;
mod steps;
mod storage;
mod told;
mod updates;
mod usage;
mod warm;
mod zero;
