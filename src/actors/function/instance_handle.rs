//! What a function's actor keeps of an instance that it runs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::instance_task::Standby;
use crate::function::Spec;

/// The task that an instance lives in.
pub(super) struct InstanceHandle {
    pub(super) cancelled: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// What it was started from: it has a say in how long it may take to leave.
    pub(super) spec: Arc<Spec>,
    /// Asks its task to freeze it.
    pub(super) freeze: Arc<Notify>,
    /// Tells its task whether it stands by.
    pub(super) standby: Arc<watch::Sender<Standby>>,
    /// Whether it ever was up, so that it may have something to finish.
    pub(super) was_up: Arc<AtomicBool>,
}
