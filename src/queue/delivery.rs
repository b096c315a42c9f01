//! The answer of a call goes on to where its caller asked: a function of this actord, by no socket, or another server.
//!
//! ```text
//! X-Callback-Url -> elsewhere        -> Deliver
//!                -> /function/       -> Invoke
//!                -> /async-function/ -> accepted as a call of its own, whose answer goes where this answer says
//! ```
//! It is tried as the call itself was. An answer that does not get out is a dead letter with all of the answer.

use std::time::Duration;

use bytes::Bytes;

use super::accept::{New, NewCallback, NotAccepted};
use super::attempt::{KEPT, Outcome, Started, Try, held};
use super::callback::{self, Target};
use super::head::{CHAIN, Head, is_of_one_hop};
use super::retry::{self, Came, Hold, Next};
use super::seam::{Delivered, Post, Sending};
use super::under_way::Entry;
use crate::function::{FunctionId, RetryRule};
use crate::store::calls::{CallId, Loaded, Settled, Verdict};

/// So many calls may follow from one by callbacks to functions of this actord: a circle ends.
const LINKS: u32 = 16;
/// Of an answer that makes a call of its own: where the answer of that is to be sent.
const NEXT_HEADER: &str = "x-callback-url";
/// What is meant for a browser.
const FOR_BROWSERS: [&str; 2] = ["set-cookie", "set-cookie2"];

/// What came of sending it.
enum Sent {
    Came(Came),
    /// No other try would end otherwise.
    Never(String),
}

impl Try {
    /// Sends the answer of a call.
    pub(super) async fn deliver(&self, loaded: &Loaded, rule: &RetryRule, entry: &Entry) -> Outcome {
        let started = Started::now();
        let sent = tokio::select! {
            biased;
            sent = self.send(loaded, rule) => sent,
            // A cancelled call has no callback. One that is being accepted as a call of its own is not dropped: what is on the
            // disk already would be accepted once more.
            hold = entry.dropped(), if !self.goes_into_the_queue(loaded) => return held(hold),
        };
        let (came, next) = match sent {
            Sent::Came(came) => {
                let next = retry::next(rule, loaded.call.tries.saturating_add(1), &came, None, rand::random());
                (came, next)
            }
            Sent::Never(reason) => {
                let came = Came::Internal { status: 502, retry_after: None, reason: reason.clone() };
                (came, Next::Dead { reason })
            }
        };
        let attempt = started.attempt(&came, true);
        let settled = match next {
            Next::Held(hold) => return Outcome::Held(hold),
            Next::Done => {
                self.context.metrics.callback("done");
                Settled::Delivered { attempt }
            }
            Next::Again { wait } => {
                self.context.metrics.callback("again");
                Settled::Again { due: self.calls.ticks().now() + super::attempt::millis(wait), attempt }
            }
            Next::Dead { reason } => {
                self.context.metrics.callback("dead");
                self.context.metrics.dead("callback", 1);
                let reason = match &loaded.call.verdict {
                    // Why the call itself failed is told before it.
                    Some(Verdict::Dead { .. }) => reason,
                    _ => format!("its callback failed: {reason}"),
                };
                Settled::Dead { attempt: Some(attempt), reason, answer: None }
            }
        };
        self.settle(&loaded.call, settled).await
    }

    fn goes_into_the_queue(&self, loaded: &Loaded) -> bool {
        let target =
            loaded.call.callback.as_ref().map(|wanted| callback::read(&wanted.url, &self.context.settings.rules));
        matches!(target, Some(Ok(Target::Queued { .. })))
    }

