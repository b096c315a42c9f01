//! containerd over gRPC: images, containers and tasks. The only place that knows its API.
//!
//! ```text
//! daemon      a private containerd: found or started, and watched
//! connection  one channel to a containerd; every call has a name and a deadline, what it makes may have a lease
//! images      registry or archive -> content store -> snapshots, as an `Image` that carries all that an instance needs
//! instances   `Image` + spec + network -> container and task; usage; removal
//! logs        what instances write, as files
//! ```

pub mod connection;
pub mod daemon;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed {
    //! All fuzz targets of the room.

    pub(crate) use super::images::fuzzed::{challenges, configs, manifests, references, resolving, signers_claims};
    pub(crate) use super::instances::fuzzed::users;
    pub(crate) use super::logs::fuzzed::log_indexes;
}
mod gone;
pub mod images;
pub mod instances;
pub mod logs;
mod mounts;
mod of_path;

pub use connection::Containerd;
