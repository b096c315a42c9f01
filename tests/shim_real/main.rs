//! The shim, as a real containerd starts and asks it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what can't be set up has failed")]

mod crowd;
mod end;
mod life;
#[path = "../support/private_containerd.rs"]
mod private_containerd;
mod support;