    async fn send(&self, loaded: &Loaded, rule: &RetryRule) -> Sent {
        let Some(wanted) = &loaded.call.callback else { return Sent::Never("it has no callback".to_owned()) };
        let target = match callback::read(&wanted.url, &self.context.settings.rules) {
            Ok(target) => target,
            Err(reason) => return Sent::Never(reason),
        };
        let (mut head, body) = message(loaded, rule);
        let (function, path_and_query, queued) = match target {
            Target::Elsewhere { url, .. } => {
                return match self.senders.deliver.deliver(&Post { url, head: head.0, body }).await {
                    Delivered::Came { came, .. } => Sent::Came(came),
                    Delivered::Refused { reason } => Sent::Never(reason),
                }
                .no_redirect();
            }
            Target::Function { id, path_and_query } => (id, path_and_query, false),
            Target::Queued { id, path_and_query } => (id, path_and_query, true),
        };
        if let Err(reason) = self.may_call(&function, wanted.checked) {
            return Sent::Never(reason);
        }
        let depth = depth(loaded) + 1;
        if depth > LINKS {
            return Sent::Never(format!("more than {LINKS} calls follow from one: do their callbacks go in a circle?"));
        }
        head.set(CHAIN, depth.to_string());
        head.set("content-length", body.len().to_string());
        if queued {
            match self.next_link(&mut head) {
                Ok(next) => self.queue(loaded, (function, path_and_query), &head, body, next).await,
                Err(reason) => Sent::Never(format!("the X-Callback-Url of the answer: {reason}")),
            }
        } else {
            self.call_own(loaded, function, path_and_query, &head, body).await
        }
    }

    /// Where the answer of the call that follows goes, as the answer of this one says. What a function says proves nothing
    /// of its caller: it opens no function that asks for a token.
    fn next_link(&self, head: &mut Head) -> Result<Option<NewCallback>, String> {
        let said = head.get(NEXT_HEADER).map(|value| String::from_utf8_lossy(value).into_owned());
        head.remove(NEXT_HEADER);
        let Some(url) = said.filter(|url| !url.is_empty()) else { return Ok(None) };
        callback::read(&url, &self.context.settings.rules)?;
        Ok(Some(NewCallback { url, checked: false }))
    }

    /// A chain of calls opens no function that its caller could not call.
    fn may_call(&self, function: &FunctionId, checked: bool) -> Result<(), String> {
        match self.context.routes.find(function) {
            Some(entry) if entry.asks_for_token() && !checked => {
                Err(format!("function {function} asks for a token, which the call did not bring for it"))
            }
            _ => Ok(()),
        }
    }

    async fn call_own(
        &self,
        loaded: &Loaded,
        function: FunctionId,
        path_and_query: String,
        head: &Head,
        body: Bytes,
    ) -> Sent {
        let told = format!("{function}");
        let sending = Sending {
            id: loaded.call.id,
            function,
            method: "POST".to_owned(),
            path_and_query,
            head: head.encode(),
            body,
            keep: KEPT,
        };
        let reply = self.invoke(&sending).await;
        let unavailable = |why: &str| internal(503, format!("function {told} {why}"));
        Sent::Came(match reply.came {
            // It is not the call that waits for this function, so it is one of its tries.
            Came::NotTried(Hold::KeptDown) => unavailable("is stopped by `actord stop`"),
            Came::NotTried(Hold::Gone) | Came::Internal { status: 404, .. } => unavailable("was not found"),
            came => came,
        })
        .no_redirect()
    }

    async fn queue(
        &self,
        loaded: &Loaded,
        (function, path_and_query): (FunctionId, String),
        head: &Head,
        body: Bytes,
        callback: Option<NewCallback>,
    ) -> Sent {
        let Some(entry) = self.context.routes.find(&function) else {
            return Sent::Came(internal(503, format!("function {function} was not found")));
        };
        let caller_id = loaded.call.caller_id.clone().unwrap_or_else(|| loaded.call.id.to_string());
        let new = New {
            function,
            method: "POST".to_owned(),
            path_and_query,
            head: head.encode(),
            body,
            caller_id: Some(caller_id),
            guarded: loaded.call.guarded || entry.asks_for_token(),
            callback,
            deadline: None,
        };
        Sent::Came(match self.context.follow_up(&self.calls, loaded.call.seq, follow_up_id(loaded), new).await {
            Ok(true) => Came::Answered { status: 202, retry_after: None },
            Ok(false) => Came::NotTried(Hold::Full),
            Err(NotAccepted::Late) => Came::Answered { status: 400, retry_after: None },
            Err(refused) => internal(503, refused.to_string()),
        })
    }
}

