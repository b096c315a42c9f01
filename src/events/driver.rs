//! The loop: what the engine and the queue tell becomes events, and what starts is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::Shared;
use super::event::What;
use super::judge::{judge, short};
use super::latest::{Followed, Health};
use crate::engine::{Change, Changed, Engine, Missed, Namespaces, View};
use crate::function::{FunctionId, Phase, Shedding, Status, Step};
use crate::queue::{End, Ended, Queue};

/// How often what starts is looked at: pulls are told of twice a second.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is looked what is wrong. It is what is known already.
const FAULTS: Duration = Duration::from_secs(1);
/// Before functions are listed again that could not be.
const LIST_AGAIN: Duration = Duration::from_secs(1);
/// What is said of calls that ended faster than they could be told of.
const TOO_MANY: &str = "too many at once to tell of each";

/// See the module. It outlives its panics.
pub(super) struct Driver {
    engine: Arc<dyn Engine>,
    namespaces: Arc<dyn Namespaces>,
    queue: Queue,
    ends: Receiver<Ended>,
    shared: Arc<Shared>,
    /// How each function stood when it was last told of; none before all were listed once.
    known: Option<BTreeMap<FunctionId, Status>>,
    /// Where each start was when it was last told of, and what it waited for.
    steps: BTreeMap<FunctionId, (Step, Option<String>)>,
    pulls: Followed,
}

impl Driver {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        namespaces: Arc<dyn Namespaces>,
        queue: Queue,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            ends: queue.ends(),
            engine,
            namespaces,
            queue,
            shared,
            known: None,
            steps: BTreeMap::new(),
            pulls: Followed::default(),
        }
    }

    /// Does not return.
    pub(super) async fn run(&mut self) -> Infallible {
        let mut changes = self.engine.watch(None);
        self.list().await;
        let mut looks = interval(LOOK);
        // While nothing starts no look is due, and the next one is so at once.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut faults = interval(FAULTS);
        faults.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_queue = true;
        loop {
            let starting = self.starting();
            tokio::select! {
                change = changes.next() => match change {
                    Ok(Change { id, what, .. }) => self.judge(id, what).await,
                    Err(Missed { .. }) => {
                        // What is still kept of them is older than the list that comes now, and would be told back and forth.
                        changes = self.engine.watch(None);
                        self.list().await;
                    }
                },
                ended = self.ends.recv(), if has_queue => match ended {
                    Err(RecvError::Closed) => has_queue = false,
                    ended => self.note_call(ended),
                },
                _ = looks.tick(), if !starting.is_empty() => self.look(starting).await,
                _ = faults.tick() => self.look_at_faults(),
            }
        }
    }

    /// Judges how everything stands now by how it stood. The first time it is what there is, and nobody is told of it.
    async fn list(&mut self) {
        let listed = loop {
            match self.all().await {
                Some(all) => break all,
                None => sleep(LIST_AGAIN).await,
            }
        };
        let Some(known) = self.known.take() else {
            self.known = Some(listed.into_iter().map(|view| (view.id, view.status)).collect());
            return;
        };
        let there: BTreeSet<_> = listed.iter().map(|view| view.id.clone()).collect();
        let gone: Vec<_> = known.keys().filter(|id| !there.contains(*id)).cloned().collect();
        self.known = Some(known);
        for id in gone {
            self.judge(id, Changed::Deleted).await;
        }
        for View { id, status, .. } in listed {
            self.judge(id, Changed::Status(Box::new(status))).await;
        }
    }

    /// All functions; none while the engine can't be asked.
    async fn all(&self) -> Option<Vec<View>> {
        let mut all = Vec::new();
        for namespace in self.namespaces.list().await.ok()? {
            all.extend(self.engine.list(&namespace).await.ok()?);
        }
        Some(all)
    }

    async fn judge(&mut self, id: FunctionId, now: Changed) {
        let known = self.known.get_or_insert_default();
        let mut told = judge(known.get(&id), &now);
        match now {
            Changed::Status(status) => known.insert(id.clone(), *status),
            Changed::Deleted => known.remove(&id),
        };
        for what in &mut told {
            if let What::Phase { phase: Phase::BackingOff { .. }, retry_in, .. } = what {
                // The engine alone knows what time it is there.
                *retry_in = self.engine.get(&id).await.ok().flatten().and_then(|view| view.retry_in);
            }
        }
        for what in told {
            self.shared.push(Some(id.clone()), what);
        }
    }

    fn note_call(&self, ended: Result<Ended, RecvError>) {
        let (function, what) = match ended {
            Ok(Ended { function, call, how, reason, count }) => {
                let reason = reason.as_deref().map(short);
                (Some(function), What::Call { id: call, ended: how, reason, count })
            }
            Err(RecvError::Lagged(count)) => {
                (None, What::Call { id: None, ended: End::Dead, reason: Some(TOO_MANY.to_owned()), count })
            }
            Err(RecvError::Closed) => return,
        };
        self.shared.push(function, what);
    }

    /// The functions that are to be looked at.
    fn starting(&self) -> BTreeSet<FunctionId> {
        let known = self.known.iter().flatten().filter(|(_, status)| status.phase == Phase::Starting);
        known.map(|(id, _)| id).chain(self.steps.keys()).chain(self.pulls.functions()).cloned().collect()
    }

    async fn look(&mut self, starting: BTreeSet<FunctionId>) {
        for id in starting {
            // One that can't be looked at just now is looked at again.
            let Ok(view) = self.engine.get(&id).await else { continue };
            self.pulls.look(&id, view.as_ref(), Instant::now());
            let step = view.and_then(|view| Some((view.step?, view.waits_for)));
            let Some((step, waits_for)) = step else {
                self.steps.remove(&id);
                continue;
            };
            let now = (step, waits_for);
            if self.steps.insert(id.clone(), now.clone()).as_ref() != Some(&now) {
                let (step, waits_for) = now;
                self.shared.push(Some(id), What::Step { step, waits_for: waits_for.as_deref().map(short) });
            }
        }
        self.pulls.tell(&self.shared.pulls, Instant::now());
    }

    fn look_at_faults(&mut self) {
        let faults = self.engine.faults().into_iter().chain(self.queue.faults());
        let faults: Vec<_> = faults.map(|fault| short(&fault)).collect();
        let health = Health { faults, paused: self.engine.shedding() >= Shedding::Calls };
        let before = self.shared.health.send_replace(Arc::new(health.clone()));
        if health.faults != before.faults {
            self.shared.push(None, What::Faults(health.faults));
        }
        if health.paused != before.paused {
            self.shared.push(None, What::Paused(health.paused));
        }
    }
}
