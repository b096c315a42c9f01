//! Calls that are due by the clock, on simulated time and a wall whose clock the test sets: the driver over an engine in
//! memory, and over something that keeps calls as the queue does, over restarts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../support/memory_engine/mod.rs"]
mod memory_engine;

mod clocks;
mod functions;
mod house;
mod kept;
mod missed;
mod once;
mod queued;
