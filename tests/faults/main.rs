//! What becomes of functions when the host fails, in every way at every call: the real actors, store and routes on
//! the machine in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/platform.rs"]
mod platform;

mod cell;
mod check;
mod imports;
mod life;
mod matrix;
mod situation;
mod stuck;
mod warm;
