//! When an asynchronous call is tried again: what a function's annotations say.
//!
//! ```text
//! com.openfaas.retry.attempts             tries in all
//! com.openfaas.retry.codes                which answers are worth another try; an empty list: none
//! com.openfaas.retry.min_wait, .max_wait  the wait after the first try, and the longest one
//! actord.retry.jitter                     how much of a wait is left to chance
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use super::keys::{Keys, time, whole};

const ATTEMPTS: &str = "com.openfaas.retry.attempts";
const CODES: &str = "com.openfaas.retry.codes";
const MIN_WAIT: &str = "com.openfaas.retry.min_wait";
const MAX_WAIT: &str = "com.openfaas.retry.max_wait";
const JITTER: &str = "actord.retry.jitter";

const ATTEMPTS_MAX: u32 = 100;
const USUAL_ATTEMPTS: u32 = 10;
const USUAL_CODES: [u16; 6] = [408, 429, 500, 502, 503, 504];
const USUAL_MIN_WAIT: Duration = Duration::from_secs(10);
const USUAL_MAX_WAIT: Duration = Duration::from_secs(120);
/// Less would be no wait.
const SHORTEST: Duration = Duration::from_millis(100);
/// More is a typing error: what is due tomorrow is for a schedule.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How often and when a call is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRule {
    /// Tries in all, the first one included; at least 1.
    pub attempts: u32,
    /// Which answers are worth another try.
    pub codes: RetryCodes,
    /// The wait after the first try.
    pub min_wait: Duration,
    /// The longest wait, at least `min_wait`.
    pub max_wait: Duration,
    /// How much of a wait is left to chance.
    pub jitter: Jitter,
}

/// Which answers of a function are worth another try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RetryCodes {
    /// 408, 429, 500, 502, 503 and 504.
    #[default]
    Usual,
    /// These, from 400 to 599; there may be none.
    Only(BTreeSet<u16>),
}

impl RetryCodes {
    /// Whether this status is among them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        match self {
            Self::Usual => USUAL_CODES.contains(&status),
            Self::Only(codes) => codes.contains(&status),
        }
    }
}

/// How much of a wait is left to chance, so that calls that failed together don't come back together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Nothing: each wait is twice the one before it. The word for it is `exponential`.
    #[default]
    None,
    /// All of it.
    Full,
    /// Half of it.
    Equal,
}

impl Default for RetryRule {
    fn default() -> Self {
        Self {
            attempts: USUAL_ATTEMPTS,
            codes: RetryCodes::Usual,
            min_wait: USUAL_MIN_WAIT,
            max_wait: USUAL_MAX_WAIT,
            jitter: Jitter::None,
        }
    }
}

impl RetryRule {
    /// Reads what can be read, and the usual where it can't.
    pub(super) fn read(keys: &mut Keys<'_>) -> Self {
        let min = keys.annotation(MIN_WAIT, time(SHORTEST, LONGEST));
        let max = keys.annotation(MAX_WAIT, time(SHORTEST, LONGEST));
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            keys.refuse(format!("invalid annotation {MAX_WAIT}: expected at least {MIN_WAIT}, which is {min:?}"));
        }
        // The one that is given moves the usual other one.
        let min_wait = min.unwrap_or(USUAL_MIN_WAIT.min(max.unwrap_or(LONGEST)));
        Self {
            attempts: keys.annotation(ATTEMPTS, whole(1, ATTEMPTS_MAX)).unwrap_or(USUAL_ATTEMPTS),
            codes: keys.annotation(CODES, codes).unwrap_or_default(),
            min_wait,
            max_wait: max.unwrap_or(USUAL_MAX_WAIT).max(min_wait),
            jitter: keys.annotation(JITTER, jitter).unwrap_or_default(),
        }
    }
}

fn codes(text: &str) -> Result<RetryCodes, String> {
    if text.is_empty() {
        return Ok(RetryCodes::Only(BTreeSet::new()));
    }
    let codes = text.split(',').map(|code| code.trim().parse().ok().filter(|code| (400..=599).contains(code)));
    let codes = codes.collect::<Option<_>>().map(RetryCodes::Only);
    codes.ok_or_else(|| "statuses from 400 to 599 with commas, such as 429,502,503, or nothing for none".to_owned())
}

