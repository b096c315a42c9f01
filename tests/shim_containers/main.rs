//! Containers that the shim makes beside runc's, of the same bundle: what is seen from inside must be the same. Needs root,
//! runc, and the host's `/usr`, which is the containers' too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unsafe_code)]

mod bundle;
mod equality;
mod refusals;
mod removal;
mod runtimes;
