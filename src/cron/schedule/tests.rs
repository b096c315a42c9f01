use jiff::civil::date;

use super::*;

/// Zones by their rules, so that no list of zones on the machine is asked.
const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
const SANTIAGO: &str = "<-04>4<-03>,M9.1.6/24,M4.1.6/24";

fn zone(rules: &str) -> TimeZone {
    TimeZone::posix(rules).expect(rules)
}

fn times(text: &str, rules: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::read(text, "UTC").expect(text);
    let (table, zone) = (Timetable::of(&schedule, zone(rules)), zone(rules));
    let after: Timestamp = after.parse().expect(after);
    let each = std::iter::successors(table.next_after(after, after), |time| table.next_after(*time, after));
    let named = |time: Timestamp| time.to_zoned_datetime(zone.clone()).strftime("%F %H:%M %z").to_string();
    each.take(count).map(named).collect()
}

#[test]
fn the_next_time_is_later_than_the_one_that_is_given_by_a_second_at_least() {
    assert_eq!(times("*/5 * * * *", "UTC0", "2026-11-27T10:05:00Z", 1), ["2026-11-27 10:10 +0000"]);
    assert_eq!(times("*/5 * * * *", "UTC0", "2026-11-27T10:04:59.999Z", 1), ["2026-11-27 10:05 +0000"]);
}

#[test]
fn a_day_of_the_month_or_of_the_week_is_enough_where_both_are_named() {
    assert_eq!(
        times("0 0 13 * 5", "UTC0", "2026-11-01T00:00:00Z", 4),
        ["2026-11-06 00:00 +0000", "2026-11-13 00:00 +0000", "2026-11-20 00:00 +0000", "2026-11-27 00:00 +0000"]
    );
    assert_eq!(times("0 0 13 * *", "UTC0", "2026-11-13T00:00:00Z", 1), ["2026-12-13 00:00 +0000"]);
}

#[test]
fn what_is_due_every_so_often_counts_from_its_anchor_whatever_the_zone_does() {
    assert_eq!(
        times("@every 90m", BERLIN, "2026-03-29T00:00:00Z", 2),
        ["2026-03-29 03:30 +0200", "2026-03-29 05:00 +0200"]
    );
    let schedule = Schedule::read("@every 10s", "UTC").expect("every");
    let table = Timetable::new(&schedule).expect("no zone is asked");
    let at = |second: i64| Timestamp::from_second(second).expect("small");
    assert_eq!(table.next_after(at(100), at(95)), Some(at(105)));
    assert_eq!(table.next_after(at(105), at(95)), Some(at(115)));
    assert_eq!(table.next_after(at(3), at(95)), Some(at(105)), "never before the anchor");
}

#[test]
fn a_time_that_summer_leaves_out_is_due_once_right_after_the_gap() {
    for text in ["30 2 * * *", "0,30 2 * * *", "0-59 2 * * *"] {
        assert_eq!(times(text, BERLIN, "2026-03-28T12:00:00Z", 1), ["2026-03-29 03:00 +0200"], "{text}");
    }
    assert_eq!(
        times("30 2,3 * * *", BERLIN, "2026-03-28T12:00:00Z", 3),
        ["2026-03-29 03:00 +0200", "2026-03-29 03:30 +0200", "2026-03-30 02:30 +0200"]
    );
    assert_eq!(
        times("15 0 * * 0", SANTIAGO, "2026-09-05T00:00:00Z", 2),
        ["2026-09-06 01:00 -0300", "2026-09-13 00:15 -0300"]
    );
}

#[test]
fn a_time_that_comes_twice_is_due_the_first_time() {
    assert_eq!(
        times("30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]
    );
    assert_eq!(
        times("15,45 2 * * *", BERLIN, "2026-10-24T12:00:00Z", 3),
        ["2026-10-25 02:15 +0200", "2026-10-25 02:45 +0200", "2026-10-26 02:15 +0100"]
    );
}

#[test]
fn what_names_no_time_of_the_day_goes_on_by_the_time_that_passes() {
    assert_eq!(
        times("*/30 * * * *", BERLIN, "2026-10-25T00:00:00Z", 4),
        ["2026-10-25 02:30 +0200", "2026-10-25 02:00 +0100", "2026-10-25 02:30 +0100", "2026-10-25 03:00 +0100"]
    );
    assert_eq!(
        times("*/30 * * * *", BERLIN, "2026-03-29T00:00:00Z", 3),
        ["2026-03-29 01:30 +0100", "2026-03-29 03:00 +0200", "2026-03-29 03:30 +0200"]
    );
    assert_eq!(times("*/20 2 * * *", BERLIN, "2026-03-29T00:00:00Z", 1), ["2026-03-30 02:00 +0200"]);
}

#[test]
fn a_leap_day_is_found_years_ahead_and_what_a_whole_day_leaves_out_as_well() {
    assert_eq!(
        times("0 12 29 2 *", "UTC0", "2026-11-27T00:00:00Z", 2),
        ["2028-02-29 12:00 +0000", "2032-02-29 12:00 +0000"]
    );
    // An island that moves over the date line: each January it leaves out a day.
    assert_eq!(
        times("30 8 2 1 *", "<-10>10<+14>-14,J2/0,J182/0", "2026-11-27T00:00:00Z", 1),
        ["2027-01-03 00:00 +1400"]
    );
}

#[test]
fn a_zone_that_the_machine_does_not_know_is_told() {
    let schedule = Schedule::read("CRON_TZ=Mars/Olympus 0 8 * * *", "UTC").expect("it may be a name");
    let told = Timetable::new(&schedule).expect_err("no such zone").to_string();
    assert!(told.contains("\"Mars/Olympus\""), "{told}");
    let every = Schedule::read("CRON_TZ=Mars/Olympus @every 5m", "UTC").expect("it may be a name");
    assert!(Timetable::new(&every).is_ok(), "every so often asks for no zone");
}

#[test]
fn a_schedule_is_the_same_on_each_day_of_the_year_it_names() {
    let day = date(2026, 11, 27);
    assert_eq!(day.weekday(), jiff::civil::Weekday::Friday, "0 is Sunday, 5 is Friday");
    assert_eq!(times("0 6 * * FRI", "UTC0", "2026-11-26T00:00:00Z", 1), ["2026-11-27 06:00 +0000"]);
}
