//! Numbers and times as a person reads them.

use std::time::Duration;

/// As many digits as a person cares about.
pub(super) fn number(number: f64) -> String {
    if number >= 100.0 || (number - number.round()).abs() < 0.05 {
        return format!("{number:.0}");
    }
    if number < 1.0 { format!("{number:.2}") } else { format!("{number:.1}") }
}

/// A part of a second is counted as one; of a long time the small part is left out.
pub(super) fn time(span: Duration) -> String {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    let (minutes, rest) = (seconds / 60, seconds % 60);
    match minutes {
        0 | 1 => format!("{seconds} s"),
        2..10 if rest > 0 => format!("{minutes} min {rest} s"),
        2..120 => format!("{minutes} min"),
        _ => format!("{} h", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        for (millis, text) in [
            (0, "0 s"),
            (29_001, "30 s"),
            (119_000, "119 s"),
            (120_000, "2 min"),
            (150_000, "2 min 30 s"),
            (899_000, "14 min"),
            (7_200_000, "2 h"),
        ] {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (value, text) in [(0.0, "0"), (0.94, "0.94"), (4.5, "4.5"), (12.02, "12"), (123.4, "123")] {
            assert_eq!(number(value), text);
        }
    }
}
