//! One who listens, at a pace of its own: nothing is held for it, and nothing waits for it.

use std::sync::Arc;

use tokio::sync::watch;

use super::event::Event;
use super::id::EventId;
use super::latest::{Health, Pull, Pulls};
use super::ring::Found;
use super::{Filter, Shared, Why};
use crate::function::FunctionId;
use crate::history::{Loads, Point};

/// What a reader is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Something happened.
    Event(Arc<Event>),
    /// So far are these pulls. States that were passed over meanwhile are not told.
    Pulls(Vec<(FunctionId, Pull)>),
    /// So busy were these functions in the last step: those that were called, and those that have just fallen silent.
    Loads(Vec<(FunctionId, Point)>),
    /// So the machine is when it is begun to listen, if anything is wrong with it.
    Health(Arc<Health>),
    /// Look at everything anew: something was missed. What comes next comes after the event with this id.
    Reset(Why, EventId),
}

/// A place in the events.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    filter: Filter,
    told: watch::Receiver<u64>,
    pulls: watch::Receiver<Pulls>,
    loads: watch::Receiver<Loads>,
    /// The number of the last event that was looked at.
    seen: u64,
    /// The pulls as they were told last, and the round of the loads.
    seen_pulls: Pulls,
    seen_round: u64,
    /// What it is told first.
    reset: Option<Why>,
    /// Whether it is still to be told how the machine is.
    is_new: bool,
    /// Whether it was cut off.
    is_over: bool,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, after: Option<EventId>, filter: Filter) -> Self {
        let told = shared.ring.watch();
        let last = shared.ring.last();
        let (seen, reset) = match after {
            None => (last, None),
            Some(id) if id.boot != shared.ring.boot() => (last, Some(Why::Earlier)),
            Some(id) if id.number > last || shared.ring.after(id.number) == Found::Lost => (last, Some(Why::Gone)),
            Some(id) => (id.number, None),
        };
        let (mut pulls, loads) = (shared.pulls.subscribe(), shared.loads.clone());
        // How far pulls are is told at the beginning, too; a load is one of a step.
        pulls.mark_changed();
        let seen_round = loads.borrow().round;
        shared.count_reader(1);
        Self {
            shared,
            filter,
            told,
            pulls,
            loads,
            seen,
            seen_pulls: Pulls::default(),
            seen_round,
            reset,
            is_new: true,
            is_over: false,
        }
    }

    /// What is next; waits for it. None once it was told that it fell behind. It can be dropped and asked again at any time.
    pub async fn next(&mut self) -> Option<Told> {
        while !self.is_over {
            if let Some(told) = self.try_next() {
                return Some(told);
            }
            let Self { told, pulls, loads, .. } = self;
            tokio::select! {
                () = changed(told) => {}
                () = changed(pulls) => {}
                () = changed(loads) => {}
            }
        }
        None
    }

    /// What is next, if there is something by now.
    pub fn try_next(&mut self) -> Option<Told> {
        if self.is_over {
            return None;
        }
        if let Some(why) = self.reset.take() {
            return Some(self.reset(why));
        }
        if std::mem::take(&mut self.is_new) && self.filter.wants(None) {
            let health = self.shared.health.borrow().clone();
            if *health != Health::default() {
                return Some(Told::Health(health));
            }
        }
        // Before it is looked at what there is: what comes meanwhile is news then.
        self.told.mark_unchanged();
        loop {
            match self.shared.ring.after(self.seen) {
                Found::Event(event) => {
                    self.seen = event.id.number;
                    if self.filter.wants(event.function.as_ref()) {
                        return Some(Told::Event(event));
                    }
                }
                Found::Lost => {
                    self.is_over = true;
                    self.seen = self.shared.ring.last();
                    return Some(self.reset(Why::Lagging));
                }
                Found::Nothing => break,
            }
        }
        self.new_pulls().or_else(|| self.new_loads())
    }

    /// What it has looked at all up to, whether it was told of it or not.
    #[must_use]
    pub fn place(&self) -> EventId {
        EventId { boot: self.shared.ring.boot(), number: self.seen }
    }

    fn reset(&self, why: Why) -> Told {
        self.shared.count_reset(why);
        Told::Reset(why, self.place())
    }

    fn new_pulls(&mut self) -> Option<Told> {
        let before = std::mem::replace(&mut self.seen_pulls, self.pulls.borrow_and_update().clone());
        let is_new = |(id, pull): &(&FunctionId, &Pull)| before.get(*id) != Some(*pull) && self.filter.wants(Some(*id));
        let new: Vec<_> = self.seen_pulls.iter().filter(is_new).map(|(id, pull)| (id.clone(), pull.clone())).collect();
        (!new.is_empty()).then_some(Told::Pulls(new))
    }

    fn new_loads(&mut self) -> Option<Told> {
        let loads = self.loads.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.seen_round, loads.round);
        let there = loads.functions.iter().filter(|(id, load)| load.since > before && self.filter.wants(Some(*id)));
        let new: Vec<_> = there.map(|(id, load)| (id.clone(), load.point)).collect();
        (!new.is_empty()).then_some(Told::Loads(new))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.count_reader(-1);
    }
}

/// Returns when there is something new. Never, where nobody is left who could tell.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
