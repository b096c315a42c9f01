//! What a function may become while it is not called: frozen, then stopped.
//!
//! ```text
//! com.openfaas.scale.zero           "true": it freezes, and is stopped after com.openfaas.scale.zero-duration
//! com.openfaas.scale.zero-duration  else the setting
//! actord.freeze-after               else the setting; alone it freezes and never stops. 0: it never freezes
//! ```

use std::time::Duration;

use super::keys::{Keys, time};

const ZERO: &str = "com.openfaas.scale.zero";
const ZERO_DURATION: &str = "com.openfaas.scale.zero-duration";
const FREEZE_AFTER: &str = "actord.freeze-after";

/// Less would stop what has just started.
const ZERO_DURATION_MIN: Duration = Duration::from_secs(1);
/// The longest that makes sense; more is a typing error.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// After how long without a call a function rests; none: it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resting {
    /// Until it is frozen.
    pub freeze_after: Option<Duration>,
    /// Until it is stopped, counted from the last call as well.
    pub zero_after: Option<Duration>,
}

/// What the keys say, before the settings fill in the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RestingKeys {
    zero: bool,
    zero_duration: Option<Duration>,
    freeze_after: Option<Duration>,
}

impl RestingKeys {
    /// Reads what can be read.
    pub(super) fn read(keys: &mut Keys<'_>) -> Self {
        Self {
            zero: keys.label(ZERO, flag).unwrap_or(false),
            zero_duration: keys.label(ZERO_DURATION, time(ZERO_DURATION_MIN, LONGEST)),
            freeze_after: keys.annotation(FREEZE_AFTER, time(Duration::ZERO, LONGEST)),
        }
    }

    /// What holds where `usual` is usual; a time of 0 there is none.
    pub(super) fn or(self, usual: Resting) -> Resting {
        let freeze_after = self.freeze_after.or(usual.freeze_after.filter(|_| self.zero));
        Resting {
            freeze_after: freeze_after.filter(|time| !time.is_zero()),
            zero_after: self.zero_duration.or(usual.zero_after).filter(|time| self.zero && !time.is_zero()),
        }
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::spec::Invalid;
    use crate::function::spec::keys::tests::draft;

    const USUAL: Resting =
        Resting { freeze_after: Some(Duration::from_secs(30)), zero_after: Some(Duration::from_secs(900)) };

    /// Seconds until it is frozen, and until it is stopped.
    fn resting(labels: &[(&str, &str)], annotations: &[(&str, &str)], usual: Resting) -> [Option<u64>; 2] {
        let rest = RestingKeys::read(&mut Keys::of(&draft(labels, annotations))).or(usual);
        [rest.freeze_after, rest.zero_after].map(|time| time.map(|time| time.as_secs()))
    }

    #[test]
    fn only_a_function_that_asks_for_it_rests() {
        assert_eq!(resting(&[], &[], USUAL), [None, None]);
        assert_eq!(resting(&[(ZERO, "false")], &[], USUAL), [None, None]);
        assert_eq!(resting(&[(ZERO_DURATION, "5m")], &[], USUAL), [None, None]);
        assert_eq!(resting(&[(ZERO, "true")], &[], USUAL), [Some(30), Some(900)]);
        assert_eq!(resting(&[], &[(ZERO, "True")], USUAL), [Some(30), Some(900)]);
        assert_eq!(resting(&[(ZERO, "false")], &[(ZERO, "true")], USUAL), [None, None], "the label wins");
    }

    #[test]
    fn its_own_times_go_before_the_usual_ones() {
        let zero = (ZERO, "true");
        assert_eq!(resting(&[zero, (ZERO_DURATION, "1h30m")], &[(FREEZE_AFTER, "90s")], USUAL), [Some(90), Some(5400)]);
        assert_eq!(resting(&[zero], &[(ZERO_DURATION, "90s")], USUAL), [Some(30), Some(90)]);
        assert_eq!(resting(&[zero], &[(FREEZE_AFTER, "0")], USUAL), [None, Some(900)], "0: never frozen");
        assert_eq!(resting(&[zero, (FREEZE_AFTER, "5s")], &[], USUAL), [Some(30), Some(900)], "no label of OpenFaaS's");
    }

    #[test]
    fn a_time_to_freeze_alone_freezes_and_never_stops() {
        assert_eq!(resting(&[], &[(FREEZE_AFTER, "1m")], USUAL), [Some(60), None]);
        assert_eq!(resting(&[(ZERO, "false")], &[(FREEZE_AFTER, "1m")], USUAL), [Some(60), None]);
        assert_eq!(resting(&[], &[(FREEZE_AFTER, "0s")], USUAL), [None, None]);
    }

    #[test]
    fn usual_times_of_nothing_are_none() {
        let never = Resting { freeze_after: Some(Duration::ZERO), zero_after: Some(Duration::ZERO) };
        assert_eq!(resting(&[(ZERO, "true")], &[], never), [None, None]);
        assert_eq!(resting(&[(ZERO, "true")], &[], Resting::default()), [None, None]);
        let own = resting(&[(ZERO, "true"), (ZERO_DURATION, "2s")], &[(FREEZE_AFTER, "1s")], never);
        assert_eq!(own, [Some(1), Some(2)]);
    }

    #[test]
    fn what_can_not_be_read_is_refused_with_key_and_value_and_the_usual_holds_where_it_was_accepted() {
        for (key, value, expected) in [
            (ZERO, "yes", "true or false"),
            (ZERO, "", "true or false"),
            (ZERO_DURATION, "soon", "15m"),
            (ZERO_DURATION, "0", "from 1s"),
            (ZERO_DURATION, "15 m", "1h30m"),
            (ZERO_DURATION, "999999h", "8784h"),
            (FREEZE_AFTER, "-1s", "90s"),
            (FREEZE_AFTER, "1d", "90s"),
        ] {
            let wrong = draft(&[], &[(key, value)]);
            let mut keys = Keys::of(&wrong);
            assert_eq!(RestingKeys::read(&mut keys), RestingKeys::default());
            let Invalid(reason) = keys.fault().unwrap_err();
            assert!(reason.contains(&format!("{key}={value:?}")) && reason.contains(expected), "{reason}");
        }
    }
}
