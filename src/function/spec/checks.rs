//! How a function wants to be asked whether it is ready and whether it is well, and how long it may take to leave: from
//! its annotations and environment.
//!
//! ```text
//! com.openfaas.ready.http.path   no answer of 200 to 399 -> no requests
//! com.openfaas.health.http.path  no answer of 200 to 399 -> replaced
//!   .initialDelaySeconds  .periodSeconds  .timeoutSeconds  .successThreshold  .failureThreshold   for either
//! com.openfaas.drain.timeout     else write_timeout in the environment
//! ```
//! Times are plain seconds or Go durations, whether the key says "Seconds" or not (`.period`, `.timeout`,
//! `.initialDelay`). What can't be read is refused when the function is deployed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Invalid, parse_duration};

const READY: &str = "com.openfaas.ready.http";
const HEALTH: &str = "com.openfaas.health.http";
const DRAIN: &str = "com.openfaas.drain.timeout";

/// The longest time and the shortest period that may be asked for.
const LONGEST: Duration = Duration::from_secs(3600);
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
/// The most answers in a row that a threshold may ask for.
const THRESHOLD_MAX: u32 = 1_000;
/// The longest path that is sent.
const PATH_MAX: usize = 1024;

/// One question that is asked over and over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// The path that must answer 200 to 399. None: `/_/health` is asked, see [`Answer::to_health`](crate::function::Answer).
    pub path: Option<String>,
    /// The wait before the first question.
    pub initial_delay: Duration,
    /// The time between two questions.
    pub period: Duration,
    /// The longest that one question may take.
    pub timeout: Duration,
    /// So many good answers in a row are a yes, at least 1.
    pub successes: u32,
    /// So many bad answers in a row are a no, at least 1.
    pub failures: u32,
}

impl Default for HttpCheck {
    /// At once, every 2 s, for 1 s; one good answer is a yes, three bad ones are a no.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            path: None,
            initial_delay: seconds(0),
            period: seconds(2),
            timeout: seconds(1),
            successes: 1,
            failures: 3,
        }
    }
}

/// What a function is asked while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// Whether it can take requests: asked until it can, and if it has a path for as long as it runs.
    pub ready: HttpCheck,
    /// Whether it is well: asked for as long as it runs, if the function wishes it.
    pub health: Option<HttpCheck>,
}

impl Checks {
    /// Reads the annotations.
    ///
    /// # Errors
    /// [`Invalid`] with the annotation and the rule.
    pub fn parse(annotations: &BTreeMap<String, String>) -> Result<Self, Invalid> {
        let health = HttpCheck::parse(annotations, HEALTH)?;
        Ok(Self { ready: HttpCheck::parse(annotations, READY)?, health: health.path.is_some().then_some(health) })
    }
}

impl HttpCheck {
    fn parse(annotations: &BTreeMap<String, String>, prefix: &str) -> Result<Self, Invalid> {
        let of = Annotations { annotations, prefix };
        let usual = Self::default();
        Ok(Self {
            path: of.path()?,
            initial_delay: of.time("initialDelay", Duration::ZERO)?.unwrap_or(usual.initial_delay),
            period: of.time("period", SHORTEST_PERIOD)?.unwrap_or(usual.period),
            timeout: of.time("timeout", Duration::from_millis(1))?.unwrap_or(usual.timeout),
            successes: of.threshold("successThreshold")?.unwrap_or(usual.successes),
            failures: of.threshold("failureThreshold")?.unwrap_or(usual.failures),
        })
    }
}

/// The annotations of one check.
struct Annotations<'a> {
    annotations: &'a BTreeMap<String, String>,
    prefix: &'a str,
}

impl<'a> Annotations<'a> {
    fn get(&self, key: &str) -> Option<(String, &'a str)> {
        let key = format!("{}.{key}", self.prefix);
        let value = self.annotations.get(&key)?.trim();
        Some((key, value))
    }

    fn path(&self) -> Result<Option<String>, Invalid> {
        let Some((key, path)) = self.get("path") else { return Ok(None) };
        let ok = path.starts_with('/')
            && path.len() <= PATH_MAX
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let wrong = || refused(&key, path, "expected a path such as /ready, of printable ASCII without spaces");
        ok.then(|| Some(path.to_owned())).ok_or_else(wrong)
    }

    /// A time under either of its two names.
    fn time(&self, name: &str, least: Duration) -> Result<Option<Duration>, Invalid> {
        let long = self.get(&format!("{name}Seconds"));
        let short = self.get(name);
        if let (Some((key, _)), Some((other, _))) = (&long, &short) {
            return Err(Invalid(format!("annotations {key:?} and {other:?} mean the same: give one of them")));
        }
        long.or(short).map(|(key, text)| time(&key, text, least)).transpose()
    }

    fn threshold(&self, name: &str) -> Result<Option<u32>, Invalid> {
        let Some((key, text)) = self.get(name) else { return Ok(None) };
        let count = text.parse().ok().filter(|count| (1..=THRESHOLD_MAX).contains(count));
        count.map(Some).ok_or_else(|| refused(&key, text, &format!("expected a number from 1 to {THRESHOLD_MAX}")))
    }
}

