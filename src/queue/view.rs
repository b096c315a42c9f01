//! Calls as people see them: in which of their states, and when by the clock on the wall. Pure.

use crate::store::calls::{Phase, State, Summary};

/// Two clocks at one moment: the queue's own, and the wall's, both in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Ticks.
    pub ticks: i64,
    /// Since 1970.
    pub wall: i64,
}

impl Moment {
    /// When it is, or was, so many ticks, by the clock on the wall as it goes now.
    #[must_use]
    pub fn wall(&self, ticks: i64) -> i64 {
        self.wall.saturating_add(ticks.saturating_sub(self.ticks))
    }

    /// The tick of this time on the wall.
    #[must_use]
    pub fn ticks(&self, wall: i64) -> i64 {
        self.ticks.saturating_add(wall.saturating_sub(self.wall))
    }
}

/// In which state a call is, in one word; `running` tells whether it is under way just now.
#[must_use]
pub fn state(call: &Summary, running: bool) -> &'static str {
    match (call.state, call.phase) {
        (State::Done, _) => "done",
        (State::Dead, _) => "dead",
        (State::Cancelled, _) => "cancelled",
        (State::Waiting, Phase::Callback) => "callback",
        (State::Waiting, Phase::Function) if running => "running",
        (State::Waiting, Phase::Function) if call.tries > 0 => "retrying",
        (State::Waiting, Phase::Function) => "waiting",
    }
}

/// When it ended, on the wall.
#[must_use]
pub fn ended(call: &Summary, now: Moment) -> Option<i64> {
    (call.state != State::Waiting).then(|| now.wall(call.due))
}

/// When it is tried next, on the wall; none if it is under way, or due.
#[must_use]
pub fn next_try(call: &Summary, running: bool, now: Moment) -> Option<i64> {
    (call.state == State::Waiting && !running && call.due > now.ticks).then(|| now.wall(call.due))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::calls::{CallId, LaneId, Seq};

    const NOW: Moment = Moment { ticks: 1_000, wall: 1_700_000_000_000 };

    fn call(state: State, phase: Phase, tries: u32, due: i64) -> Summary {
        Summary {
            seq: Seq(1),
            id: CallId::new(0),
            caller_id: None,
            function: "f".parse().unwrap(),
            lane: LaneId(1),
            state,
            phase,
            due,
            accepted: 0,
            tries,
            called: tries,
            deadline: None,
            status: None,
            reason: None,
            verdict: None,
            bytes: 0,
            guarded: false,
            callback: None,
            method: "POST".to_owned(),
            path: String::new(),
            schedule: None,
        }
    }

    #[test]
    fn a_call_is_in_one_state_and_times_are_those_on_the_wall() {
        use Phase::{Callback, Function};
        for (kept, running, word, ended_at, next) in [
            (call(State::Waiting, Function, 0, 900), false, "waiting", None, None),
            (call(State::Waiting, Function, 2, 3_000), false, "retrying", None, Some(NOW.wall + 2_000)),
            (call(State::Waiting, Function, 2, 900), true, "running", None, None),
            (call(State::Waiting, Callback, 1, 1_500), false, "callback", None, Some(NOW.wall + 500)),
            (call(State::Done, Function, 1, 400), false, "done", Some(NOW.wall - 600), None),
            (call(State::Dead, Callback, 1, 1_000), false, "dead", Some(NOW.wall), None),
            (call(State::Cancelled, Function, 0, 1_000), false, "cancelled", Some(NOW.wall), None),
        ] {
            assert_eq!(state(&kept, running), word);
            assert_eq!((ended(&kept, NOW), next_try(&kept, running, NOW)), (ended_at, next), "{word}");
        }
        assert_eq!(NOW.ticks(NOW.wall(77)), 77);
    }
}
