//! What an instance's answers say of it: whether it can take requests, or only may once a grace is over.
//!
//! | asked for | answer | what follows |
//! | --- | --- | --- |
//! | a path of the function's own | 200 to 399 | ready, or well: as a kubelet counts. A redirect is not followed |
//! | | any other | not |
//! | nothing: `/_/health` | 2xx | ready |
//! | | 404, 405, 501 or no HTTP | ready: it knows no such path, and did accept a connection |
//! | | 429, 503 | not yet |
//! | | 3xx, any other 4xx | ready after the [`GRACE`]: an application that asks for more of a caller than a check has |
//! | | any other 5xx | the same, but only where no good version would go for it |

use std::fmt;
use std::time::Duration;

/// Where functions answer for their health by convention.
pub const HEALTH: &str = "/_/health";
/// How long an application that knows no `/_/health` has to go on answering before it counts as ready.
pub const GRACE: Duration = Duration::from_secs(10);

/// What came back on a connection that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// Something that is not HTTP, or nothing before the end: said for a person.
    NotHttp(String),
}

/// How an instance was found to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// By the path that its function names.
    ByPath,
    /// By what it answered to `/_/health`: a status, or no HTTP. After this grace, where it needed one.
    ByDefault(Option<u16>, Option<Duration>),
}

impl Judged {
    /// What a reader of the status has to know of it; nothing where the function said itself that it is ready.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let Self::ByDefault(status, grace) = self else { return None };
        let answered = match status {
            Some(200..=299) => return None,
            Some(status) => format!("answered {status} to {HEALTH}"),
            None => format!("answered {HEALTH} with no HTTP"),
        };
        let after = grace.map(|grace| format!("after {} s ", grace.as_secs())).unwrap_or_default();
        Some(format!("{answered}, ready {after}because it accepts connections"))
    }
}

/// What is known of the good version that would go for the instance that is being judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoodVersion {
    /// There is none, or it is the instance's own, which no other goes for.
    None,
    /// There is one, and nothing is known of how it was judged.
    Unknown,
    /// There is one, and it was judged like this.
    Judged(Judged),
}

impl GoodVersion {
    /// Whether an instance that fails with this status may take its place: it is no worse then.
    fn allows(&self, status: u16) -> bool {
        match self {
            Self::None => true,
            Self::Unknown | Self::Judged(Judged::ByPath) => false,
            Self::Judged(Judged::ByDefault(good, _)) => *good == Some(status),
        }
    }
}

impl fmt::Display for GoodVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there is none"),
            Self::Unknown => f.write_str("it is not known to answer the same"),
            Self::Judged(Judged::ByPath) => f.write_str("it answers the path that it names"),
            Self::Judged(Judged::ByDefault(Some(status), _)) => write!(f, "it answers {status}"),
            Self::Judged(Judged::ByDefault(None, _)) => f.write_str("it answers with no HTTP"),
        }
    }
}

/// What one answer to `/_/health` comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It can take requests.
    Ready(Judged),
    /// It can, if it still answers like this when the grace is over.
    AfterGrace(u16),
    /// It can't yet, for this reason.
    NotYet(String),
}

impl Answer {
    /// Whether the path that a function names was answered well.
    ///
    /// # Errors
    /// What was answered, for a person.
    pub fn to_own_path(&self) -> Result<(), String> {
        match self {
            Self::Status(200..=399) => Ok(()),
            Self::Status(status) => Err(format!("answered {status}")),
            Self::NotHttp(what) => Err(what.clone()),
        }
    }

