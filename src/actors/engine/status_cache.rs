//! What each function last said of itself, so that a reader disturbs no actor.

use std::sync::Arc;

use dashmap::DashMap;

use crate::actors::function::judgements::Judgements;
use crate::actors::function::progress::Progress;
use crate::engine::{ChangeLog, Changed, InstanceView, PullProgress, View};
use crate::function::{Failure, FunctionId, Namespace, Phase, Status, Step, Uptime};
use crate::host::{Images, Network};

/// The newest status of every function; its actor writes, any caller reads.
pub(in crate::actors) struct StatusCache {
    statuses: DashMap<FunctionId, Status>,
    /// The instances of every function that has any.
    instances: DashMap<FunctionId, Vec<InstanceView>>,
    images: Arc<dyn Images>,
    network: Arc<dyn Network>,
    /// What became of functions, for those who watch.
    pub(in crate::actors) changes: ChangeLog,
    /// How far the instances have come that are being brought up.
    pub(in crate::actors) progress: Progress,
    /// How their versions were found to be ready.
    pub(in crate::actors) judgements: Judgements,
}

impl StatusCache {
    /// An empty cache. `images` are asked how far a pull is, `network` whether instances can be reached at all.
    pub(in crate::actors) fn new(images: Arc<dyn Images>, network: Arc<dyn Network>) -> Self {
        // By chance, since a clock may be set back: a number of an earlier process is all but never one of these. A
        // program that keeps numbers as JSON does gets them right as well: they are below 2^53.
        let changes = ChangeLog::starting_after(rand::random::<u64>() >> 12);
        Self {
            statuses: DashMap::new(),
            instances: DashMap::new(),
            images,
            network,
            changes,
            progress: Progress::default(),
            judgements: Judgements::default(),
        }
    }

    pub(in crate::actors) fn post(&self, id: &FunctionId, status: Status) {
        self.judgements.keep(id, status.desired.as_ref());
        let before = self.statuses.insert(id.clone(), status.clone());
        let (was, is) = (before.as_ref().is_some_and(Status::is_deployed), status.is_deployed());
        // A function that is on its way out has nothing to tell any more.
        if is && before.as_ref() != Some(&status) {
            self.changes.record(id, Changed::Status(Box::new(status)));
        } else if was && !is {
            self.changes.record(id, Changed::Deleted);
        }
    }

    /// Its instances come and go without a change of its status, and most changes of that leave them as they are.
    pub(in crate::actors) fn post_instances(&self, id: &FunctionId, instances: Vec<InstanceView>) {
        if instances.is_empty() {
            self.instances.remove(id);
        } else if self.instances.get(id).is_none_or(|known| *known != instances) {
            self.instances.insert(id.clone(), instances);
        }
    }

    /// The instances of a function.
    pub(in crate::actors) fn instances(&self, id: &FunctionId) -> Vec<InstanceView> {
        self.instances.get(id).map(|instances| instances.clone()).unwrap_or_default()
    }

    pub(in crate::actors) fn clear(&self, id: &FunctionId) {
        self.statuses.remove(id);
        self.instances.remove(id);
        self.judgements.keep(id, None);
    }

    /// A function as it stands; none once it is deleted, even while its instances are on their way out.
    pub(in crate::actors) fn view(&self, id: &FunctionId, now: Uptime) -> Option<View> {
        self.statuses.get(id).and_then(|status| self.show(id, &status, now))
    }

    /// The functions of whose status this is true.
    pub(in crate::actors) fn select(&self, is: impl Fn(&Status) -> bool) -> Vec<FunctionId> {
        self.statuses.iter().filter(|entry| is(entry.value())).map(|entry| entry.key().clone()).collect()
    }

    /// When a function was created, which tells it from others of its name; none once it is deleted.
    pub(in crate::actors) fn created_at(&self, id: &FunctionId) -> Option<String> {
        self.statuses.get(id).and_then(|status| status.desired.as_ref().map(|desired| desired.created_at.clone()))
    }

    /// The functions of a namespace, by name.
    pub(in crate::actors) fn list(&self, namespace: &Namespace, now: Uptime) -> Vec<View> {
        let of_namespace = self.statuses.iter().filter(|entry| entry.key().namespace == *namespace);
        let mut views: Vec<View> =
            of_namespace.filter_map(|entry| self.show(entry.key(), entry.value(), now)).collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    fn show(&self, id: &FunctionId, status: &Status, now: Uptime) -> Option<View> {
        let desired = status.desired.as_ref()?;
        let phase = status.phase;
        let retry_in = match phase {
            Phase::BackingOff { until } => Some(until.since(now)),
            _ => None,
        };
        let stage = self.progress.of(id);
        let (step, waits_for) = stage.map(|stage| (stage.step, stage.waits_for)).unzip();
        let judged = status.serving.and_then(|generation| self.judgements.of(id, generation));
        let pull = step.filter(|step| *step == Step::Pulling).and_then(|_| self.images.progress(&desired.spec.image));
        let asked = pull.and_then(|pull| pull.wait).map(|wait| {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            format!("the registry asks to wait {seconds} s")
        });
        let pull = pull.map(|pull| PullProgress { pulled: pull.pulled, total: pull.total });
        let (waits_for, judged) = (waits_for.flatten().or(asked), judged.and_then(|judged| judged.note()));
        let mut status = status.clone();
        if let Some(fault) = self.network.fault() {
            cut_off(&mut status, fault);
        }
        let in_phase_for = Some(now.since(status.since)).filter(|_| status.phase == phase);
        Some(View { id: id.clone(), status, in_phase_for, retry_in, step, waits_for, pull, judged })
    }
}

/// The instances run, and nothing reaches them while the network that they share is broken. Their actors don't know, and
/// need not: nothing of theirs has to be replaced.
fn cut_off(status: &mut Status, fault: String) {
    let Some(generation) = status.serving else { return };
    (status.ready, status.frozen) = (0, 0);
    if matches!(status.phase, Phase::Ready | Phase::Frozen) {
        status.phase = Phase::Unready;
    }
    status.failure = Some(Failure { generation, reason: fault });
}
