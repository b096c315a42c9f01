//! The loop that sends calls: what waits is told and read, each lane has its turns, tries go out and come back.
//!
//! ```text
//! commits -> notices -> lanes -> turns -> tries (a task each) -> ended -> the place is free, the lane has its next turn
//!            changes of the engine -> gates and limits           errands: reading, asking the engine, deadlines
//! ```
//! Nothing is kept here that has to survive: after a panic a new one begins with what is on the disk, once the tries of the old
//! one are dropped. What had been answered by then goes onto the disk by itself (see `settling`). All notices are noted before an end is: a call's settling never overtakes the word that it waits.

mod came;
mod due;
mod turns;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::attempt::Ended;
use super::context::{Context, Senders};
use super::errand::Back;
use super::fairness::Turns;
use super::lane::Lane;
use crate::engine::{Change, Missed};
use crate::function::FunctionId;
use crate::store::calls::{Calls, LaneId, Notice};

/// Callbacks to one host at a time.
const CALLBACKS: u32 = 8;
/// So many lanes of callbacks may have one under way beyond what may be in all: hosts are made up by callers.
const CALLBACKS_BEYOND: usize = 64;
/// How often it is looked whether memory is still short, and whether there is room for answers.
const LOOK: Duration = Duration::from_secs(1);
/// For how long a lane that is empty is remembered, in milliseconds: the next call is then sent without reading.
const REMEMBERED: i64 = 60_000;

/// What came in.
enum Event {
    Notices(Box<[Notice]>),
    Ended(Result<Ended, JoinError>),
    Back(Result<Back, JoinError>),
    Changed(Result<Change, Missed>),
    Deadline,
    Time,
    /// The database is closed.
    Closed,
}

/// See the module.
pub(super) struct Dispatcher {
    context: Arc<Context>,
    calls: Calls,
    senders: Arc<Senders>,
    lanes: HashMap<LaneId, Lane>,
    of_function: HashMap<FunctionId, LaneId>,
    turns: Turns<LaneId>,
    /// Of lanes that have calls set aside until there is room for their answers.
    aside: Turns<LaneId>,
    tries: JoinSet<Ended>,
    in_flight: usize,
    /// Of those, callbacks; and the lanes of callbacks that have any.
    callbacks: usize,
    callback_lanes: usize,
    errands: JoinSet<Back>,
    timers: BTreeSet<(i64, LaneId)>,
    /// When the first deadline is looked at, in ticks.
    deadline: Option<i64>,
    deadlines_under_way: bool,
    paused: bool,
    next_sweep: i64,
}

impl Dispatcher {
    pub(super) fn new(context: Arc<Context>, calls: Calls, senders: Arc<Senders>) -> Self {
        let (turns, aside) = (Turns::new(context.settings.parallel), Turns::new(context.settings.parallel));
        let next_sweep = calls.ticks().now() + REMEMBERED;
        Self {
            context,
            calls,
            senders,
            lanes: HashMap::new(),
            of_function: HashMap::new(),
            turns,
            aside,
            tries: JoinSet::new(),
            in_flight: 0,
            callbacks: 0,
            callback_lanes: 0,
            errands: JoinSet::new(),
            timers: BTreeSet::new(),
            deadline: None,
            deadlines_under_way: false,
            paused: false,
            next_sweep,
        }
    }

    /// Returns when the database is closed.
    pub(super) async fn run(mut self) {
        let mut notices = self.calls.notices();
        let mut changes = self.context.engine.watch(None);
        let mut deadlines = self.context.deadlines.subscribe();
        let mut run = self.context.run.subscribe();
        let mut settling = self.context.settling.changes();
        self.context.policies.forget_all();
        self.context.room.begin_dispatch();
        self.context.shown().clear();
        for lane in self.calls.lanes() {
            if lane.waiting() > 0 {
                self.lane(lane.id);
            }
        }
        self.look_at_deadlines();
        loop {
            self.give_turns();
            self.tell();
            let wake = self.wake();
            let event = tokio::select! {
                biased;
                told = notices.recv() => told.map_or(Event::Closed, Event::Notices),
                Some(ended) = self.tries.join_next() => Event::Ended(ended),
                Some(back) = self.errands.join_next() => Event::Back(back),
                change = changes.next() => Event::Changed(change),
                _ = deadlines.changed() => Event::Deadline,
                _ = run.changed() => Event::Time,
                _ = settling.changed() => Event::Time,
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => Event::Time,
            };
            self.drain(&mut notices);
            match event {
                Event::Closed => return,
                Event::Notices(told) => told.into_iter().for_each(|notice| self.told(notice)),
                Event::Ended(ended) => self.ended(ended),
                Event::Back(back) => self.back(back),
                Event::Changed(change) => self.changed(change),
                Event::Deadline => self.first_deadline(*deadlines.borrow_and_update()),
                Event::Time => {}
            }
            // What is there already needs no turn of the loop of its own, and no notice waits behind a flood of them.
            while let Some(ended) = self.tries.try_join_next() {
                self.drain(&mut notices);
                self.ended(ended);
            }
            while let Some(back) = self.errands.try_join_next() {
                self.back(back);
            }
            while let Some(change) = changes.try_next() {
                self.changed(change);
            }
            if deadlines.has_changed().unwrap_or(false) {
                self.first_deadline(*deadlines.borrow_and_update());
            }
            self.on_time();
        }
    }

    fn drain(&mut self, notices: &mut UnboundedReceiver<Box<[Notice]>>) {
        while let Ok(told) = notices.try_recv() {
            told.into_iter().for_each(|notice| self.told(notice));
        }
    }

    fn told(&mut self, notice: Notice) {
        let now = self.now();
        if let Some(lane) = self.lane(notice.lane) {
            lane.told(notice.head, now);
            self.touch(notice.lane);
        }
    }

    fn now(&self) -> i64 {
        self.calls.ticks().now()
    }

    /// Tells who waits for the end whether anything is under way.
    fn tell(&self) {
        let idle = self.in_flight == 0 && self.context.settling.is_done();
        self.context.idle.send_if_modified(|before| std::mem::replace(before, idle) != idle);
    }

    /// When something is due next.
    fn wake(&self) -> Option<Instant> {
        let ticks = self.calls.ticks();
        let lanes = self.timers.first().map(|(due, _)| *due);
        let sweep = (!self.lanes.is_empty()).then_some(self.next_sweep);
        let due = lanes.into_iter().chain(self.deadline).chain(sweep).min().map(|due| ticks.when(due));
        let look = (self.paused || !self.aside.is_empty()).then(|| Instant::now() + LOOK);
        due.into_iter().chain(look).min()
    }
}
