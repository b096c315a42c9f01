//! Schedules as a fuzz target: one that is taken is read again as itself, and is due when its fields say so.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Timetable;
use crate::function::{Fields, Schedule, Spec, SpecDraft, When};

/// More schedules of one function are refused.
const MOST: usize = 32;

pub(crate) fn schedules(bytes: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(bytes);
    let annotations = [("topic", "cron-function"), ("schedule", text)];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let spec = match Spec::try_from(SpecDraft { image: "i".to_owned(), annotations, ..SpecDraft::default() }) {
        Ok(spec) => spec,
        Err(why) => {
            assert!(why.to_string().contains("schedule"), "{text:?} is refused without its name: {why}");
            return false;
        }
    };
    let schedules = spec.schedules().expect("what was taken has schedules");
    let keys: BTreeSet<String> = schedules.each.iter().map(Schedule::key).collect();
    assert!((1..=MOST).contains(&keys.len()) && keys.len() == schedules.each.len(), "{text:?}: {keys:?}");
    for schedule in &schedules.each {
        let again = Schedule::read(&schedule.key(), "UTC").expect("what it is remembered by is read again");
        assert_eq!((&again.text, again.when), (&schedule.text, schedule.when), "{text:?}");
        assert_eq!(again.key(), schedule.key(), "{text:?}");
        is_due_as_it_says(text, schedule);
    }
    true
}

fn is_due_as_it_says(text: &str, schedule: &Schedule) {
    let anchor = "2026-02-28T23:59:30Z".parse::<Timestamp>().expect("a time");
    let table = Timetable::of(schedule, TimeZone::UTC);
    let mut after = anchor;
    for _ in 0..3 {
        // The end of time is no due time.
        let Some(next) = table.next_after(after, anchor) else {
            assert!(matches!(schedule.when, When::Every(_)), "{text:?} is never due");
            return;
        };
        assert!(next > after, "{text:?} is due at {next} after {after}");
        match schedule.when {
            When::At(fields) => assert!(fits(fields, next), "{text:?} is due at {next}"),
            When::Every(period) => {
                let passed = SignedDuration::try_from(period).expect("a period that has an end");
                assert_eq!(next.duration_since(after), passed, "{text:?}");
            }
        }
        after = next;
    }
}

/// A second reading of five fields: as lists of numbers, of which each has to have the time's, but for the two kinds of days.
fn fits(fields: Fields, time: Timestamp) -> bool {
    let shown = fields.to_string();
    assert_eq!(Fields::read(&shown).map(|again| again.to_string()).as_ref(), Ok(&shown));
    let time = time.to_zoned_datetime(TimeZone::UTC);
    let weekday = time.weekday().to_sunday_zero_offset();
    let numbers = [time.minute(), time.hour(), time.day(), time.month(), weekday];
    let lists: Vec<&str> = shown.split(' ').collect();
    let has = |at: usize| lists[at] == "*" || lists[at].split(',').any(|one| one.parse() == Ok(numbers[at]));
    let days = match (lists[2], lists[4]) {
        (day, weekday) if day == "*" || weekday == "*" => has(2) && has(4),
        _ => has(2) || has(4),
    };
    time.second() == 0 && has(0) && has(1) && has(3) && days
}
