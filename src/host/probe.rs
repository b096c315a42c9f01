//! Readiness over the network.

/// Asks over HTTP, or with a TCP connect where no HTTP answers.
#[derive(Debug, Clone, Default)]
pub struct HttpProbe {}
