//! Durations as people and Go programs write them.

use std::time::Duration;

use super::Invalid;

const UNITS: [(&str, f64); 7] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// The longest duration that makes sense here; more is a typing error.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Reads `90` (seconds) or numbers with units as Go writes them: `500ms`, `1.5s`, `1m30s`.
///
/// # Errors
/// A sentence that says how a duration is written.
pub fn parse_duration(text: &str) -> Result<Duration, Invalid> {
    let wrong = || Invalid("expected a time such as 30 (seconds), 500ms, 1.5s or 1m30s".to_owned());
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds)).filter(|time| *time <= DURATION_MAX).ok_or_else(wrong);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        seconds += number.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = after;
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !text.is_empty() && time <= DURATION_MAX => Ok(time),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds_and_units_are_those_of_go() {
        let ms = Duration::from_millis;
        for (text, time) in [
            ("0", ms(0)),
            ("20", ms(20_000)),
            ("500ms", ms(500)),
            ("1.5s", ms(1500)),
            ("1m30s", ms(90_000)),
            ("2h", ms(7_200_000)),
            ("100us", Duration::from_micros(100)),
            ("100µs", Duration::from_micros(100)),
            ("1h0.5m", ms(3_630_000)),
        ] {
            assert_eq!(parse_duration(text), Ok(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "-1", "-1s", "1.5", "5 s", "1d", "1..5s", "ms5", "1e3s", "99999999999", "9999999h", "1s5"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
