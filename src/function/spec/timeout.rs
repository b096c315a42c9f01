//! How long a function may take to begin its answer, and its process to end: what the function says, else at least what
//! its watchdog takes.
//!
//! ```text
//! to answer   com.openfaas.upstream.timeout   exactly so long, whatever is usual
//!             exec_timeout, write_timeout     in the environment: the watchdog ends a request itself then, and gets to say so
//! to end      grace_period                    in the environment: exactly so long
//!             healthcheck_interval, write_timeout, exec_timeout   in the environment: at least so long. A watchdog that is
//!                                             asked to end goes on for healthcheck_interval (if that is not set:
//!                                             write_timeout) before it stops to listen
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::Invalid;
use super::checks::{of_environment, time};

const UPSTREAM: &str = "com.openfaas.upstream.timeout";

/// After its own deadline a watchdog still has to tell what happened.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Between a watchdog's own time and the kill: it still closes its connections, and its process ends.
const LAST_STEPS: Duration = Duration::from_secs(5);

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

/// How long an instance's process may take to end after it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GracePeriod {
    exactly: Option<Duration>,
    at_least: Duration,
}

impl GracePeriod {
    /// Reads the environment of the process, the image's variables included. What can't be read there is left to the
    /// function; more than an hour counts as an hour.
    #[must_use]
    pub fn of(environment: &BTreeMap<String, String>) -> Self {
        let own = ["healthcheck_interval", "write_timeout", "exec_timeout"];
        let own = own.iter().filter_map(|name| of_environment(environment, name)).max();
        Self {
            exactly: of_environment(environment, "grace_period"),
            at_least: own.filter(|time| !time.is_zero()).map_or(Duration::ZERO, |time| time + LAST_STEPS),
        }
    }

    /// The period, where `usual` is usual.
    #[must_use]
    pub fn or(self, usual: Duration) -> Duration {
        self.exactly.unwrap_or_else(|| usual.max(self.at_least))
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

    #[test]
    fn a_process_may_take_its_own_time_to_end_and_some_seconds_more_unless_it_says_exactly() {
        let seconds = Duration::from_secs;
        for (environment, wanted) in [
            (&[][..], seconds(30)),
            (&[("write_timeout", "30s")], seconds(35)),
            (&[("write_timeout", "10s")], seconds(30)),
            (&[("exec_timeout", "2m")], seconds(125)),
            (&[("write_timeout", "60"), ("exec_timeout", "55s")], seconds(65)),
            (&[("write_timeout", "10s"), ("healthcheck_interval", "40s")], seconds(45)),
            (&[("write_timeout", "9h")], seconds(3_605)),
            (&[("write_timeout", "soon")], seconds(30)),
            (&[("write_timeout", "0")], seconds(30)),
            (&[("write_timeout", "5m"), ("grace_period", "10")], seconds(10)),
            (&[("grace_period", " 500ms ")], Duration::from_millis(500)),
            (&[("grace_period", "0")], Duration::ZERO),
            (&[("grace_period", "9h")], seconds(3_600)),
            (&[("write_timeout", "5m"), ("grace_period", "later")], seconds(305)),
        ] {
            let map = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(GracePeriod::of(&map).or(seconds(30)), wanted, "{environment:?}");
        }
    }
}
