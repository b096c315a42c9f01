//! How a function's asynchronous calls are sent to it.
//!
//! ```text
//! com.openfaas.queue.max-inflight  label, else annotation: so many at a time; else as many as its instances carry
//! actord.call-deadline             annotation: how long after it was accepted a call is worth a try
//! ```
//! `com.openfaas.queue` names a queue of a message server: it is kept and given back, and means nothing here, where each
//! function has its own.

use std::time::Duration;

use super::keys::{Keys, time, whole};

const MAX_INFLIGHT: &str = "com.openfaas.queue.max-inflight";
const CALL_DEADLINE: &str = "actord.call-deadline";

const MAX_INFLIGHT_MAX: u32 = 1_000;
const DEADLINE_MIN: Duration = Duration::from_secs(1);
/// As long as dead letters are kept.
const DEADLINE_MAX: Duration = Duration::from_secs(168 * 3600);

/// The most asynchronous calls that are under way to it at a time, if the function says so.
pub(super) fn max_inflight(keys: &mut Keys<'_>) -> Option<u32> {
    keys.label(MAX_INFLIGHT, whole(1, MAX_INFLIGHT_MAX))
}

/// How long after it was accepted a call that brings no deadline of its own is tried at most, if the function says so.
pub(super) fn call_deadline(keys: &mut Keys<'_>) -> Option<Duration> {
    keys.annotation(CALL_DEADLINE, time(DEADLINE_MIN, DEADLINE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::spec::Invalid;
    use crate::function::spec::keys::tests::draft;

    #[test]
    fn calls_at_a_time_are_read_from_label_or_annotation_and_a_deadline_from_an_annotation() {
        let read = |labels: &[(&str, &str)], annotations: &[(&str, &str)]| {
            let draft = draft(labels, annotations);
            let mut keys = Keys::of(&draft);
            let both = (max_inflight(&mut keys), call_deadline(&mut keys).map(|time| time.as_secs()));
            assert!(keys.fault().is_ok());
            both
        };
        assert_eq!(read(&[], &[]), (None, None));
        assert_eq!(read(&[(MAX_INFLIGHT, "1")], &[(MAX_INFLIGHT, "2")]), (Some(1), None));
        assert_eq!(read(&[], &[(MAX_INFLIGHT, "1000"), (CALL_DEADLINE, "1h30m")]), (Some(1000), Some(5400)));
        assert_eq!(read(&[(CALL_DEADLINE, "1h")], &[]), (None, None), "no label of OpenFaaS's");
    }

    #[test]
    fn what_can_not_be_read_is_refused_by_its_name() {
        for (key, value, expected) in [
            (MAX_INFLIGHT, "0", "1 to 1000"),
            (MAX_INFLIGHT, "1001", "1 to 1000"),
            (MAX_INFLIGHT, "all", "1 to 1000"),
            (CALL_DEADLINE, "0", "from 1s to 168h"),
            (CALL_DEADLINE, "169h", "from 1s to 168h"),
            (CALL_DEADLINE, "tomorrow", "from 1s to 168h"),
        ] {
            let draft = draft(&[], &[(key, value)]);
            let mut keys = Keys::of(&draft);
            assert_eq!((max_inflight(&mut keys), call_deadline(&mut keys)), (None, None));
            let Invalid(reason) = keys.fault().unwrap_err();
            assert!(reason.contains(&format!("{key}={value:?}")) && reason.contains(expected), "{reason}");
        }
    }
}