impl Sent {
    /// A redirect is not followed, so what it answers is no success.
    fn no_redirect(self) -> Self {
        match self {
            Self::Came(Came::Answered { status: status @ 300..=399, .. }) => {
                Self::Never(format!("answered {status}, and redirects are not followed"))
            }
            other => other,
        }
    }
}

fn internal(status: u16, reason: String) -> Came {
    Came::Internal { status, retry_after: None, reason }
}

/// The id of the call that follows from the answer as it is sent now. A try that was cut off by a kill is made with the same one;
/// a dead letter that is sent again has another.
fn follow_up_id(loaded: &Loaded) -> CallId {
    let Loaded { call, attempts, .. } = loaded;
    let last = attempts.last().map_or(0, |attempt| attempt.started);
    let tries = [u64::from(call.called), u64::from(call.tries), attempts.len() as u64, last.cast_unsigned()];
    call.id.following(&tries)
}

/// How many callbacks led to this call.
fn depth(loaded: &Loaded) -> u32 {
    let head = loaded.request.as_ref().and_then(|request| Head::decode(&request.head)).unwrap_or_default();
    let depth = head.get(CHAIN).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    depth.unwrap_or(0)
}

/// Headers and body of the callback.
fn message(loaded: &Loaded, rule: &RetryRule) -> (Head, Bytes) {
    let call = &loaded.call;
    let function = loaded.attempts.iter().rev().find(|attempt| !attempt.callback);
    let mut head = Head::default();
    let body = match &loaded.answer {
        Some(answer) => {
            let named: Vec<String> = answer
                .head
                .iter()
                .filter(|(name, _)| name == "connection")
                .flat_map(|(_, value)| {
                    String::from_utf8_lossy(value)
                        .split(',')
                        .map(|name| name.trim().to_ascii_lowercase())
                        .collect::<Vec<_>>()
                })
                .collect();
            let dropped = |name: &str| {
                is_of_one_hop(name) || FOR_BROWSERS.contains(&name) || named.iter().any(|other| other == name)
            };
            head.0.extend(answer.head.iter().filter(|(name, _)| !dropped(name)).cloned());
            if answer.total > answer.body.len() as u64 {
                head.set("x-actord-answer-cut", answer.total.to_string());
            }
            answer.body.clone()
        }
        None => {
            head.set("content-type", "text/plain; charset=utf-8");
            let reason = call.reason.as_deref().unwrap_or("it was not answered");
            Bytes::from(format!("{reason}\n"))
        }
    };
    let status = loaded.answer.as_ref().map(|answer| answer.status).or(function.and_then(|attempt| attempt.status));
    let request = loaded.request.as_ref().and_then(|request| Head::decode(&request.head));
    let own = call.id.to_string();
    let callers = request.as_ref().and_then(|head| head.get("x-call-id")).unwrap_or(own.as_bytes());
    let took = Duration::from_millis(function.map_or(0, |attempt| attempt.took));
    head.set("x-call-id", callers);
    head.set("x-actord-call", own.clone());
    head.set("x-function-name", call.function.to_string());
    head.set("x-function-status", status.unwrap_or(502).to_string());
    head.set("x-duration-seconds", format!("{:.6}", took.as_secs_f64()));
    head.set("x-retry", call.called.to_string());
    head.set("x-retry-max", rule.attempts.to_string());
    head.set("user-agent", concat!("actord/", env!("CARGO_PKG_VERSION")));
    (head, body)
}

#[cfg(test)]
mod tests;
