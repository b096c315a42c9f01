//! The certificate of the public API, where it speaks TLS: whether it can be served, for how long, and who may read its key.

use jiff::Timestamp;

use super::finding::Finding;
use crate::config::Config;
use crate::tls::{Files, Looked, TlsError, Validity, look};

/// From so many seconds before its end on, a certificate should have been renewed.
const SOON: u64 = 14 * 24 * 3600;

const CHECK: &str = "certificate";

/// What is known of it.
#[derive(Debug)]
pub(super) struct Certificate {
    found: Option<(Files, Result<Looked, TlsError>)>,
    /// In seconds since 1970.
    now: u64,
}

impl Certificate {
    pub(super) fn read(config: &Config) -> Self {
        let files =
            config.tls().map(|(certificate, key)| Files { certificate: certificate.to_owned(), key: key.to_owned() });
        let found = files.map(|files| {
            let looked = look(&files);
            (files, looked)
        });
        Self { found, now: Timestamp::now().as_second().try_into().unwrap_or(0) }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let Some((files, looked)) = &self.found else {
            return vec![Finding::ok(CHECK, "none: listen speaks plain HTTP")];
        };
        match looked {
            Ok(looked) => self.validity(files, *looked).into_iter().chain(key(files, *looked)).collect(),
            Err(error) => {
                let remedy =
                    "actord starts only with a certificate that it can serve; one that runs goes on with the last";
                vec![Finding::failure(CHECK, error.to_string(), remedy)]
            }
        }
    }

    fn validity(&self, files: &Files, looked: Looked) -> Option<Finding> {
        let path = files.certificate.display();
        let renew = format!("renew it and put the new one into {path}: it is served within seconds, without a restart");
        let Some(Validity { not_before, not_after }) = looked.validity else {
            return Some(Finding::unknown(CHECK, format!("{path} does not say when it is good")));
        };
        let until = day(not_after);
        Some(match self.now {
            now if now > not_after => {
                Finding::failure(CHECK, format!("{path} ended on {until}: clients refuse it"), renew)
            }
            now if now < not_before => {
                let found = format!("{path} is good only from {} on: clients refuse it", day(not_before));
                Finding::failure(CHECK, found, "date: is the clock right? Else put another one into the file")
            }
            now if now + SOON > not_after => Finding::warning(CHECK, format!("{path} ends soon, on {until}"), renew),
            _ => Finding::ok(CHECK, format!("{path} is good until {until}")),
        })
    }
}

fn key(files: &Files, looked: Looked) -> Option<Finding> {
    let path = files.key.display();
    looked.others_may_read.then(|| {
        Finding::warning(
            "key of the certificate",
            format!("others may read {path}, or write to it"),
            format!("chmod 600 {path}"),
        )
    })
}

fn day(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "a day that no calendar has".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    const DAY: u64 = 24 * 3600;

    /// A certificate that is good from day 100 to day 200 after 1970, looked at on this day.
    fn on(day: u64, others_may_read: bool) -> Vec<(State, String)> {
        let files = Files { certificate: "/c/tls.crt".into(), key: "/c/tls.key".into() };
        let validity = Some(Validity { not_before: 100 * DAY, not_after: 200 * DAY });
        let found = Some((files, Ok(Looked { validity, others_may_read })));
        let all = Certificate { found, now: day * DAY }.check();
        all.into_iter().map(|finding| (finding.state, format!("{} {:?}", finding.found, finding.remedy))).collect()
    }

    #[test]
    fn a_certificate_is_judged_by_what_is_left_of_its_time() {
        for (day, state, words) in [
            (99, State::Failure, "from 1970-04-11 on"),
            (101, State::Ok, "until 1970-07-20"),
            (185, State::Ok, "until 1970-07-20"),
            (187, State::Warning, "ends soon, on 1970-07-20"),
            (201, State::Failure, "ended on 1970-07-20"),
        ] {
            let found = on(day, false);
            assert!(found.len() == 1 && found[0].0 == state && found[0].1.contains(words), "{day}: {found:?}");
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_said_with_what_mends_it() {
        let found = on(150, true);
        assert!(found[1].0 == State::Warning && found[1].1.contains("chmod 600 /c/tls.key"), "{found:?}");
    }

    #[test]
    fn one_that_can_not_be_served_is_a_failure_and_none_is_well() {
        let state = |found| Certificate { found, now: 0 }.check().remove(0).state;
        let files = Files { certificate: "/c/tls.crt".into(), key: "/c/tls.key".into() };
        assert_eq!(state(Some((files.clone(), Err(TlsError::Strangers(files))))), State::Failure);
        assert_eq!(state(None), State::Ok);
    }
}
