//! containerd over gRPC: images, containers and tasks. The only place that knows its API.

mod archive_index;
mod cgroup;
pub mod channel;
mod containers;
pub mod content;
mod create;
mod credentials;
pub mod daemon;
pub mod dns;
mod fault;
mod identity;
pub mod images;
mod import;
mod ingest;
mod instance_dir;
mod lease;
mod locks;
pub mod logs;
mod manifest;
mod name_servers;
mod oci;
mod pull;
mod record;
mod reference;
mod registry;
mod remove;
mod rootfs;
pub mod runtime;
mod seccomp;
mod tarball;
mod tasks;
mod unpack;
mod usage;
mod user;

pub use oci::OPEN_FILES;
