//! Makes containers from OCI bundles, with what runc would give them, in a fraction of its time: no program is started, no
//! list of the machine's mounts is read, the filter of system calls is compiled once, and no move of a process from one
//! control group into another makes the whole machine wait.
//!
//! ```text
//! server (many threads): server.rs -- order + streams + a channel --> zygote.rs (one thread, no children)
//!    ^  |                                                                | clone, as the server's child
//!    |  +-- "go" over the channel, on start ------> init.rs <------------+
//!    +----- "ready", or a fault ------------------- cgroup, mounts, devices, ids, process, seccomp
//! ```
//! What a runtime spec may ask for and this does not know is refused, never left out (`zygote.rs`). Removing a container
//! needs nothing but a file with the path of its control groups (`state.rs`), and no process but the one that asks.
//!
//! It takes Linux 5.12. Where control groups are of version 2 only, no filter of devices is loaded: the container's tree is
//! mounted `nodev` instead, so that a node that an image brings opens nothing.

mod cgroup;
mod channel;
mod copy_up;
mod devices;
mod fault;
mod ids;
mod init;
mod kernel;
mod limits;
mod mounts;
mod options;
mod process;
mod root;
mod seal;
mod seccomp;
mod server;
mod state;
mod zygote;

pub use fault::{Fault, Stage};
pub use seal::{seal, sealed_program};
pub use server::{Creation, Zygote, remove};
