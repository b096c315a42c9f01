//! A line: a call in words of JSON, and what of it can be meant.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::head::{may_leave, of_answer, of_call};
use crate::function::FunctionId;
use crate::queue::callback_lane;
use crate::queue::head::Head;
use crate::store::calls::{
    Attempt, CallId, Callback, Kept, LaneId, LaneKey, Loaded, Phase, Request, Seq, State, Summary, Verdict,
};

/// The longest name of a method, and the longest URL of a callback.
const LONGEST_METHOD: usize = 32;
const LONGEST_URL: usize = 16 << 10;
/// The longest id of a caller's.
const LONGEST_ID: usize = 128;
/// The longest path with its query: no server takes a longer one.
const LONGEST_PATH: usize = (64 << 10) - 1;
/// The longest schedule.
const LONGEST_SCHEDULE: usize = 1 << 10;
/// More tries are not counted: what is counted on must not overflow.
const MOST_TRIES: u32 = 1_000_000;
/// More attempts of a call are never kept.
const ATTEMPTS: usize = 20;

/// A call, as a line has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Line {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caller_id: Option<String>,
    function: String,
    pub(super) state: Stands,
    #[serde(default, skip_serializing_if = "is_function")]
    next: Next,
    /// Milliseconds of the wall's clock, as all times here.
    accepted: i64,
    /// When its next try is, if it waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<i64>,
    tries: u32,
    called: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    becomes: Option<Becomes>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
    /// For people: a file proves nothing of who called.
    guarded: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<CallbackLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    method: String,
    path: String,
    /// In base64, as bodies and values of headers are.
    head: String,
    body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerLine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Stands {
    Waiting,
    Dead,
}

/// What is to be done for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Next {
    #[default]
    Function,
    Callback,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_function(next: &Next) -> bool {
    *next == Next::Function
}

