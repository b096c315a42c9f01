//! containerd over gRPC: images, containers and tasks. The only place that knows its API.

pub mod channel;
pub mod content;
pub mod daemon;
mod manifest;
