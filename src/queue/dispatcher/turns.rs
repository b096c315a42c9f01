//! The lanes in memory, and whose turn it is.

use super::super::attempt::Try;
use super::super::context::{LaneShown, Run};
use super::super::errand::{self, Back};
use super::super::fairness::UnderWay;
use super::super::gate::Gate;
use super::super::lane::Lane;
use super::super::room::Place;
use super::{CALLBACKS, CALLBACKS_BEYOND, Dispatcher};
use crate::function::{FunctionId, Shedding};
use crate::store::calls::{LaneId, LaneKey};

impl Dispatcher {
    /// The lane in memory; none of a lane that the database has not.
    pub(super) fn lane(&mut self, id: LaneId) -> Option<&mut Lane> {
        if !self.lanes.contains_key(&id) {
            let key = self.calls.lane(id)?.key.clone();
            let (gate, limit) = match &key {
                LaneKey::Function(function) => {
                    self.of_function.insert(function.clone(), id);
                    self.ask(id, function.clone());
                    (Gate::Asking { again: None }, 1)
                }
                LaneKey::Host(_) => (Gate::Open, CALLBACKS),
            };
            self.lanes.insert(id, Lane::new(id, key, gate, limit));
            self.touch(id);
        }
        self.lanes.get_mut(&id)
    }

    pub(super) fn ask(&mut self, id: LaneId, function: FunctionId) {
        let context = self.context.clone();
        let changes = self.lanes.get(&id).map_or(0, |lane| lane.changes);
        self.errands.spawn(async move { Back::Asked(id, changes, errand::ask(&context, function).await) });
    }

    /// Something of the lane has changed: whether it is ready, what it has to read, and when it is looked at next.
    pub(super) fn touch(&mut self, id: LaneId) {
        let now = self.now();
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let may = lane.gate == Gate::Open && !(self.paused && lane.is_function()) && lane.in_flight < lane.limit;
        for (turns, has) in [(&mut self.turns, lane.has_head()), (&mut self.aside, lane.has_aside())] {
            if may && has {
                turns.ready(id, lane.kind(), lane.in_flight == 0);
            } else {
                turns.not_ready(id);
            }
        }
        if lane.gate == Gate::Open
            && let Some(after) = lane.begin_reading(now)
        {
            let calls = self.calls.clone();
            self.errands.spawn(async move { Back::Read(id, calls.heads(id, Some(after), now).await) });
        }
        let due = lane.due();
        if lane.timer != due {
            if let Some(before) = lane.timer {
                self.timers.remove(&(before, id));
            }
            if let Some(due) = due {
                self.timers.insert((due, id));
            }
            lane.timer = due;
        }
        lane.empty_since = if lane.is_empty() { lane.empty_since.or(Some(now)) } else { None };
        let gate = if lane.gate == Gate::Open && lane.has_aside() { Gate::Full } else { lane.gate };
        let shown = LaneShown { gate, in_flight: lane.in_flight, oldest: lane.oldest(now) };
        self.context.shown().insert(id, shown);
    }

    /// Begins what may begin.
    pub(super) fn give_turns(&mut self) {
        // What could not be written down is first: a call that was answered must not be sent again.
        if *self.context.run.borrow() == Run::Ending || self.context.settling.is_stuck() {
            return;
        }
        self.look_at_memory();
        for call in self.context.room.fresh() {
            if let Some(lane) = self.lane(call.lane) {
                lane.hurry(call.head);
                self.touch(call.lane);
            }
        }
        // Those that were set aside are older than all others of their lanes.
        while !self.aside.is_empty()
            && let Some(place) = self.context.room.for_answer(&self.calls)
            && let Some(id) = self.aside.next(self.under_way())
        {
            self.begin(id, Some(place));
        }
        while let Some(id) = self.turns.next(self.under_way()) {
            self.begin(id, None);
        }
    }

    fn under_way(&self) -> UnderWay {
        let beyond = self.callback_lanes < CALLBACKS_BEYOND;
        UnderWay { all: self.in_flight, callbacks: self.callbacks, beyond }
    }

    fn begin(&mut self, id: LaneId, place: Option<Place>) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let head = if place.is_some() { lane.take_aside() } else { lane.take() };
        let Some(head) = head else { return };
        let is_first = lane.in_flight == 0;
        // The first of a lane never waits for memory, or callbacks would wait for calls that take long.
        let waits = !is_first || (!lane.is_function() && self.callback_lanes >= CALLBACKS_BEYOND);
        if !lane.is_function() {
            self.callbacks += 1;
            self.callback_lanes += usize::from(is_first);
        }
        let behind = lane.has_aside();
        lane.in_flight += 1;
        self.in_flight += 1;
        self.context.metrics.in_flight(&lane.key, lane.in_flight);
        let (context, calls, senders) = (self.context.clone(), self.calls.clone(), self.senders.clone());
        self.tries.spawn(Try { context, calls, senders, lane: id, head, waits, place, behind }.run());
        self.touch(id);
    }

    /// Whether memory is so short that no call is sent.
    fn look_at_memory(&mut self) {
        let paused = self.context.engine.shedding() >= Shedding::Calls;
        if paused != self.paused {
            self.paused = paused;
            self.context.metrics.paused(paused);
            if paused {
                tracing::warn!("memory is short: asynchronous calls wait until it is not");
            } else {
                tracing::info!("asynchronous calls are sent again");
            }
            let lanes: Vec<_> = self.lanes.keys().copied().collect();
            lanes.into_iter().for_each(|id| self.touch(id));
        }
    }

    pub(super) fn forget(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.remove(&id) else { return };
        self.turns.not_ready(id);
        self.aside.not_ready(id);
        if let Some(timer) = lane.timer {
            self.timers.remove(&(timer, id));
        }
        self.context.shown().remove(&id);
        if let LaneKey::Function(function) = &lane.key {
            // Its rows may have gone before this lane, and the function's next call made another.
            if self.of_function.get(function) != Some(&id) {
                return;
            }
            self.of_function.remove(function);
        }
        self.context.metrics.forget_in_flight(&lane.key);
    }
}
