//! The times at which a schedule is due.
//!
//! The search for the next time that fits five fields is croner's. Around it, what a change of summer time means: a schedule
//! that names times of the day ([`Fields::is_fixed`](crate::function::Fields::is_fixed)) is due once right after a gap that
//! leaves such a time out, and once, the first time, where one comes twice. All others go by the time that really passes: an
//! hour that comes twice has them twice.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneTransition};
use jiff::{SignedDuration, Timestamp};

use super::zone::{InZone, UnknownZone, find};
use crate::function::{Schedule, When};

/// Within which time each five fields that are ever due are due: 29 February comes at least every eight years.
const LONGEST: SignedDuration = SignedDuration::from_hours(9 * 366 * 24);
/// A time of the day comes twice on one day; so more are no answer.
const PASSED_OVER: usize = 1500;

/// When a schedule is due, in its zone.
#[derive(Debug, Clone)]
pub struct Timetable {
    zone: TimeZone,
    when: Search,
}

#[derive(Debug, Clone)]
enum Search {
    At { cron: Box<Cron>, fixed: bool },
    Every(SignedDuration),
}

impl Timetable {
    /// The times of a schedule.
    ///
    /// # Errors
    /// [`UnknownZone`].
    pub fn new(schedule: &Schedule) -> Result<Self, UnknownZone> {
        let zone = match schedule.when {
            When::At(_) => find(&schedule.zone)?,
            When::Every(_) => TimeZone::UTC,
        };
        Ok(Self::of(schedule, zone))
    }

    /// The same in a zone that is at hand.
    pub(super) fn of(schedule: &Schedule, zone: TimeZone) -> Self {
        let when = match schedule.when {
            When::Every(period) => Search::Every(SignedDuration::try_from(period).unwrap_or(SignedDuration::MAX)),
            When::At(fields) => {
                let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
                match parser.parse(&fields.to_string()) {
                    Ok(cron) => Search::At { cron: Box::new(cron), fixed: fields.is_fixed() },
                    // Five lists of numbers within their bounds: there is none that it does not read.
                    Err(_) => Search::Every(SignedDuration::MAX),
                }
            }
        };
        Self { zone, when }
    }

    /// The first due time after this one. What is due every so often is counted from `anchor`.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        match &self.when {
            Search::Every(period) => {
                let passed = after.duration_since(anchor).as_millis().max(0);
                let times = passed.checked_div(period.as_millis())? + 1;
                let wait = i64::try_from(times.checked_mul(period.as_millis())?).ok()?;
                anchor.checked_add(SignedDuration::from_millis(wait)).ok()
            }
            Search::At { cron, fixed: false } => self.next_that_fits(cron, after),
            Search::At { cron, fixed: true } => {
                let mut found = self.next_that_fits(cron, after);
                for _ in 0..PASSED_OVER {
                    match found {
                        Some(time) if self.is_second(time) => found = self.next_that_fits(cron, time),
                        _ => break,
                    }
                }
                self.next_left_out(cron, after, found).or(found)
            }
        }
    }

    fn next_that_fits(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let found = cron.find_next_occurrence(&InZone(after.to_zoned_datetime(self.zone.clone())), false).ok()?;
        Some(found.0.timestamp())
    }

    /// Whether the zone called an earlier moment the same.
    fn is_second(&self, time: Timestamp) -> bool {
        let named = self.zone.to_ambiguous_timestamp(self.zone.to_datetime(time));
        matches!(named.offset(), AmbiguousOffset::Fold { after, .. } if after == self.zone.to_offset(time))
    }

    /// The end of the first gap, before `found`, that leaves out a time that fits.
    fn next_left_out(&self, cron: &Cron, after: Timestamp, found: Option<Timestamp>) -> Option<Timestamp> {
        let until = found.or_else(|| after.checked_add(LONGEST).ok())?;
        let changes = self.zone.following(after).take_while(|change| change.timestamp() <= until);
        changes
            .map(|change| (change.timestamp(), self.leaves_out(cron, &change)))
            .find(|(_, out)| *out)
            .map(|(at, _)| at)
    }

    fn leaves_out(&self, cron: &Cron, change: &TimeZoneTransition<'_>) -> bool {
        let at = change.timestamp();
        let Ok(before) = at.checked_sub(SignedDuration::from_secs(1)) else { return false };
        let mut time = self.zone.to_offset(before).to_datetime(at);
        let end = change.offset().to_datetime(at);
        while time < end {
            // A name alone is looked at, so any zone that leaves out nothing will do.
            let named = TimeZone::UTC.to_zoned_datetime(time).map(InZone);
            if named.is_ok_and(|named: InZone| cron.is_time_matching(&named).unwrap_or(false)) {
                return true;
            }
            match time.checked_add(SignedDuration::from_mins(1)) {
                Ok(next) => time = next,
                Err(_) => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod brute_force;
#[cfg(test)]
mod tests;