/// How long a draining instance may go on with the requests that it has: the annotation, else what its watchdog gives a
/// request (`write_timeout`); none where neither says anything.
///
/// # Errors
/// [`Invalid`] for an annotation that is no time of at most an hour. The environment is the function's own: what can't be
/// read there is left to the function.
pub(super) fn drain_timeout(
    annotations: &BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
) -> Result<Option<Duration>, Invalid> {
    match annotations.get(DRAIN) {
        Some(text) => time(DRAIN, text.trim(), Duration::ZERO).map(Some),
        None => Ok(of_environment(environment, "write_timeout").filter(|time| !time.is_zero())),
    }
}

pub(super) fn of_environment(environment: &BTreeMap<String, String>, name: &str) -> Option<Duration> {
    Some(parse_duration(environment.get(name)?.trim()).ok()?.min(LONGEST))
}

pub(super) fn time(key: &str, text: &str, least: Duration) -> Result<Duration, Invalid> {
    let time = parse_duration(text).map_err(|Invalid(expected)| refused(key, text, &expected))?;
    if (least..=LONGEST).contains(&time) {
        return Ok(time);
    }
    Err(refused(key, text, &format!("expected a time from {least:?} to {LONGEST:?}")))
}

fn refused(key: &str, text: &str, expected: &str) -> Invalid {
    Invalid(format!("invalid annotation {key}={text:?}: {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn checks(pairs: &[(&str, &str)]) -> Result<Checks, Invalid> {
        Checks::parse(&map(pairs))
    }

    #[test]
    fn without_annotations_readiness_is_asked_the_usual_way_and_health_not_at_all() {
        assert_eq!(checks(&[]).unwrap(), Checks { ready: HttpCheck::default(), health: None });
        let timing_alone = checks(&[("com.openfaas.health.http.periodSeconds", "5")]).unwrap();
        assert_eq!(timing_alone.health, None, "health is asked only where there is a path");
    }

    #[test]
    fn every_annotation_is_read_in_seconds_and_in_gos_words() {
        let seconds = Duration::from_secs;
        let wanted = HttpCheck {
            path: Some("/ready?deep=1".into()),
            initial_delay: seconds(5),
            period: seconds(10),
            timeout: Duration::from_millis(1500),
            successes: 2,
            failures: 4,
        };
        for prefix in [READY, HEALTH] {
            for [delay, period, timeout] in [
                [("initialDelaySeconds", "5"), ("periodSeconds", "10"), ("timeoutSeconds", "1.5s")],
                [("initialDelay", "5s"), ("period", "10000ms"), ("timeout", "1500ms")],
                [("initialDelay", "5"), ("periodSeconds", "0m10s"), ("timeout", " 1.5s ")],
            ] {
                let all = [delay, period, timeout, ("successThreshold", "2"), ("failureThreshold", "4")];
                let path = [("path", "/ready?deep=1")];
                let pairs = all.iter().chain(&path).map(|(k, v)| (format!("{prefix}.{k}"), (*v).to_owned()));
                let read = Checks::parse(&pairs.collect()).unwrap();
                let read = if prefix == READY { Some(read.ready) } else { read.health };
                assert_eq!(read, Some(wanted.clone()), "{prefix} {delay:?}");
            }
        }
    }

    #[test]
    fn garbage_is_refused_by_the_name_of_its_annotation() {
        for (key, text) in [
            ("path", "ready"),
            ("path", ""),
            ("path", "/a b"),
            ("path", "/a\r\nX: y"),
            ("path", "/ä"),
            ("path", "/a#b"),
            ("periodSeconds", "often"),
            ("period", "0"),
            ("period", "99ms"),
            ("periodSeconds", "-1"),
            ("periodSeconds", "61m"),
            ("timeoutSeconds", "0"),
            ("timeout", ""),
            ("initialDelaySeconds", "1d"),
            ("initialDelay", "2h"),
            ("successThreshold", "0"),
            ("successThreshold", "1s"),
            ("failureThreshold", "-3"),
            ("failureThreshold", "1001"),
        ] {
            for prefix in [READY, HEALTH] {
                let key = format!("{prefix}.{key}");
                let Invalid(reason) = checks(&[(&key, text)]).unwrap_err();
                assert!(reason.contains(&key), "{reason}");
            }
        }
        let twice = [("com.openfaas.ready.http.period", "1"), ("com.openfaas.ready.http.periodSeconds", "1")];
        assert!(checks(&twice).unwrap_err().0.contains("mean the same"));
    }

    #[test]
    fn the_drain_deadline_is_the_annotations_then_the_watchdogs_and_at_most_an_hour() {
        let seconds = Duration::from_secs;
        for (annotation, environment, wanted) in [
            (None, None, None),
            (None, Some("90"), Some(seconds(90))),
            (None, Some("1m30s"), Some(seconds(90))),
            (None, Some("5h"), Some(seconds(3600))),
            (None, Some("0s"), None),
            (None, Some("soon"), None),
            (Some("5s"), Some("90"), Some(seconds(5))),
            (Some("0"), Some("90"), Some(seconds(0))),
        ] {
            let pairs =
                |key, value: Option<&str>| map(&value.map(|value| (key, value)).into_iter().collect::<Vec<_>>());
            let read = drain_timeout(&pairs(DRAIN, annotation), &pairs("write_timeout", environment));
            assert_eq!(read, Ok(wanted), "{annotation:?} {environment:?}");
        }
        for bad in ["soon", "", "2h", "-1s"] {
            assert!(drain_timeout(&map(&[(DRAIN, bad)]), &map(&[])).unwrap_err().0.contains(DRAIN), "{bad:?}");
        }
    }
}
