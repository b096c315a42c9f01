//! Every minute of a year, in zones of either hemisphere: what is due is what a second reading of the fields says.
//!
//! The second reading knows no sets, no search and no croner: it looks at a name of each minute, and keeps those that fit.

use std::fmt::Write as _;

use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;

/// By their rules: Berlin, New York, Lord Howe (half an hour), Santiago (a gap at midnight), Cairo, Kathmandu, and UTC.
const ZONES: [&str; 7] = [
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "<-04>4<-03>,M9.1.6/24,M4.1.6/24",
    "EET-2EEST,M4.5.5/0,M10.5.4/24",
    "<+0545>-5:45",
    "UTC0",
];

/// One minute of the year, and what it is called.
struct Minute {
    at: Timestamp,
    name: Name,
    /// It was called so before.
    again: bool,
    /// The names that were left out right before it.
    left_out: Vec<Name>,
}

/// Minute, hour, day, month, weekday from Sunday.
type Name = [u32; 5];

/// A year of minutes from this day on.
fn year(zone: &TimeZone) -> Vec<Minute> {
    minutes(zone, first_day(), 366 * 24 * 60)
}

fn first_day() -> Timestamp {
    "2026-06-30T00:00:00Z".parse().expect("a day")
}

fn zone(number: usize) -> TimeZone {
    TimeZone::posix(ZONES[number]).expect("rules of a zone")
}

/// So many minutes. Clocks are set at quarters of an hour alone, so only those are asked for their zone's offset.
fn minutes(zone: &TimeZone, first: Timestamp, count: usize) -> Vec<Minute> {
    let mut offset = zone.to_offset(first);
    let (mut at, mut called, mut again) = (first, name(offset.to_datetime(first)), 0);
    let mut all = Vec::new();
    for number in 0..count {
        let mut left_out = Vec::new();
        if number.is_multiple_of(15) {
            let before = std::mem::replace(&mut offset, zone.to_offset(at));
            let moved = (offset.seconds() - before.seconds()) / 60;
            again = if moved < 0 { -moved } else { again };
            let minute = |late: i32| name(before.to_datetime(at + SignedDuration::from_mins(late.into())));
            left_out.extend((0..moved).map(minute));
        }
        if called[0] == 59 || number.is_multiple_of(15) {
            called = name(offset.to_datetime(at));
        } else if number > 0 {
            called[0] += 1;
        }
        all.push(Minute { at, name: called, again: again > 0, left_out });
        again -= i32::from(again > 0);
        at += SignedDuration::from_mins(1);
    }
    all
}

fn name(at: DateTime) -> Name {
    let [minute, hour, day, month] =
        [at.minute(), at.hour(), at.day(), at.month()].map(|part| u32::from(part.unsigned_abs()));
    [minute, hour, day, month, u32::from(at.weekday().to_sunday_zero_offset().unsigned_abs())]
}

/// A part of a field, as it was made up.
#[derive(Debug, Clone)]
enum Part {
    Any,
    EachOf(u32),
    One(u32),
    Range(u32, u32),
    RangeEachOf(u32, u32, u32),
    From(u32, u32),
}

impl Part {
    fn fits(&self, number: u32, least: u32) -> bool {
        match *self {
            Self::Any => true,
            Self::EachOf(step) => (number - least).is_multiple_of(step),
            Self::One(one) => number == one,
            Self::Range(first, last) => (first..=last).contains(&number),
            Self::RangeEachOf(first, last, step) => {
                (first..=last).contains(&number) && (number - first).is_multiple_of(step)
            }
            Self::From(first, step) => number >= first && (number - first).is_multiple_of(step),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::EachOf(step) => format!("*/{step}"),
            Self::One(one) => one.to_string(),
            Self::Range(first, last) => format!("{first}-{last}"),
            Self::RangeEachOf(first, last, step) => format!("{first}-{last}/{step}"),
            Self::From(first, step) => format!("{first}/{step}"),
        }
    }

    fn is_open(&self) -> bool {
        matches!(self, Self::Any | Self::EachOf(1))
    }
}

fn fits(fields: &[Vec<Part>; 5], name: &Name) -> bool {
    let part = |at: usize| fields[at].iter().any(|part| part.fits(name[at], [0, 0, 1, 1, 0][at]));
    let open = |at: usize| fields[at].iter().any(Part::is_open);
    let day = if open(2) || open(4) { part(2) && part(4) } else { part(2) || part(4) };
    part(0) && part(1) && part(3) && day
}

/// All that is due in a year.
fn by_hand(fields: &[Vec<Part>; 5], minutes: &[Minute]) -> Vec<Timestamp> {
    let goes_on = |part: &Part| !matches!(part, Part::One(_) | Part::Range(..));
    let numbers =
        |at: usize, end: u32| (0..end).filter(|number| fields[at].iter().any(|part| part.fits(*number, 0))).count();
    let one_time = numbers(0, 60) == 1 && numbers(1, 24) == 1;
    let fixed = one_time || !fields[..2].iter().flatten().any(goes_on);
    let due = |minute: &&Minute| {
        let fits_now = fits(fields, &minute.name) && !(fixed && minute.again);
        fits_now || (fixed && minute.left_out.iter().any(|name| fits(fields, name)))
    };
    minutes[1..].iter().filter(due).map(|minute| minute.at).collect()
}

