//! The loop: changes come in, functions whose moment has come are looked at, errands go out and come back.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::Settings;
use super::errand::{self, Outcome};
use super::followed::{Followed, Wish};
use super::metrics::Metrics;
use crate::engine::{Change, Changed, Engine, Missed};
use crate::function::{FunctionId, Status, Uptime};
use crate::routes::{FunctionEntry, Routes};

/// See the module.
pub(super) struct Driver {
    engine: Arc<dyn Engine>,
    routes: Arc<Routes>,
    settings: Settings,
    metrics: Metrics,
    started: Instant,
    functions: BTreeMap<FunctionId, Followed>,
    errands: JoinSet<(FunctionEntry, Outcome)>,
}

impl Driver {
    pub(super) fn new(engine: Arc<dyn Engine>, routes: Arc<Routes>, settings: Settings, metrics: Metrics) -> Self {
        let (functions, errands) = (BTreeMap::new(), JoinSet::new());
        Self { engine, routes, settings, metrics, started: Instant::now(), functions, errands }
    }

    /// Does not return.
    pub(super) async fn run(mut self) -> Infallible {
        let mut changes = self.engine.watch(None);
        self.metrics.forget_all();
        self.list().await;
        loop {
            self.look();
            let due = self.functions.values().filter_map(Followed::due_at).min();
            tokio::select! {
                change = changes.next() => {
                    let mut change = Some(change);
                    while let Some(next) = change {
                        self.note(next).await;
                        change = changes.try_next();
                    }
                }
                Some(back) = self.errands.join_next() => self.came_back(back),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Looks at every function that the routes know. One that they don't know yet is told by a change.
    async fn list(&mut self) {
        self.functions.retain(|_, followed| !followed.entry().is_deleted());
        for entry in self.routes.all() {
            // Where the engine can't be asked, the function's next change tells.
            if let Ok(Some(view)) = self.engine.get(entry.function()).await {
                self.follow(entry.function(), view.status);
            }
        }
    }

    async fn note(&mut self, change: Result<Change, Missed>) {
        match change {
            Ok(Change { id, what: Changed::Status(status), .. }) => self.follow(&id, *status),
            Ok(Change { id, what: Changed::Deleted, .. }) => {
                self.functions.remove(&id);
                self.metrics.forget(&id);
            }
            Err(Missed { .. }) => self.list().await,
        }
    }

    fn follow(&mut self, id: &FunctionId, status: Status) {
        let now = Instant::now();
        let before = self.functions.remove(id);
        let was_followed = before.is_some();
        let followed = match before.filter(|followed| !followed.entry().is_deleted()) {
            Some(followed) => followed.update(status, &self.settings, &self.metrics, now),
            None => self.routes.find(id).and_then(|entry| Followed::of(entry, status, &self.settings, now)),
        };
        match followed {
            Some(followed) => {
                self.functions.insert(id.clone(), followed);
            }
            None if was_followed => self.metrics.forget(id),
            None => {}
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        let uptime = self.uptime(now);
        let due = self.functions.values_mut().filter(|followed| followed.due_at().is_some_and(|at| at <= now));
        let wishes: Vec<_> = due
            .flat_map(|followed| {
                let wishes = followed.look(&self.metrics, now, uptime);
                wishes.into_iter().map(|wish| (followed.entry().clone(), wish))
            })
            .collect();
        for (entry, wish) in wishes {
            self.send(entry, wish);
        }
    }

    fn send(&mut self, entry: FunctionEntry, wish: Wish) {
        self.errands.spawn(errand::run(self.engine.clone(), entry, wish));
    }

    /// An errand that panicked takes the driver with it, which then starts over.
    fn came_back(&mut self, back: Result<(FunctionEntry, Outcome), JoinError>) {
        let (entry, outcome) = back.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let now = Instant::now();
        let uptime = self.uptime(now);
        let followed = self.functions.get_mut(entry.function()).filter(|followed| followed.entry().is(&entry));
        let Some(followed) = followed else { return };
        match outcome {
            Outcome::Cpu(cpu) => {
                let wish = followed.cpu_is_read(cpu, now, uptime);
                wish.into_iter().for_each(|wish| self.send(entry.clone(), wish));
            }
            Outcome::Rested => followed.was_sent_to_rest(now),
            Outcome::Adjusted => followed.was_adjusted(),
        }
    }

    fn uptime(&self, now: Instant) -> Uptime {
        Uptime(now - self.started)
    }
}
