//! The dashboard in a real Chromium: what people do on it, and what others must not.
//!
//! ```text
//! Stage: actord with containerd and functions <- :8083 <- Chromium <- Tab: presses, types, and waits for what is to be seen
//! ```
//! `make screenshots` runs `pages` alone, which then writes pictures of what it looks at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod axe;
mod chromium;
mod hostile;
mod journey;
mod keyboard;
mod many;
mod pages;
mod read_only;
mod restart;
mod stage;
mod stays;
mod tab;

#[path = "../support/actord.rs"]
mod actord;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/inventory.rs"]
mod inventory;
#[path = "../support/killed.rs"]
mod killed;
#[path = "../support/leaks.rs"]
mod leaks;
#[path = "../support/memory_engine/mod.rs"]
mod memory_engine;
#[path = "../support/registry.rs"]
mod registry;
#[path = "../support/run.rs"]
mod run;
#[path = "../support/sample.rs"]
mod sample;
#[allow(dead_code, reason = "what tests of the REST surface stand on; here one does")]
#[path = "../http/support.rs"]
mod support;