    /// What the answer to `/_/health` says of an instance whose function names no path.
    #[must_use]
    pub fn to_health(&self, good: &GoodVersion) -> Verdict {
        match self {
            Self::Status(status @ (200..=299 | 404 | 405 | 501)) => {
                Verdict::Ready(Judged::ByDefault(Some(*status), None))
            }
            Self::NotHttp(_) => Verdict::Ready(Judged::ByDefault(None, None)),
            Self::Status(status @ (429 | 503 | ..=199)) => Verdict::NotYet(format!("answered {status}")),
            Self::Status(status @ 300..=499) => Verdict::AfterGrace(*status),
            Self::Status(status) if good.allows(*status) => Verdict::AfterGrace(*status),
            Self::Status(status) => Verdict::NotYet(format!(
                "answered {status}, and the good version stays for one that fails ({good}): mend it, or name a path \
                 that it answers in com.openfaas.ready.http.path"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_HTTP: fn() -> Answer = || Answer::NotHttp("the answer is not HTTP".into());

    #[test]
    fn a_path_of_its_own_counts_as_a_kubelet_counts() {
        for good in [200, 204, 299, 301, 302, 307, 399] {
            assert_eq!(Answer::Status(good).to_own_path(), Ok(()), "{good}");
        }
        for bad in [100, 101, 199, 400, 401, 403, 404, 405, 429, 500, 501, 503, 599] {
            assert_eq!(Answer::Status(bad).to_own_path(), Err(format!("answered {bad}")));
        }
        assert!(NO_HTTP().to_own_path().unwrap_err().contains("not HTTP"));
    }

    #[test]
    fn without_a_path_every_answer_says_ready_later_or_not_yet() {
        let good = GoodVersion::None;
        let says = |answer: &Answer| match answer.to_health(&good) {
            Verdict::Ready(_) => "ready",
            Verdict::AfterGrace(_) => "later",
            Verdict::NotYet(_) => "not yet",
        };
        for (statuses, expected) in [
            (&[200, 204, 299, 404, 405, 501][..], "ready"),
            (&[300, 301, 302, 303, 307, 308, 304, 400, 401, 402, 403, 406, 410, 418, 421, 426, 451, 499], "later"),
            (&[500, 502, 504, 505, 599], "later"),
            (&[100, 101, 199, 429, 503], "not yet"),
        ] {
            for status in statuses {
                assert_eq!(says(&Answer::Status(*status)), expected, "{status}");
            }
        }
        assert_eq!(says(&NO_HTTP()), "ready");
    }

    #[test]
    fn an_update_that_fails_takes_no_good_versions_place_unless_that_was_judged_by_the_same_failure() {
        let judged = |status| GoodVersion::Judged(Judged::ByDefault(status, None));
        for (good, status, later) in [
            (GoodVersion::None, 500, true),
            (GoodVersion::Unknown, 500, false),
            (GoodVersion::Judged(Judged::ByPath), 500, false),
            (judged(Some(200)), 500, false),
            (judged(None), 500, false),
            (judged(Some(500)), 500, true),
            (judged(Some(500)), 502, false),
            (judged(Some(502)), 500, false),
            (judged(Some(401)), 500, false),
            // What is no failure needs no example, and "not yet" is that whatever came before.
            (judged(Some(200)), 401, true),
            (GoodVersion::Unknown, 302, true),
            (judged(Some(503)), 503, false),
        ] {
            let verdict = Answer::Status(status).to_health(&good);
            assert_eq!(matches!(verdict, Verdict::AfterGrace(_)), later, "{good:?} {status}: {verdict:?}");
        }
    }

    #[test]
    fn the_note_says_what_was_answered_and_that_the_connection_decided() {
        for (judged, note) in [
            (Judged::ByPath, None),
            (Judged::ByDefault(Some(200), None), None),
            (
                Judged::ByDefault(Some(404), None),
                Some("answered 404 to /_/health, ready because it accepts connections"),
            ),
            (
                Judged::ByDefault(None, None),
                Some("answered /_/health with no HTTP, ready because it accepts connections"),
            ),
            (
                Judged::ByDefault(Some(401), Some(GRACE)),
                Some("answered 401 to /_/health, ready after 10 s because it accepts connections"),
            ),
        ] {
            assert_eq!(judged.note().as_deref(), note);
        }
    }
}
