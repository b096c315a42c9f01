//! How long things may take and how many may run side by side.

use std::time::Duration;

use super::housekeeping::Watermarks;
use crate::function::{Compat32Bit, GrantableCapabilities, RuntimeNames};
use crate::host::PullPolicy;

/// Bounds of the actors' work; every one is an option of the program.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a deploy or update waits for its instance before it is answered anyway.
    pub deploy_wait: Duration,
    /// When a deploy or update asks the registry for its image.
    pub pull_policy: PullPolicy,
    /// The longest pull of one image.
    pub pull_timeout: Duration,
    /// Pulls that run side by side.
    pub parallel_pulls: usize,
    /// The most functions that may be deployed; 0: any number.
    pub max_functions: usize,
    /// The most memory that functions may request together, in bytes; 0: any.
    pub max_memory_requests: u64,
    /// How long a pulled image stays after the last function that needed it; zero: for ever.
    pub image_retention: Duration,
    /// How full the disk of the images may get before those go that no function needs; none: it is not looked at.
    pub image_watermarks: Option<Watermarks>,
    /// The longest single call to the host other than a pull.
    pub host_timeout: Duration,
    /// Attachments that are made or removed side by side.
    pub parallel_attachments: usize,
    /// Attachments that are kept ready for starts to come.
    pub warm_attachments: usize,
    /// Instances that are started side by side.
    pub parallel_starts: usize,
    /// How long a started process may take to get ready.
    pub ready_timeout: Duration,
    /// How long a retracted instance may go on with the requests that it has.
    pub drain_timeout: Duration,
    /// How long a process may take to end after SIGTERM.
    pub grace_period: Duration,
    /// The OCI runtimes that functions may have.
    pub runtimes: RuntimeNames,
    /// The capabilities that functions may ask for.
    pub capabilities: GrantableCapabilities,
    /// Whether functions may ask for the 32-bit way into the kernel.
    pub compat_32bit: Compat32Bit,
    /// The most bytes of the machine's disk that what an instance writes may take, where its function does not say.
    pub ephemeral_storage: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            deploy_wait: seconds(20),
            pull_policy: PullPolicy::default(),
            pull_timeout: seconds(1800),
            parallel_pulls: 3,
            max_functions: 0,
            max_memory_requests: 0,
            image_retention: Duration::ZERO,
            image_watermarks: None,
            host_timeout: seconds(30),
            parallel_attachments: 4,
            warm_attachments: 0,
            parallel_starts: 4,
            ready_timeout: seconds(60),
            drain_timeout: seconds(60),
            grace_period: seconds(30),
            runtimes: RuntimeNames::default(),
            capabilities: GrantableCapabilities::default(),
            compat_32bit: Compat32Bit::default(),
            ephemeral_storage: None,
        }
    }
}
