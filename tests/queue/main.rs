//! The queue over the real actors and routes, on the machine in memory and on simulated time: functions answer as their scripts
//! say, and what is accepted is in a real database in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../support/platform.rs"]
mod platform;

mod accept;
mod callbacks;
mod cancel;
mod dead;
mod deadlines;
mod ends;
mod fairness;
mod full_disk;
mod gates;
mod house;
mod lists;
mod opening;
mod order;
mod panics;
mod pressure;
mod restart;
mod retries;
mod room;
mod storm;
