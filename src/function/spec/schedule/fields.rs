//! The five fields of a schedule: minute, hour, day of the month, month, day of the week.
//!
//! ```text
//! field   PART,PART ...      PART   * or ? · N · N-M · each with /STEP; N/STEP goes on to the end of the field
//! ```
//! Each field becomes the set of numbers that it names, so that all schedules that mean the same are the same.

use std::fmt;

/// When a schedule of five fields is due, in the time of its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fields {
    /// One bit a number, for each of the five.
    sets: [u64; 5],
    /// Which of the five are open: `*`. With an open day of the month, or of the week, the other one alone decides; with
    /// neither open, a day that fits either of them fits.
    open: [bool; 5],
    /// Whether minute and hour name times of the day, and say nothing of every so many minutes.
    fixed: bool,
}

/// What a field is called, which numbers it takes, and the names for them.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: &MONTHS },
    // 7 is Sunday too, for those who write it so.
    Field { name: "day of the week", least: 0, most: 7, names: &WEEKDAYS },
];
const MINUTE: usize = 0;
const HOUR: usize = 1;
const DAY: usize = 2;
const MONTH: usize = 3;
const WEEKDAY: usize = 4;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// The most days that each month ever has.
const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Fields {
    /// Reads five fields.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub fn read(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        if parts.len() != FIELDS.len() {
            return Err(format!(
                "{text:?} has {} of the five fields minute, hour, day of the month, month, day of the week",
                parts.len()
            ));
        }
        let mut read = Self { sets: [0; 5], open: [false; 5], fixed: true };
        for (at, (field, part)) in FIELDS.iter().zip(parts).enumerate() {
            let (set, open) = field.read(part).ok_or_else(|| field.refuse(part, text))?;
            let goes_on = part.contains(['*', '?', '/']);
            read.fixed &= !(goes_on && matches!(at, MINUTE | HOUR));
            (read.sets[at], read.open[at]) = (set, open);
        }
        let sunday = read.sets[WEEKDAY] >> 7 & 1;
        read.sets[WEEKDAY] = (read.sets[WEEKDAY] | sunday) & 0x7f;
        // One minute of one hour is a time of the day however it is written: `0 */24` is midnight.
        read.fixed |= [MINUTE, HOUR].iter().all(|at| read.sets[*at].count_ones() == 1);
        if read.ever() { Ok(read) } else { Err(format!("{text:?} is never due: no month of it has such a day")) }
    }

    /// Whether there is a day that fits.
    fn ever(&self) -> bool {
        let has = |month: usize| {
            let first = self.sets[DAY].trailing_zeros();
            self.sets[MONTH] >> (month + 1) & 1 == 1 && first <= DAYS[month]
        };
        !self.open[WEEKDAY] || (0..DAYS.len()).any(has)
    }

    /// Whether it names times of the day. Such a time that a change to summer time leaves out is due right after it, and
    /// one that comes twice is due once; all other schedules go on by the time that really passes. They are those with a `*`
    /// or a step in either of the two that leaves more than one time of the day.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }
}

impl fmt::Display for Fields {
    /// Five fields again, in numbers: `*`, or a list.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in 0..FIELDS.len() {
            if at > 0 {
                f.write_str(" ")?;
            }
            if self.open[at] {
                f.write_str("*")?;
                continue;
            }
            let numbers = (0..u64::BITS).filter(|number| self.sets[at] >> number & 1 == 1);
            for (place, number) in numbers.enumerate() {
                write!(f, "{}{number}", if place > 0 { "," } else { "" })?;
            }
        }
        Ok(())
    }
}

impl Field {
    /// The set, and whether it is open.
    fn read(&self, text: &str) -> Option<(u64, bool)> {
        let (mut set, mut open) = (0, false);
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, number(step).filter(|step| *step > 0)?),
                None => (part, 1),
            };
            let (first, last) = if matches!(range, "*" | "?") {
                open |= step == 1;
                (self.least, self.most - u32::from(self.most == 7))
            } else if let Some((first, last)) = range.split_once('-') {
                (self.value(first)?, self.value(last)?)
            } else if part.contains('/') {
                (self.value(range)?, self.most - u32::from(self.most == 7))
            } else {
                let alone = self.value(range)?;
                (alone, alone)
            };
            if first > last {
                return None;
            }
            for number in (first..=last).step_by(usize::try_from(step).ok()?) {
                set |= 1 << number;
            }
        }
        Some((set, open))
    }

    /// A number of the field, or the number that a name stands for.
    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().zip(self.least..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let value = named.map(|(_, value)| value).or_else(|| number(text))?;
        (self.least..=self.most).contains(&value).then_some(value)
    }

    fn refuse(&self, part: &str, text: &str) -> String {
        let Self { name, least, most, names } = self;
        let named = match names {
            [first, .., last] => format!(" or {}-{}", first.to_uppercase(), last.to_uppercase()),
            _ => String::new(),
        };
        format!(
            "the field {name} of {text:?} is {part:?}: expected * or numbers from {least} to {most}{named}, ranges such as \
             {least}-{}, steps such as */2, or several of them with commas",
            least + 4
        )
    }
}

