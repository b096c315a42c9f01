//! What goes out with an answer.

use super::*;
use crate::store::calls::{Attempt, CallId, Callback, Kept, LaneId, Phase, Request, Seq, State, Summary};

fn attempt(status: u16, took: u64, callback: bool) -> Attempt {
    Attempt { started: 0, took, status: Some(status), error: None, callback }
}

fn loaded(answer: Option<Kept>, request: &Head) -> Loaded {
    let call = Summary {
        seq: Seq(1),
        id: CallId::new(0),
        caller_id: None,
        function: "f.dev".parse().unwrap(),
        lane: LaneId(1),
        state: State::Waiting,
        phase: Phase::Callback,
        due: 0,
        accepted: 0,
        tries: 1,
        called: 2,
        deadline: None,
        status: Some(200),
        reason: Some("it failed".to_owned()),
        verdict: None,
        bytes: 0,
        guarded: false,
        callback: Some(Callback { url: "http://hook.example/".to_owned(), checked: false }),
        method: "POST".to_owned(),
        path: String::new(),
        schedule: None,
    };
    let attempts = vec![attempt(500, 7, false), attempt(503, 250, false), attempt(500, 9, true)];
    let request = Some(Request { head: request.encode(), body: Bytes::new() });
    Loaded { call, attempts, request, answer, sound: true }
}

fn headers(names: &[&str]) -> Vec<(String, Vec<u8>)> {
    names.iter().map(|name| ((*name).to_owned(), b"v".to_vec())).collect()
}

#[test]
fn of_an_answers_headers_all_go_on_but_what_belongs_to_its_connection_or_its_browser() {
    let mut head =
        headers(&["content-type", "x-own", "x-own", "set-cookie", "transfer-encoding", "x-hop", "content-length"]);
    head.push(("connection".to_owned(), b"close, X-Hop".to_vec()));
    head.extend(headers(&["x-function-status", "x-call-id"]));
    let answer = Kept { status: 201, head, body: Bytes::from_static(b"cut"), total: 5 };
    let (head, body) = message(&loaded(Some(answer), &Head(headers(&["x-call-id"]))), &RetryRule::default());
    let told: Vec<_> =
        head.0.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect();
    assert_eq!(told[..4], ["content-type: v", "x-own: v", "x-own: v", "x-actord-answer-cut: 5"]);
    assert_eq!(told[4], "x-call-id: v", "the caller's");
    for line in ["x-function-name: f.dev", "x-function-status: 201", "x-duration-seconds: 0.250000", "x-retry: 2"] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:?}");
    }
    assert_eq!((told.len(), &body[..]), (12, &b"cut"[..]));
}

#[test]
fn where_no_answer_came_the_reason_goes_out_under_our_own_status() {
    let (head, body) = message(&loaded(None, &Head::default()), &RetryRule::default());
    assert_eq!(head.get("x-function-status"), Some(&b"503"[..]));
    assert_eq!(head.get("x-call-id"), head.get("x-actord-call"));
    assert_eq!(&body[..], b"it failed\n");
}

#[test]
fn a_chain_is_as_long_as_it_says() {
    let of = |value: &str| {
        let mut head = Head::default();
        head.set(CHAIN, value);
        depth(&loaded(None, &head))
    };
    assert_eq!([of("3"), of("-1"), of("x"), depth(&loaded(None, &Head::default()))], [3, 0, 0, 0]);
}
