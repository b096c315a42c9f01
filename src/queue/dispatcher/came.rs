//! What comes back: tries that ended, errands, and changes of functions.

use tokio::task::JoinError;

use super::super::attempt::{Ended, Outcome};
use super::super::errand::{self, Back};
use super::super::gate::{ASK_AGAIN, GONE_FOR, Gate};
use super::super::retry::Hold;
use super::Dispatcher;
use crate::engine::{Change, Changed, Missed};
use crate::store::calls::{LaneId, LaneKey, Notice, Seq};

impl Dispatcher {
    /// A try has ended. One that panicked takes the dispatcher with it, which then starts over.
    pub(super) fn ended(&mut self, ended: Result<Ended, JoinError>) {
        let Ended { lane: id, head, outcome } =
            ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let now = self.now();
        self.in_flight -= 1;
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.in_flight -= 1;
        if !lane.is_function() {
            self.callbacks -= 1;
            self.callback_lanes -= usize::from(lane.in_flight == 0);
        }
        self.context.metrics.in_flight(&lane.key, lane.in_flight);
        match outcome {
            Outcome::Settled(notice) => self.is_over(id, head.seq, notice),
            Outcome::Moved(notice) => self.is_over(id, head.seq, Some(notice)),
            Outcome::Nothing => self.is_over(id, head.seq, None),
            Outcome::Unsettled(written) => {
                self.errands.spawn(async move { Back::Settled(id, head.seq, written.ended().await) });
            }
            Outcome::Held(Hold::Full) if lane.is_function() => lane.set_aside(head),
            Outcome::Held(hold) => {
                lane.give_back(head);
                if let (Hold::KeptDown | Hold::Gone, LaneKey::Function(function)) = (hold, &lane.key) {
                    // What the routes said may be old by now, or new: the engine knows.
                    self.context.policies.note(function, None);
                }
                // A change that is to come opens it sooner.
                if lane.gate == Gate::Open {
                    lane.gate = Gate::Asking { again: Some(now + ASK_AGAIN) };
                }
            }
            Outcome::Unread => {
                lane.give_back(head);
                lane.gate = Gate::Asking { again: Some(now + ASK_AGAIN) };
            }
        }
        self.touch(id);
    }

    /// A try is over, and what came of it is on the disk: this is how the call waits now, if it does. A dead letter may have been
    /// sent again before its end was noted here.
    fn is_over(&mut self, id: LaneId, call: Seq, notice: Option<Notice>) {
        let anew = self.lanes.get_mut(&id).and_then(|lane| lane.forget(call));
        notice.into_iter().for_each(|notice| self.told(notice));
        anew.into_iter().for_each(|head| self.told(Notice { lane: id, head }));
    }

    pub(super) fn back(&mut self, back: Result<Back, JoinError>) {
        let now = self.now();
        match back.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
            Back::Read(id, read) => {
                let Some(lane) = self.lanes.get_mut(&id) else { return };
                match read {
                    Ok(heads) => lane.read(heads.heads, heads.next, now),
                    Err(error) => {
                        tracing::error!(%error, "calls that wait can't be read: it is tried again");
                        lane.not_read(now);
                        lane.gate = Gate::Asking { again: Some(now + ASK_AGAIN) };
                    }
                }
                self.touch(id);
            }
            // A change that came meanwhile is newer.
            Back::Asked(id, changes, answer) => {
                if self.lanes.get(&id).is_some_and(|lane| lane.changes == changes) {
                    self.answered(id, answer);
                }
            }
            Back::Settled(id, call, notice) => {
                self.is_over(id, call, notice);
                self.touch(id);
            }
            Back::Deadlines(next) => {
                self.deadlines_under_way = false;
                // Those of calls under way are theirs to keep.
                let next = next.map(|next| next.max(now + ASK_AGAIN));
                self.deadline = self.deadline.into_iter().chain(next).min();
            }
            Back::Buried(id, all) => {
                let Some(lane) = self.lanes.get_mut(&id) else { return };
                lane.begin_anew();
                if let Gate::Gone { .. } = lane.gate {
                    let since = if all { now } else { now - GONE_FOR + ASK_AGAIN };
                    lane.gate = Gate::Gone { since };
                    if all && lane.in_flight == 0 && self.calls.lane(id).is_none_or(|lane| lane.waiting() == 0) {
                        self.forget(id);
                        return;
                    }
                }
                self.touch(id);
            }
        }
    }

    /// The engine has said how a function stands.
    fn answered(&mut self, id: LaneId, answer: errand::Answer) {
        let now = self.now();
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        match answer {
            errand::Answer::Stands(policy) => {
                lane.limit = policy.limit.max(1);
                lane.gate = if policy.kept_down { Gate::Down } else { Gate::Open };
            }
            errand::Answer::Gone => {
                if !matches!(lane.gate, Gate::Gone { .. }) {
                    lane.gate = Gate::Gone { since: now };
                }
            }
            errand::Answer::Unknown => lane.gate = Gate::Asking { again: Some(now + ASK_AGAIN) },
        }
        self.touch(id);
    }

    pub(super) fn changed(&mut self, change: Result<Change, Missed>) {
        match change {
            Ok(Change { id: function, what, .. }) => {
                let status = match &what {
                    Changed::Status(status) => Some(&**status),
                    Changed::Deleted => None,
                };
                let policy = self.context.policies.note(&function, status);
                let Some(id) = self.of_function.get(&function).copied() else { return };
                if let Some(lane) = self.lanes.get_mut(&id) {
                    lane.changes += 1;
                }
                let answer = policy.map_or(errand::Answer::Gone, errand::Answer::Stands);
                self.answered(id, answer);
            }
            Err(Missed { .. }) => {
                self.context.policies.forget_all();
                let all: Vec<_> = self.of_function.iter().map(|(function, id)| (*id, function.clone())).collect();
                all.into_iter().for_each(|(id, function)| self.ask(id, function));
            }
        }
    }
}
