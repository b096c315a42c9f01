//! Times of a zone, as the search for the next one asks for them; and the zones that the machine knows.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ZonedDateTime};

/// A zone that the machine does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownZone {
    /// There are others.
    #[error("this machine knows no time zone {0:?}: see `timedatectl list-timezones` for those that it knows")]
    Name(String),
    /// There are none at all.
    #[error(
        "time zone {0:?}: this machine has no list of time zones (/usr/share/zoneinfo): install the package tzdata, or \
         write the schedule in UTC"
    )]
    NoneAtAll(String),
}

/// Whether this machine knows any zone but UTC.
fn machine_has_zones() -> bool {
    jiff::tz::db().available().next().is_some()
}

/// The zone of a name. UTC is known everywhere.
pub(super) fn find(name: &str) -> Result<TimeZone, UnknownZone> {
    if name.eq_ignore_ascii_case("UTC") || name.eq_ignore_ascii_case("Etc/UTC") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| match machine_has_zones() {
        true => UnknownZone::Name(name.to_owned()),
        false => UnknownZone::NoneAtAll(name.to_owned()),
    })
}

/// A moment, and how it is called in its zone.
#[derive(Debug, Clone)]
pub(super) struct InZone(pub(super) ZonedDateTime);

impl CronDateTime for InZone {
    fn to_civil(&self) -> CivilDateTime {
        let [month, day, hour, minute, second] =
            [self.0.month(), self.0.day(), self.0.hour(), self.0.minute(), self.0.second()]
                .map(|part| u32::from(part.unsigned_abs()));
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(i32::from(self.0.year()), month, day),
            CivilTime::from_parts_unchecked(hour, minute, second),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(u32::from(self.0.weekday().to_sunday_zero_offset().unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let named = self.0.time_zone().to_ambiguous_zoned_datetime(datetime(civil).ok_or(CronError::InvalidDate)?);
        let of = |zoned: Result<ZonedDateTime, jiff::Error>| zoned.map(Self).map_err(|_| CronError::InvalidTime);
        Ok(match named.offset() {
            AmbiguousOffset::Unambiguous { .. } => Resolution::Single(of(named.unambiguous())?),
            AmbiguousOffset::Fold { .. } => Resolution::Ambiguous(of(named.clone().earlier())?, of(named.later())?),
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

fn datetime(civil: CivilDateTime) -> Option<DateTime> {
    let part = |number: u32| i8::try_from(number).ok();
    let year = i16::try_from(civil.year()).ok()?;
    let [month, day] = [part(civil.month())?, part(civil.day())?];
    let [hour, minute, second] = [part(civil.hour())?, part(civil.minute())?, part(civil.second())?];
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_is_known_on_every_machine_and_what_is_no_zone_is_told_by_its_name() {
        for name in ["UTC", "utc", "Etc/UTC"] {
            assert_eq!(find(name), Ok(TimeZone::UTC));
        }
        let told = find("Europe/Nowhere").expect_err("no such zone").to_string();
        assert!(told.contains("time zone \"Europe/Nowhere\""), "{told}");
    }
}