/// Digits, and no sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Fields::read(text).unwrap_or_else(|why| panic!("{text}: {why}")).to_string()
    }

    #[test]
    fn what_means_the_same_is_the_same_however_it_is_written() {
        for (text, same) in [
            ("*/15 * * * *", "0,15,30,45 * * * *"),
            ("5/15 * * * *", "5,20,35,50 * * * *"),
            ("10-20/5 * * * *", "10,15,20 * * * *"),
            ("0 9-17 * * MON-fri", "0 9,10,11,12,13,14,15,16,17 * * 1,2,3,4,5"),
            ("0 0 1,15 Jan,7-8 ?", "0 0 1,15 1,7,8 *"),
            ("0 0 * * 7", "0 0 * * 0"),
            ("0 0 * * 5-7", "0 0 * * 0,5,6"),
            ("0 0 * * 1/2", "0 0 * * 1,3,5"),
            ("  0   0 */1 *   SUN ", "0 0 * * 0"),
            ("07 03 * * *", "7 3 * * *"),
        ] {
            assert_eq!(shown(text), same, "{text}");
        }
    }

    #[test]
    fn a_step_of_the_days_is_no_open_field() {
        assert_eq!(shown("0 0 */10 * 1"), "0 0 1,11,21,31 * 1");
        assert_eq!(
            shown("0 0 1-31 2 *"),
            "0 0 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31 2 *"
        );
        assert_eq!(shown("0 0 *,5 * 1"), "0 0 * * 1");
    }

    #[test]
    fn only_times_of_the_day_are_fixed() {
        for (text, fixed) in [
            ("30 2 * * *", true),
            ("0,30 2-4 * * 1", true),
            ("*/5 2 * * *", false),
            ("0 * * * *", false),
            ("0/30 2 * * *", false),
            ("0 8-18/2 * * *", false),
            ("30 2 */2 * *", true),
            ("0 */24 * * *", true),
            ("5/55 2-2/1 * * *", true),
            ("0 */23 * * *", false),
        ] {
            assert_eq!(Fields::read(text).map(|fields| fields.is_fixed()), Ok(fixed), "{text}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_told_with_the_name_of_its_field() {
        for (text, field) in [
            ("60 * * * *", "minute"),
            ("-1 * * * *", "minute"),
            ("+1 * * * *", "minute"),
            ("*/0 * * * *", "minute"),
            ("5- * * * *", "minute"),
            ("1,,2 * * * *", "minute"),
            ("1-2-3 * * * *", "minute"),
            ("*/2/3 * * * *", "minute"),
            ("/5 * * * *", "minute"),
            ("JAN * * * *", "minute"),
            ("0 25 * * *", "hour"),
            ("0 17-9 * * *", "hour"),
            ("0 99999999999 * * *", "hour"),
            ("0 0 0 * *", "day of the month"),
            ("0 0 L * *", "day of the month"),
            ("0 0 * 13 *", "month"),
            ("0 0 * january *", "month"),
            ("0 0 * * 8", "day of the week"),
            ("0 0 * * FRI#2", "day of the week"),
            ("0 0 * * ٣", "day of the week"),
        ] {
            let why = Fields::read(text).expect_err(text);
            assert!(why.contains(&format!("the field {field} of ")), "{text}: {why}");
        }
        let why = Fields::read("0 25 * * *").expect_err("an hour too many");
        assert_eq!(
            why,
            "the field hour of \"0 25 * * *\" is \"25\": expected * or numbers from 0 to 23, ranges such as 0-4, steps such \
             as */2, or several of them with commas"
        );
    }

    #[test]
    fn as_many_fields_as_five_are_asked_for() {
        for (text, count) in [("* * * *", 4), ("0 * * * * *", 6), ("", 0), ("@often", 1)] {
            let why = Fields::read(text).expect_err(text);
            assert!(why.contains(&format!("has {count} of the five fields")), "{why}");
        }
    }

    #[test]
    fn a_day_that_never_comes_is_refused_and_one_of_leap_years_is_not() {
        assert!(Fields::read("0 0 30 2 *").expect_err("no such day").contains("is never due"));
        assert!(Fields::read("0 0 31 4,6,9,11 *").expect_err("no such day").contains("is never due"));
        for text in ["0 0 29 2 *", "0 0 31 4,5 *", "0 0 30 2 1"] {
            assert!(Fields::read(text).is_ok(), "{text}");
        }
    }
}
