//! What is promised of the file of calls.

mod accepting;
mod counts;
mod damage;
mod ended;
mod lists;
mod opening;
mod plans;
mod schedules;
mod settling;

use super::*;

fn call(function: &str, body: &str) -> NewCall {
    NewCall {
        head: bytes::Bytes::from_static(b"head"),
        body: body.to_owned().into(),
        ..NewCall::plain(function.parse().unwrap())
    }
}

fn with_callback(function: &str, host: &str) -> NewCall {
    let callback = Callback { url: format!("http://{host}/done"), checked: false };
    NewCall { callback: Some(callback), ..call(function, "") }
}

fn attempt(status: u16) -> Attempt {
    Attempt { started: 1_000, took: 7, status: Some(status), error: None, callback: false }
}

fn answer(body: &str) -> Kept {
    Kept {
        status: 200,
        head: vec![("content-type".into(), b"text/plain".to_vec())],
        body: body.to_owned().into(),
        total: body.len() as u64,
    }
}

fn host(url: &str) -> LaneKey {
    let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    LaneKey::Host(host.into())
}

fn dead(reason: &str) -> Settled {
    Settled::Dead { attempt: Some(attempt(500)), reason: reason.into(), answer: None }
}

fn done() -> Settled {
    Settled::Done { attempt: attempt(200), answer: answer("fine") }
}

fn again(due: i64) -> Settled {
    Settled::Again { due, attempt: attempt(503) }
}

fn to_callback(host: &str, verdict: Verdict) -> Settled {
    Settled::ToCallback {
        lane: LaneKey::Host(host.into()),
        verdict,
        attempt: Some(attempt(200)),
        answer: Some(answer("for the callback")),
    }
}

/// Which calls of a lane are next, whenever they are due.
async fn next(calls: &Calls, lane: LaneId) -> Vec<Seq> {
    calls.heads(lane, None, i64::MAX).await.unwrap().heads.into_iter().map(|head| head.seq).collect()
}

async fn show(calls: &Calls, id: CallId) -> Loaded {
    calls.by_id(id).await.unwrap().unwrap()
}

async fn assert_counted(calls: &Calls) {
    assert_eq!(calls.miscounts().await.unwrap(), [""; 0]);
}
