//! What is due: gates, deadlines, what could not be written down, lanes that nothing is in.

use super::super::errand;
use super::super::gate::{GONE_FOR, Gate};
use super::super::lane::Lane;
use super::{Dispatcher, REMEMBERED};
use crate::store::calls::LaneKey;

impl Dispatcher {
    /// What is due is done.
    pub(super) fn on_time(&mut self) {
        let now = self.now();
        while let Some((due, id)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, id));
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.timer = None;
            match (lane.gate, &lane.key) {
                (Gate::Asking { again: Some(again) }, key) if again <= now => match key {
                    LaneKey::Function(function) => {
                        let function = function.clone();
                        lane.gate = Gate::Asking { again: None };
                        self.ask(id, function);
                    }
                    LaneKey::Host(_) => lane.gate = Gate::Open,
                },
                (Gate::Gone { since }, LaneKey::Function(function)) if since + GONE_FOR <= now => {
                    let function = function.clone();
                    // Until it is back: nothing else is due of it.
                    lane.gate = Gate::Gone { since: i64::MAX - GONE_FOR };
                    let (context, calls) = (self.context.clone(), self.calls.clone());
                    self.errands.spawn(async move { errand::bury(&context, &calls, id, function).await });
                }
                _ => {}
            }
            self.touch(id);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.look_at_deadlines();
        }
        if now >= self.next_sweep {
            self.next_sweep = now + REMEMBERED;
            self.forget_empty(now);
        }
    }

    pub(super) fn first_deadline(&mut self, first: i64) {
        self.deadline = self.deadline.into_iter().chain((first < i64::MAX).then_some(first)).min();
    }

    pub(super) fn look_at_deadlines(&mut self) {
        if !std::mem::replace(&mut self.deadlines_under_way, true) {
            self.deadline = None;
            // Before it is read: what is accepted from here on tells of itself.
            self.context.deadlines.send_replace(i64::MAX);
            let (context, calls) = (self.context.clone(), self.calls.clone());
            self.errands.spawn(async move { errand::deadlines(&context, &calls).await });
        }
    }

    fn forget_empty(&mut self, now: i64) {
        let empty =
            |lane: &Lane| lane.in_flight == 0 && lane.empty_since.is_some_and(|since| since + REMEMBERED <= now);
        let gone: Vec<_> = self.lanes.values().filter(|lane| empty(lane)).map(|lane| lane.id).collect();
        gone.into_iter().for_each(|id| self.forget(id));
    }
}
