//! The scaler over the real actors, store and routes, on the machine in memory and on simulated time: functions that rest,
//! and functions that follow their load.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../support/platform.rs"]
mod platform;

mod bounds;
mod house;
mod load;
mod panics;
mod rest;
mod throughput;
