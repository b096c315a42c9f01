//! containerd over gRPC: images, containers and tasks. The only place that knows its API.

mod cgroup;
pub mod channel;
mod containers;
pub mod content;
mod create;
pub mod daemon;
pub mod dns;
mod instance_dir;
mod manifest;
mod oci;
mod remove;
mod rootfs;
pub mod runtime;
mod seccomp;
mod tasks;
mod user;
