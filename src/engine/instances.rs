//! What an engine tells of the instances of a function.

use std::net::SocketAddr;

use crate::function::{Generation, InstanceId, InstancePhase};

/// One instance as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// What it is called.
    pub id: InstanceId,
    /// What it is an instance of.
    pub generation: Generation,
    /// Where it stands.
    pub phase: InstancePhase,
    /// Where it listens, once it was ready.
    pub address: Option<SocketAddr>,
}
