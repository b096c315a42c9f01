//! One schedule that is followed: how far it has come, and what is to be done for it at a look.

use jiff::Timestamp;

use super::clock::Seen;
use super::missed::{Due, FiredState, due};
use super::schedule::Timetable;
use super::seam::{Key, Known};
use super::zone::UnknownZone;
use crate::function::{FunctionId, Missed, Overlap, Schedule};

/// See the module.
pub(super) struct Followed {
    pub(super) schedule: Schedule,
    pub(super) missed: Missed,
    pub(super) overlap: Overlap,
    /// The function is kept down by hand: nothing fires until it is started.
    pub(super) kept_down: bool,
    table: Result<Timetable, UnknownZone>,
    /// What is remembered of it; none until it has been written down that it was seen.
    pub(super) known: Option<Known>,
    /// The first due time that was not dealt with.
    next: Option<Timestamp>,
    /// What could not be kept was told, and is not told again until something can.
    pub(super) failing: Option<String>,
}

/// A schedule, for a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whose.
    pub function: FunctionId,
    /// As it was written.
    pub schedule: String,
    /// The name of its zone.
    pub zone: String,
    /// When its last call was made.
    pub last: Option<Timestamp>,
    /// That call.
    pub last_call: Option<String>,
    /// When it is due next; none where it can't be told, and `note` says why.
    pub next: Option<Timestamp>,
    /// Due times that got no call since the schedule was first seen.
    pub missed: u64,
    /// Due times that were left out for a call that had not ended.
    pub skipped: u64,
    /// What becomes of what is missed.
    pub missed_rule: Missed,
    /// What becomes of what is due while the last call goes on.
    pub overlap: Overlap,
    /// Why it does not fire, for a person.
    pub note: Option<String>,
}

impl Followed {
    pub(super) fn new(schedule: Schedule, known: Option<Known>) -> Self {
        let table = Timetable::new(&schedule);
        let (missed, overlap) = (Missed::default(), Overlap::default());
        let mut followed =
            Self { schedule, missed, overlap, kept_down: false, table, known, next: None, failing: None };
        followed.look_ahead();
        followed
    }

    /// Whether the machine knows its zone.
    pub(super) fn is_known(&self) -> bool {
        self.table.is_ok()
    }

    fn state(&self) -> Option<FiredState> {
        let known = self.known.as_ref()?;
        Some(FiredState { anchor: known.anchor, last_due: known.last_due.unwrap_or(known.anchor) })
    }

    /// After a change of what is known.
    pub(super) fn look_ahead(&mut self) {
        let state = self.state();
        self.next = match (&self.table, state) {
            (Ok(table), Some(state)) => table.next_after(state.last_due, state.anchor),
            _ => None,
        };
    }

    /// When it is to be looked at, if it fires at all.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.next.filter(|_| !self.kept_down)
    }

    /// What is to be done for it.
    pub(super) fn look(&self, seen: &Seen) -> Due {
        let (Ok(table), Some(state), Some(now)) = (&self.table, self.state(), seen.now()) else {
            return Due::default();
        };
        let waits = self.next.is_none_or(|next| next > now) && state.last_due.max(state.anchor) <= now;
        if self.kept_down || waits { Due::default() } else { due(table, &state, seen, self.missed) }
    }

    /// A due time was dealt with, by this call or by none.
    pub(super) fn dealt_with(&mut self, due: Timestamp, call: Option<(String, Timestamp)>) {
        if let Some(known) = &mut self.known {
            known.last_due = known.last_due.max(Some(due));
            if let Some((call, at)) = call {
                (known.last_call, known.fired_at) = (Some(call), Some(at));
            }
        }
        self.look_ahead();
    }

    /// It counts from now on.
    pub(super) fn begin(&mut self, key: &Key, now: Timestamp) {
        let fresh = || Known {
            key: key.clone(),
            anchor: now,
            last_due: Some(now),
            last_call: None,
            fired_at: None,
            missed: 0,
            skipped: 0,
        };
        let known = self.known.get_or_insert_with(fresh);
        (known.anchor, known.last_due) = (now, Some(now));
        self.look_ahead();
    }

    pub(super) fn listed(&self, function: &FunctionId, clock_is_set: bool) -> Listed {
        let known = self.known.as_ref();
        let note = match &self.table {
            Err(unknown) => Some(unknown.to_string()),
            Ok(_) if self.kept_down => Some("the function is kept down: actord start lets it run again".to_owned()),
            Ok(_) if !clock_is_set => {
                Some("the clock of this machine is not set: nothing fires until it is".to_owned())
            }
            Ok(_) => self.failing.clone(),
        };
        Listed {
            function: function.clone(),
            schedule: self.schedule.text.clone(),
            zone: self.schedule.zone.clone(),
            last: known.and_then(|known| known.fired_at),
            last_call: known.and_then(|known| known.last_call.clone()),
            next: self.due_at().filter(|_| clock_is_set),
            missed: known.map_or(0, |known| known.missed),
            skipped: known.map_or(0, |known| known.skipped),
            missed_rule: self.missed,
            overlap: self.overlap,
            note,
        }
    }
}
