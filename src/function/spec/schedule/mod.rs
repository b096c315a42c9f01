//! When a function is called by the clock.
//!
//! ```text
//! topic              has cron-function, perhaps among others with commas; else none of the rest is looked at
//! schedule           SCHEDULE;SCHEDULE ...     SCHEDULE: five fields · @hourly … · @every 90s, after CRON_TZ=ZONE or not
//! schedule.timezone  the zone of schedules that name none; UTC
//! schedule.missed    none | run-once     what was due while nothing could fire
//! schedule.overlap   allow | skip        what is due while the last call of the schedule has not ended
//! ```
//! This reads; what a time of the day is in a zone, and whether the machine knows the zone, is for `cron` to say.

mod fields;

use std::time::Duration;

pub use self::fields::Fields;
use super::keys::Keys;
use super::parse_duration;

const TOPIC: &str = "topic";
const CRON_TOPIC: &str = "cron-function";
const SCHEDULE: &str = "schedule";
const TIMEZONE: &str = "schedule.timezone";
const MISSED: &str = "schedule.missed";
const OVERLAP: &str = "schedule.overlap";

/// The zone of schedules that name none: a file means the same on every machine.
const UTC: &str = "UTC";
/// Each is looked at by itself.
const MOST: usize = 32;
/// No zone has a longer name.
const ZONE_MAX: usize = 64;
/// Calls more often than this are no schedule.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// Words for five fields.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// When a function is called, and by which rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedules {
    /// No two of them have the same [key](Schedule::key).
    pub each: Vec<Schedule>,
    /// What becomes of due times that passed while nothing could fire.
    pub missed: Missed,
    /// What becomes of a due time while the schedule's last call has not ended.
    pub overlap: Overlap,
}

/// One schedule of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// As it was written, without its zone.
    pub text: String,
    /// The name of its zone.
    pub zone: String,
    /// When it is due.
    pub when: When,
}

/// When a schedule is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At times of its zone.
    At(Fields),
    /// Every so often, in whole seconds, from when it was first seen.
    Every(Duration),
}

/// What becomes of due times that passed while nothing could fire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missed {
    /// They are counted, and told in the log.
    #[default]
    None,
    /// One call for all of them.
    RunOnce,
}

/// What becomes of a due time while the schedule's last call has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It fires all the same.
    #[default]
    Allow,
    /// It is left out, and counted.
    Skip,
}

impl Missed {
    /// The word of the annotation.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::RunOnce => "run-once",
        }
    }
}

impl Overlap {
    /// The word of the annotation.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
        }
    }
}

impl Schedule {
    /// By what it is remembered over restarts. Its zone is in it: in another zone it is another schedule, which owes nothing
    /// of the times before.
    #[must_use]
    pub fn key(&self) -> String {
        match self.when {
            When::At(_) if self.zone != UTC => format!("CRON_TZ={} {}", self.zone, self.text),
            _ => self.text.clone(),
        }
    }

    /// Reads one schedule.
    ///
    /// # Errors
    /// A sentence that names the field, or says what a schedule is.
    pub fn read(text: &str, usual_zone: &str) -> Result<Self, String> {
        let (zone, text) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            Some(rest) => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
            None => (usual_zone, text),
        };
        let text = text.trim();
        let zone =
            zone_name(zone).ok_or_else(|| format!("{zone:?} is no name of a time zone, such as Europe/Berlin"))?;
        let word = text.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        let when = if word == "@every" {
            When::Every(every(text[word.len()..].trim()).ok_or_else(|| {
                format!("{text:?} does not say how often: expected @every and a time from 1s, such as @every 90s or @every 1h30m")
            })?)
        } else if word == "@reboot" {
            return Err("@reboot is no time: a function runs from its deploy on".to_owned());
        } else if word.starts_with('@') {
            let known = WORDS.iter().find(|(name, _)| *name == text.to_ascii_lowercase());
            let (_, fields) = known.ok_or_else(|| {
                let words: Vec<_> = WORDS.iter().map(|(name, _)| *name).collect();
                format!("{text:?} is not known: expected @every and a time, or {}", words.join(", "))
            })?;
            When::At(Fields::read(fields)?)
        } else {
            When::At(Fields::read(text)?)
        };
        Ok(Self { text: text.to_owned(), zone, when })
    }
}

/// What the function says, if it is called by the clock at all.
pub(super) fn schedules(keys: &mut Keys<'_>) -> Option<Schedules> {
    let topics = keys.annotation(TOPIC, |text| Ok(text.to_owned()))?;
    if !topics.split(',').any(|topic| topic.trim() == CRON_TOPIC) {
        return None;
    }
    let usual_zone = keys.annotation(TIMEZONE, |text| {
        zone_name(text).ok_or_else(|| "the name of a time zone, such as Europe/Berlin".to_owned())
    });
    let missed = keys.annotation(MISSED, |text| choose(text, [Missed::None, Missed::RunOnce], Missed::word));
    let overlap = keys.annotation(OVERLAP, |text| choose(text, [Overlap::Allow, Overlap::Skip], Overlap::word));
    let Some(text) = keys.annotation(SCHEDULE, |text| Ok(text.to_owned())) else {
        keys.refuse(format!(
            "no annotation {SCHEDULE}: the topic {CRON_TOPIC} asks for one, such as \"*/5 * * * *\" or \"@every 90s\""
        ));
        return None;
    };
    match list(&text, usual_zone.as_deref().unwrap_or(UTC)) {
        Ok(each) => Some(Schedules { each, missed: missed.unwrap_or_default(), overlap: overlap.unwrap_or_default() }),
        Err(why) => {
            keys.refuse(format!("invalid annotation {SCHEDULE}={text:?}: {why}"));
            None
        }
    }
}

/// Schedules with semicolons between them; one at the end is no harm.
fn list(text: &str, usual_zone: &str) -> Result<Vec<Schedule>, String> {
    let mut each: Vec<Schedule> = Vec::new();
    for part in text.trim().trim_end_matches(';').split(';') {
        let schedule = Schedule::read(part.trim(), usual_zone)?;
        if each.iter().all(|other| other.key() != schedule.key()) {
            each.push(schedule);
        }
        if each.len() > MOST {
            return Err(format!("it has more than {MOST} schedules"));
        }
    }
    Ok(each)
}

/// A name as it may be; whether there is such a zone is for the machine to say.
fn zone_name(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+');
    let is_name = text.len() <= ZONE_MAX && text.bytes().next()?.is_ascii_alphabetic() && text.bytes().all(plain);
    is_name.then(|| text.to_owned())
}

fn every(text: &str) -> Option<Duration> {
    let time = parse_duration(text).ok().filter(|time| *time >= EVERY_MIN)?;
    Some(Duration::from_secs(time.as_secs()))
}

fn choose<T: Copy>(text: &str, of: [T; 2], word: fn(T) -> &'static str) -> Result<T, String> {
    let chosen = of.into_iter().find(|one| word(*one) == text);
    chosen.ok_or_else(|| of.map(word).join(" or "))
}

#[cfg(test)]
mod tests;
