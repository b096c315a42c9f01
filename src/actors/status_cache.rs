//! What each function last said of itself, so that looking disturbs nobody.

use std::sync::Arc;

use dashmap::DashMap;

use super::function::progress::Progress;
use super::messages::View;
use crate::function::{FunctionId, Namespace, Phase, Status, Step, Uptime};
use crate::host::Images;

/// The newest status of every function; its actor writes, everybody reads.
pub(super) struct StatusCache {
    statuses: DashMap<FunctionId, Status>,
    images: Arc<dyn Images>,
    /// How far the instances have come that are being brought up.
    pub(super) progress: Progress,
}

impl StatusCache {
    /// An empty board. `images` are asked how far a pull is.
    pub(super) fn new(images: Arc<dyn Images>) -> Self {
        Self { statuses: DashMap::new(), images, progress: Progress::default() }
    }

    pub(super) fn post(&self, id: &FunctionId, status: Status) {
        self.statuses.insert(id.clone(), status);
    }

    pub(super) fn clear(&self, id: &FunctionId) {
        self.statuses.remove(id);
    }

    /// A function as it stands; none once it is deleted, even while its instances are on their way out.
    pub(super) fn view(&self, id: &FunctionId, now: Uptime) -> Option<View> {
        self.statuses.get(id).and_then(|status| self.show(id, &status, now))
    }

    /// The functions of a namespace, by name.
    pub(super) fn list(&self, namespace: &Namespace, now: Uptime) -> Vec<View> {
        let of_namespace = self.statuses.iter().filter(|entry| entry.key().namespace == *namespace);
        let mut views: Vec<View> =
            of_namespace.filter_map(|entry| self.show(entry.key(), entry.value(), now)).collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    fn show(&self, id: &FunctionId, status: &Status, now: Uptime) -> Option<View> {
        let desired = status.desired.as_ref()?;
        let retry_in = match status.phase {
            Phase::BackingOff { until } => Some(until.since(now)),
            _ => None,
        };
        let step = self.progress.of(id);
        let pull = step.filter(|step| *step == Step::Pulling).and_then(|_| self.images.progress(&desired.spec.image));
        Some(View { id: id.clone(), status: status.clone(), retry_in, step, pull })
    }
}