/// What it becomes when its callback is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Becomes {
    Done,
    Dead,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CallbackLine {
    url: String,
    /// For people, as `guarded` is.
    checked: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AnswerLine {
    status: u16,
    head: Vec<(String, String)>,
    body: String,
    total: u64,
}

impl Line {
    /// None of a call whose record is damaged. `now`: what it is on the wall.
    pub(super) fn of(loaded: &Loaded, with_secrets: bool, now: i64) -> Option<Self> {
        let (call, request) = (&loaded.call, loaded.request.as_ref().filter(|_| loaded.sound)?);
        let mut head = Head::decode(&request.head)?;
        let may = |name: &str, value: &[u8]| with_secrets || may_leave(name, value);
        head.0.retain(|(name, value)| may(name, value));
        Some(Self {
            id: call.id.to_string(),
            caller_id: call.caller_id.clone(),
            function: call.function.to_string(),
            state: match call.state {
                State::Waiting => Stands::Waiting,
                State::Dead => Stands::Dead,
                State::Done | State::Cancelled => return None,
            },
            next: match call.phase {
                Phase::Function => Next::Function,
                Phase::Callback => Next::Callback,
            },
            accepted: call.accepted,
            due: Some(call.due).filter(|due| call.state == State::Waiting && *due > now),
            deadline: call.deadline,
            tries: call.tries,
            called: call.called,
            status: call.status,
            reason: call.reason.clone(),
            becomes: call.verdict.as_ref().map(|verdict| match verdict {
                Verdict::Done => Becomes::Done,
                Verdict::Dead { .. } => Becomes::Dead,
            }),
            attempts: loaded.attempts.clone(),
            guarded: call.guarded,
            callback: call
                .callback
                .as_ref()
                .map(|callback| CallbackLine { url: callback.url.clone(), checked: callback.checked }),
            schedule: call.schedule.clone(),
            method: call.method.clone(),
            path: call.path.clone(),
            head: BASE64.encode(head.encode()),
            body: BASE64.encode(&request.body),
            answer: loaded.answer.as_ref().map(|answer| AnswerLine {
                status: answer.status,
                head: (answer.head.iter().filter(|(name, value)| may(name, value)))
                    .map(|(name, value)| (name.clone(), BASE64.encode(value)))
                    .collect(),
                body: BASE64.encode(&answer.body),
                total: answer.total,
            }),
        })
    }

    /// The call, or which of its fields can't be meant.
    pub(super) fn call(self, longest: usize) -> Result<(LaneKey, Loaded), String> {
        let id: CallId = self.id.parse().map_err(|why| format!("id: {why}"))?;
        let function: FunctionId = self.function.parse().map_err(|why| format!("function: {why}"))?;
        if self.caller_id.as_ref().is_some_and(|id| !((1..=LONGEST_ID).contains(&id.len()) && is_visible(id))) {
            return Err("callerId: expected some characters that can be seen, 128 at most".to_owned());
        }
        method(&self.method)?;
        if self.path.len() > LONGEST_PATH {
            return Err(format!("path: {} characters, and no more than {LONGEST_PATH} are taken", self.path.len()));
        }
        if self.schedule.as_ref().is_some_and(|schedule| schedule.len() > LONGEST_SCHEDULE) {
            return Err(format!("schedule: no more than {LONGEST_SCHEDULE} characters are taken"));
        }
        let is_path = self.path.is_empty() || self.path.starts_with(['/', '?']);
        if !is_path || self.path.contains('#') || !is_visible(&self.path) {
            return Err("path: expected what follows a function's name in a URL: nothing, /path or ?query".to_owned());
        }
        let head = bytes("head", &self.head)?;
        let headers = Head::decode(&head).ok_or("head: these bytes are no headers of a call")?;
        headers.0.iter().try_for_each(|(name, value)| header("head", name, value))?;
        let body = body("body", &self.body, longest)?;
        let head = of_call(headers, body.len()).encode();
        if self.attempts.len() > ATTEMPTS {
            return Err(format!("attempts: no more than {ATTEMPTS} are kept of a call"));
        }
        let answer = self.answer.map(|answer| answer.kept(longest)).transpose()?;
        let callback = self.callback.map(CallbackLine::callback).transpose()?;
        let (phase, lane) = match (self.next, &callback) {
            (Next::Function, _) => (Phase::Function, LaneKey::Function(function.clone())),
            (Next::Callback, Some(callback)) => (Phase::Callback, callback_lane(&callback.url)),
            (Next::Callback, None) => return Err("next: there is no callback to send".to_owned()),
        };
        let verdict = self.becomes.map(|becomes| match becomes {
            Becomes::Done => Verdict::Done,
            Becomes::Dead => Verdict::Dead { reason: self.reason.clone().unwrap_or_default() },
        });
        if phase == Phase::Callback && verdict.is_none() {
            return Err("becomes: expected done or dead of a call whose callback is to be sent".to_owned());
        }
        let call = Summary {
            // Its place and size are those of the file that takes it.
            seq: Seq(0),
            lane: LaneId(0),
            bytes: 0,
            id,
            caller_id: self.caller_id,
            function,
            state: match self.state {
                Stands::Waiting => State::Waiting,
                Stands::Dead => State::Dead,
            },
            phase,
            accepted: self.accepted,
            due: self.due.unwrap_or(0),
            tries: self.tries.min(MOST_TRIES),
            called: self.called.min(MOST_TRIES),
            deadline: self.deadline,
            status: self.status,
            reason: self.reason,
            verdict,
            // Whatever the file says: who wrote it may not be who may call.
            guarded: true,
            callback,
            method: self.method,
            path: self.path,
            schedule: self.schedule,
        };
        let request = Some(Request { head, body });
        Ok((lane, Loaded { call, attempts: self.attempts, request, answer, sound: true }))
    }
}

impl CallbackLine {
    fn callback(self) -> Result<Callback, String> {
        let is_url = (1..=LONGEST_URL).contains(&self.url.len()) && is_visible(&self.url);
        if !is_url {
            return Err(format!("callback.url: expected a URL of at most {LONGEST_URL} characters"));
        }
        Ok(Callback { url: self.url, checked: false })
    }
}

impl AnswerLine {
    fn kept(self, longest: usize) -> Result<Kept, String> {
        if !(100..1000).contains(&self.status) {
            return Err("answer.status: expected a status of HTTP".to_owned());
        }
        let head = self.head.into_iter().map(|(name, value)| {
            let value = bytes("answer.head", &value)?;
            header("answer.head", &name, &value)?;
            Ok::<_, String>((name, value))
        });
        let head = of_answer(head.collect::<Result<_, _>>()?);
        // Of an answer that is not called back 64 KiB are kept, whatever bodies of calls may have.
        let body = body("answer.body", &self.body, longest.max(64 << 10))?;
        Ok(Kept { status: self.status, head, body, total: self.total })
    }
}

fn bytes(field: &str, text: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(text).map_err(|why| format!("{field}: no base64: {why}"))
}

fn body(field: &str, text: &str, longest: usize) -> Result<Bytes, String> {
    let body = bytes(field, text)?;
    if body.len() > longest {
        return Err(format!("{field}: {} bytes, and no more than {longest} are taken (queue-max-body)", body.len()));
    }
    Ok(body.into())
}

fn method(method: &str) -> Result<(), String> {
    let is_one = (1..=LONGEST_METHOD).contains(&method.len()) && is_token(method);
    match method {
        "CONNECT" | "DELETE" => Err(format!("method: no function is called so by {method}")),
        _ if is_one => Ok(()),
        _ => Err("method: expected one of HTTP, such as POST".to_owned()),
    }
}

fn header(field: &str, name: &str, value: &[u8]) -> Result<(), String> {
    // What HTTP allows of a value: anything but control characters.
    let is_value = value.iter().all(|byte| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f);
    match is_token(name) && is_value {
        true => Ok(()),
        false => Err(format!("{field}: no header of HTTP: {name:?}")),
    }
}

/// A name of HTTP (RFC 9110, 5.6.2).
fn is_token(text: &str) -> bool {
    let is_of_one = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_one)
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}
