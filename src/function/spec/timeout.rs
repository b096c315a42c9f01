//! How long a function may take to begin its answer: what its annotation says, else at least what its watchdog allows.
//!
//! ```text
//! com.openfaas.upstream.timeout   exactly so long, whatever is usual
//! exec_timeout, write_timeout     in the environment: the watchdog ends a request itself then, and gets to say so
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::Invalid;
use super::checks::{of_environment, time};

const UPSTREAM: &str = "com.openfaas.upstream.timeout";

/// After its own deadline a watchdog still has to tell what happened.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The longest time from a request to the head of its answer, waiting for an instance included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerLimit {
    /// What is usual on this machine.
    #[default]
    Usual,
    /// What is usual, but no less than this.
    AtLeast(Duration),
    /// This.
    Exactly(Duration),
}

impl AnswerLimit {
    /// The limit, where `usual` is usual.
    #[must_use]
    pub fn or(self, usual: Duration) -> Duration {
        match self {
            Self::Usual => usual,
            Self::AtLeast(least) => usual.max(least),
            Self::Exactly(limit) => limit,
        }
    }

    /// Reads a function's annotations and environment.
    ///
    /// # Errors
    /// [`Invalid`] for an annotation that is no time of at most an hour. What can't be read in the environment is left to
    /// the function.
    pub(super) fn parse(
        annotations: &BTreeMap<String, String>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Invalid> {
        if let Some(text) = annotations.get(UPSTREAM) {
            return time(UPSTREAM, text.trim(), Duration::from_millis(1)).map(Self::Exactly);
        }
        let own = ["exec_timeout", "write_timeout"].iter().filter_map(|name| of_environment(environment, name)).max();
        Ok(own.filter(|time| !time.is_zero()).map_or(Self::Usual, |time| Self::AtLeast(time + LAST_WORDS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(60);

    fn limit(annotation: Option<&str>, environment: &[(&str, &str)]) -> Result<Duration, Invalid> {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let annotations = map(&annotation.map(|text| (UPSTREAM, text)).into_iter().collect::<Vec<_>>());
        AnswerLimit::parse(&annotations, &map(environment)).map(|limit| limit.or(USUAL))
    }

    #[test]
    fn the_annotation_holds_then_the_watchdogs_time_if_that_is_longer_than_usual() {
        let seconds = Duration::from_secs;
        for (annotation, environment, wanted) in [
            (None, &[][..], 60),
            (Some("5s"), &[("exec_timeout", "90")], 5),
            (Some(" 2m "), &[], 120),
            (None, &[("exec_timeout", "5m")], 301),
            (None, &[("exec_timeout", "90s"), ("write_timeout", "95s")], 96),
            (None, &[("exec_timeout", "10s")], 60),
            (None, &[("exec_timeout", "0")], 60),
            (None, &[("write_timeout", "whenever")], 60),
            (None, &[("exec_timeout", "9h")], 3601),
        ] {
            assert_eq!(limit(annotation, environment), Ok(seconds(wanted)), "{annotation:?} {environment:?}");
        }
    }

    #[test]
    fn an_annotation_that_is_no_time_is_refused_by_its_name() {
        for bad in ["", "soon", "0", "-1s", "61m"] {
            assert!(limit(Some(bad), &[]).unwrap_err().0.contains(UPSTREAM), "{bad:?}");
        }
    }
}
