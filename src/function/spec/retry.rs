//! When an asynchronous call is tried again.

use std::collections::BTreeSet;
use std::time::Duration;

use super::keys::Keys;

/// When an asynchronous call of a function is tried again, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRule {
    /// Tries in all, the first one among them.
    pub attempts: u32,
    /// After which answers of the function.
    pub codes: RetryCodes,
    /// From the first try to the second; it doubles with each further one.
    pub min_wait: Duration,
    /// The longest that this grows to.
    pub max_wait: Duration,
    /// By how much waits are spread, so that calls that failed together do not come back together.
    pub jitter: Jitter,
}

/// After which answers of the function a call is tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RetryCodes {
    /// 408, 429, 500, 502, 503 and 504.
    #[default]
    Usual,
    /// These and no others.
    Only(BTreeSet<u16>),
}

/// How waits are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Not at all.
    #[default]
    None,
    /// From next to nothing to the whole wait.
    Full,
    /// From half the wait to the whole.
    Equal,
}

impl Default for RetryRule {
    fn default() -> Self {
        Self {
            attempts: 10,
            codes: RetryCodes::default(),
            min_wait: Duration::from_secs(10),
            max_wait: Duration::from_secs(120),
            jitter: Jitter::default(),
        }
    }
}

/// What the keys say, and the usual where they say nothing.
pub(super) fn rule(_keys: &mut Keys<'_>) -> RetryRule {
    RetryRule::default()
}
