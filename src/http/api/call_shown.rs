//! A call as the REST API shows it: nothing that may be a secret, and nothing of what was sent but its headers.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;

use crate::credentials::looks_like_token;
use crate::queue::head::Head;
use crate::queue::view::{self, Moment};
use crate::queue::{Attempt, Depth, Gate, Kept, Loaded, State, Summary, redact};
use crate::wire::{Call, CallAnswer, CallAttempt, CallSummary, FunctionQueue, ShownHeader};

/// A time on the wall.
fn time(wall: i64) -> String {
    Timestamp::from_millisecond(wall).map(|time| time.to_string()).unwrap_or_default()
}

pub(super) fn summary(call: &Summary, running: bool, now: Moment) -> CallSummary {
    CallSummary {
        id: call.id.to_string(),
        caller_id: call.caller_id.clone(),
        function: call.function.to_string(),
        namespace: call.function.namespace.to_string(),
        method: call.method.clone(),
        path: redact::url(&call.path),
        state: view::state(call, running).to_owned(),
        accepted: time(call.accepted),
        ended: view::ended(call, now).map(time),
        next_try: view::next_try(call, running, now).map(time),
        tries: call.tries,
        max_tries: None,
        last_status: call.status,
        reason: call.reason.clone(),
        bytes: call.bytes,
        schedule: call.schedule.clone(),
        callback: call.callback.as_ref().map(|callback| redact::url(&callback.url)),
        deadline: call.deadline.filter(|_| call.state == State::Waiting).map(|ticks| time(now.wall(ticks))),
    }
}

pub(super) fn call(kept: &Loaded, running: bool, now: Moment) -> Call {
    let sent = kept.request.as_ref();
    let headers = sent.and_then(|sent| Head::decode(&sent.head)).unwrap_or_default();
    Call {
        summary: summary(&kept.call, running, now),
        headers: shown(&headers.0),
        request_bytes: sent.map(|sent| sent.body.len() as u64),
        attempts: kept.attempts.iter().map(attempt).collect(),
        answer: kept.answer.as_ref().map(answer),
    }
}

fn attempt(attempt: &Attempt) -> CallAttempt {
    CallAttempt {
        started: time(attempt.started),
        seconds: std::time::Duration::from_millis(attempt.took).as_secs_f64(),
        status: attempt.status,
        error: attempt.error.clone(),
        callback: attempt.callback,
    }
}

fn answer(kept: &Kept) -> CallAnswer {
    let text = std::str::from_utf8(&kept.body).ok();
    CallAnswer {
        status: kept.status,
        headers: shown(&kept.head),
        body: text.map(str::to_owned),
        body_base64: text.is_none().then(|| BASE64_STANDARD.encode(&kept.body)),
        bytes: kept.total,
        cut: kept.body.len() as u64 != kept.total,
    }
}

fn shown(headers: &[(String, Vec<u8>)]) -> Vec<ShownHeader> {
    headers.iter().map(|(name, value)| ShownHeader { name: name.clone(), value: value_of(name, value) }).collect()
}

/// The value of a header, if it may be shown.
fn value_of(name: &str, value: &[u8]) -> Option<String> {
    redact::value(name, value, looks_like_token)
}

pub(super) fn depth(depth: &Depth) -> FunctionQueue {
    FunctionQueue {
        function: depth.function.to_string(),
        namespace: depth.function.namespace.to_string(),
        waiting: depth.waiting,
        retrying: depth.retrying,
        in_flight: depth.in_flight,
        callbacks: depth.callbacks,
        dead: depth.dead,
        dropped: depth.dropped,
        bytes: depth.bytes,
        oldest_seconds: depth.oldest.map(|oldest| oldest.as_secs_f64()),
        held: (!matches!(depth.gate, Gate::Open | Gate::Asking { .. })).then(|| depth.gate.word().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_has_no_value() {
        for (name, value, is_shown) in [
            ("authorization", "Bearer x", None),
            ("cookie", "a=b", None),
            ("x-api-key", "1", None),
            ("x-mine", "Bearer x", None),
            ("x-mine", "a=eyJhbGciOiJub25lIn0.e30.", None),
            ("x-mine", "actord_0123456789", None),
            ("content-type", "text/plain", Some("text/plain")),
            ("x-callback-url", "https://u:p@host/x?token=1&a=2", Some("https://host/x?token=…&a=2")),
            ("referer", "http://host/?password=x", Some("http://host/?password=…")),
        ] {
            assert_eq!(value_of(name, value.as_bytes()).as_deref(), is_shown, "{name}");
        }
    }
}
