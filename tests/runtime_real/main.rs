//! The runtime half of the containerd adapter on a real, private containerd. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compat;
mod daemon;
mod freezing;
mod images;
mod inside;
mod life;
mod limits;
mod mapped;
#[path = "../support/oci_runtimes.rs"]
mod oci_runtimes;
mod probe;
mod refused;
mod remains;
mod runtimes;
mod storage;
mod support;
mod volumes;