/// More are not looked for one after the other: a search takes some thousand times as long as a look.
const SEARCHED: usize = 1000;

/// From each of these to the next one that is due.
fn searched(due: &[Timestamp], changes: &[Timestamp]) -> Vec<usize> {
    let sparse = due.len() / SEARCHED + 1;
    let near =
        |at: &Timestamp| changes.iter().any(|change| change.duration_since(*at).abs() < SignedDuration::from_hours(5));
    (0..due.len()).filter(|number| number.is_multiple_of(sparse) || near(&due[*number])).collect()
}

fn compare(fields: &[Vec<Part>; 5], zone: &TimeZone, minutes: &[Minute]) -> Result<(), TestCaseError> {
    let mut text = String::new();
    for field in fields {
        let parts: Vec<_> = field.iter().map(Part::text).collect();
        let _ = write!(text, "{} ", parts.join(","));
    }
    let due = by_hand(fields, minutes);
    let schedule = match Schedule::read(&text, "UTC") {
        Ok(schedule) => schedule,
        Err(why) => {
            prop_assert!(why.contains("never due") && due.is_empty(), "{} is due", text);
            return Ok(());
        }
    };
    let (first, last) = (minutes[0].at, minutes[minutes.len() - 1].at);
    let table = Timetable::of(&schedule, zone.clone());
    let next = |after: Timestamp| table.next_after(after, first).filter(|time| *time <= last);
    prop_assert_eq!(next(first), due.first().copied(), "{} in {:?}", text, zone);
    let is_change = |pair: &&[Minute]| zone.to_offset(pair[0].at) != zone.to_offset(pair[1].at);
    let changes: Vec<_> = minutes.windows(2).filter(is_change).map(|pair| pair[1].at).collect();
    for place in searched(&due, &changes) {
        let (found, expected) = (next(due[place]), due.get(place + 1).copied());
        prop_assert_eq!(found, expected, "{} in {:?}, after {}", text, zone, due[place]);
    }
    Ok(())
}

fn part(least: u32, most: u32) -> impl Strategy<Value = Part> {
    let number = least..=most;
    let range = (number.clone(), number.clone()).prop_map(|(one, other)| (one.min(other), one.max(other)));
    prop_oneof![
        2 => Just(Part::Any),
        2 => (1..=most).prop_map(Part::EachOf),
        4 => number.clone().prop_map(Part::One),
        2 => range.clone().prop_map(|(first, last)| Part::Range(first, last)),
        1 => (range, 1..=most).prop_map(|((first, last), step)| Part::RangeEachOf(first, last, step)),
        1 => (number, 1..=most).prop_map(|(first, step)| Part::From(first, step)),
    ]
}

fn field(least: u32, most: u32) -> impl Strategy<Value = Vec<Part>> {
    prop::collection::vec(part(least, most), 1..3)
}

/// Hours around those that change are drawn more often.
fn hours() -> impl Strategy<Value = Vec<Part>> {
    prop_oneof![field(0, 23), field(0, 4)]
}

/// Days are mostly open: else few are left of a year.
fn mostly_open(field: impl Strategy<Value = Vec<Part>>) -> impl Strategy<Value = Vec<Part>> {
    prop_oneof![3 => Just(vec![Part::Any]), 1 => field]
}

fn all_fields() -> impl Strategy<Value = [Vec<Part>; 5]> {
    (field(0, 59), hours(), mostly_open(field(1, 31)), mostly_open(field(1, 12)), mostly_open(field(0, 6)))
        .prop_map(|(minute, hour, day, month, weekday)| [minute, hour, day, month, weekday])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_year_of_any_schedule_in_any_zone_is_what_a_look_at_every_minute_finds(
        fields in all_fields(),
        number in 0..ZONES.len(),
    ) {
        let zone = zone(number);
        compare(&fields, &zone, &year(&zone))?;
    }
}

#[test]
fn times_around_every_change_are_those_that_a_look_at_every_minute_finds() {
    let any = || vec![Part::Any];
    let each = |parts: &[u32]| parts.iter().map(|number| Part::One(*number)).collect::<Vec<_>>();
    for zone in (0..ZONES.len()).map(zone) {
        let end = first_day() + SignedDuration::from_hours(366 * 24);
        for change in zone.following(first_day()).take_while(|change| change.timestamp() < end) {
            let around = minutes(&zone, change.timestamp() - SignedDuration::from_hours(48), 96 * 60);
            for (minute, hour) in [
                (each(&[30]), each(&[2])),
                (each(&[0, 15, 45]), each(&[0, 1, 2, 3, 23])),
                (each(&[30]), each(&[0])),
                (vec![Part::EachOf(15)], any()),
                (each(&[0]), any()),
                (vec![Part::EachOf(10)], each(&[1, 2])),
                (each(&[5]), vec![Part::Range(0, 23)]),
                (each(&[0]), vec![Part::RangeEachOf(1, 1, 1)]),
                (vec![Part::From(30, 59)], vec![Part::RangeEachOf(2, 3, 2)]),
                (vec![Part::EachOf(59)], each(&[1, 2])),
            ] {
                compare(&[minute, hour, any(), any(), any()], &zone, &around).expect("the same");
            }
            let either = [each(&[0, 30]), each(&[0, 2]), vec![Part::One(29), Part::One(1)], any(), each(&[0])];
            compare(&either, &zone, &around).expect("the same");
        }
    }
}