fn jitter(text: &str) -> Result<Jitter, String> {
    match text.to_ascii_lowercase().as_str() {
        "exponential" => Ok(Jitter::None),
        "full" => Ok(Jitter::Full),
        "equal" => Ok(Jitter::Equal),
        _ => Err("exponential, full or equal".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::spec::{Invalid, SpecDraft};

    fn draft(annotations: &[(&str, &str)]) -> SpecDraft {
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SpecDraft { annotations, ..SpecDraft::default() }
    }

    fn rule(annotations: &[(&str, &str)]) -> RetryRule {
        RetryRule::read(&mut Keys::of(&draft(annotations)))
    }

    fn refusal(annotations: &[(&str, &str)]) -> Option<String> {
        let draft = draft(annotations);
        let mut keys = Keys::of(&draft);
        RetryRule::read(&mut keys);
        keys.fault().err().map(|Invalid(reason)| reason)
    }

    #[test]
    fn where_nothing_is_said_there_are_ten_tries_ten_seconds_to_two_minutes_apart() {
        let usual = rule(&[]);
        assert_eq!(usual, RetryRule::default());
        assert_eq!((usual.attempts, usual.min_wait.as_secs(), usual.max_wait.as_secs()), (10, 10, 120));
        for status in 400..600 {
            let retried = [408, 429, 500, 502, 503, 504].contains(&status);
            assert_eq!(usual.codes.contains(status), retried, "{status}");
        }
    }

    #[test]
    fn each_annotation_is_read() {
        let all = [(ATTEMPTS, "3"), (CODES, " 429, 418,502 "), (MIN_WAIT, "500ms"), (MAX_WAIT, "1h"), (JITTER, "Full")];
        assert_eq!(refusal(&all), None);
        let read = rule(&all);
        assert_eq!((read.attempts, read.jitter), (3, Jitter::Full));
        assert_eq!((read.min_wait.as_millis(), read.max_wait.as_secs()), (500, 3600));
        assert_eq!(read.codes, RetryCodes::Only([418, 429, 502].into()));
        assert!(!read.codes.contains(500));
        assert_eq!(rule(&[(CODES, "")]).codes, RetryCodes::Only(BTreeSet::new()), "none at all");
        assert_eq!(rule(&[(JITTER, "exponential")]).jitter, Jitter::None);
    }

    #[test]
    fn one_wait_that_is_given_moves_the_usual_other_one() {
        let waits = |annotations: &[(&str, &str)]| {
            assert_eq!(refusal(annotations), None, "{annotations:?}");
            let RetryRule { min_wait, max_wait, .. } = rule(annotations);
            (min_wait.as_secs(), max_wait.as_secs())
        };
        assert_eq!(waits(&[(MIN_WAIT, "1s")]), (1, 120));
        assert_eq!(waits(&[(MIN_WAIT, "10m")]), (600, 600));
        assert_eq!(waits(&[(MAX_WAIT, "2s")]), (2, 2));
        assert_eq!(waits(&[(MIN_WAIT, "2s"), (MAX_WAIT, "2s")]), (2, 2));
    }

    #[test]
    fn what_can_not_be_read_is_refused_with_key_value_and_what_is_expected_and_the_usual_holds_where_it_was_accepted() {
        for (key, value, expected) in [
            (ATTEMPTS, "0", "1 to 100"),
            (ATTEMPTS, "101", "1 to 100"),
            (ATTEMPTS, "some", "1 to 100"),
            (CODES, "399", "400 to 599"),
            (CODES, "600", "400 to 599"),
            (CODES, "429;502", "400 to 599"),
            (CODES, "429,", "400 to 599"),
            (CODES, "5xx", "400 to 599"),
            (MIN_WAIT, "99ms", "from 100ms to 24h"),
            (MIN_WAIT, "25h", "from 100ms to 24h"),
            (MAX_WAIT, "later", "from 100ms to 24h"),
            (JITTER, "some", "exponential, full or equal"),
        ] {
            let reason = refusal(&[(key, value)]).unwrap();
            assert!(reason.contains(&format!("{key}={value:?}")) && reason.contains(expected), "{reason}");
            assert_eq!(rule(&[(key, value)]), RetryRule::default(), "{key}={value:?}");
        }
        let crossed = [(MIN_WAIT, "1m"), (MAX_WAIT, "1s")];
        let reason = refusal(&crossed).unwrap();
        assert!(reason.contains(MAX_WAIT) && reason.contains(MIN_WAIT), "{reason}");
        assert_eq!(rule(&crossed).max_wait, Duration::from_secs(60));
    }
}
