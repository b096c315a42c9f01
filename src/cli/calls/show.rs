//! `actord calls show`: all about one call.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;

use super::super::client::{Client, ClientError, ExitWith, GatewayArgs, Output, print, print_json};
use super::ls::in_seconds;
use crate::wire::{Call, CallAnswer, ShownHeader};

/// `actord calls show`.
#[derive(Debug, Args)]
pub struct CallsShowArgs {
    /// The call's id: actord's own, or its caller's
    #[arg(value_name = "ID")]
    pub id: String,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl CallsShowArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let call = get(&client, &self.id).await?;
        match self.gateway.output {
            Output::Json => print_json(&call)?,
            Output::Table => print(text(&call).as_bytes())?,
        }
        Ok(ExitWith::Done)
    }
}

/// The call with this id.
pub(in crate::cli) async fn get(client: &Client, id: &str) -> Result<Call, ClientError> {
    client.get(&["system", "call", id], &[]).await
}

/// The bytes of an answer's body, as far as they are kept.
pub(in crate::cli) fn body(answer: &CallAnswer) -> Vec<u8> {
    match (&answer.body, &answer.body_base64) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(encoded)) => BASE64_STANDARD.decode(encoded).unwrap_or_default(),
        (None, None) => Vec::new(),
    }
}

/// Lines of a key and a value; what is empty is left out, and nothing steers the terminal.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.0 += &format!("{:<13}{}\n", format!("{key}:"), plain(value));
        }
    }

    fn headers(&mut self, key: &str, headers: &[ShownHeader]) {
        if !headers.is_empty() {
            self.0 += &format!("{key}:\n");
        }
        for ShownHeader { name, value } in headers {
            let value = value.as_deref().map_or_else(|| "(not shown)".to_owned(), plain);
            self.0 += &format!("  {}: {value}\n", plain(name));
        }
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn text(call: &Call) -> String {
    let mut lines = Lines::default();
    let summary = &call.summary;
    let time = |time: &Option<String>| time.as_deref().map(in_seconds).unwrap_or_default();
    lines.add("Id", &summary.id);
    lines.add("Caller's id", summary.caller_id.as_deref().unwrap_or_default());
    lines.add("Function", &summary.function);
    lines.add("State", &summary.state);
    lines.add("Reason", summary.reason.as_deref().unwrap_or_default());
    lines.add("Request", format!("{} {}", summary.method, summary.path).trim_end());
    lines.add("Schedule", summary.schedule.as_deref().unwrap_or_default());
    lines.add("Callback", summary.callback.as_deref().unwrap_or_default());
    lines.add("Accepted", &in_seconds(&summary.accepted));
    lines.add("Ended", &time(&summary.ended));
    lines.add("Next try", &time(&summary.next_try));
    lines.add("Deadline", &time(&summary.deadline));
    let most = summary.max_tries.map(|most| format!(" of {most}")).unwrap_or_default();
    lines.add("Tries", &format!("{}{most}", summary.tries));
    lines.add("Last status", &summary.last_status.map(|status| status.to_string()).unwrap_or_default());
    if !call.attempts.is_empty() {
        lines.0 += "Attempts:\n";
    }
    for attempt in &call.attempts {
        let what = if attempt.callback { "callback " } else { "" };
        let status = attempt.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let error = attempt.error.as_deref().map(|error| format!(": {}", plain(error))).unwrap_or_default();
        lines.0 += &format!("  {}  {what}{status} in {:.3} s{error}\n", in_seconds(&attempt.started), attempt.seconds);
    }
    lines.headers("Headers", &call.headers);
    lines.add("Body", &call.request_bytes.map(|bytes| format!("{bytes} bytes, not shown")).unwrap_or_default());
    if let Some(answer) = &call.answer {
        lines.headers(&format!("Answer {}", answer.status), &answer.headers);
        let body = body(answer);
        let cut = if answer.cut { format!(" of {}", answer.bytes) } else { String::new() };
        lines.0 += &format!("Answer's body, {} bytes{cut}:\n", body.len());
        let shown: String =
            String::from_utf8_lossy(&body).chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        lines.0 += shown.trim_end();
        lines.0.push('\n');
    }
    lines.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CallAttempt, CallSummary};

    #[test]
    fn a_call_is_told_in_lines_and_nothing_in_it_steers_the_terminal() {
        let summary = CallSummary {
            id: "018f".into(),
            function: "echo.openfaas-fn".into(),
            method: "POST".into(),
            path: "/a?token=…".into(),
            state: "dead".into(),
            accepted: "2026-01-02T03:04:05.678Z".into(),
            tries: 2,
            max_tries: Some(10),
            last_status: Some(500),
            reason: Some("answered 400\u{1b}[31m".into()),
            ..CallSummary::default()
        };
        let attempt = CallAttempt {
            started: "2026-01-02T03:04:06Z".into(),
            seconds: 0.25,
            status: Some(500),
            ..CallAttempt::default()
        };
        let hidden = ShownHeader { name: "authorization".into(), value: None };
        let answer = CallAnswer {
            status: 500,
            body: Some("no\nway\u{7}".into()),
            bytes: 100,
            cut: true,
            ..CallAnswer::default()
        };
        let call = Call {
            summary,
            headers: vec![hidden],
            request_bytes: Some(5),
            attempts: vec![attempt],
            answer: Some(answer),
        };
        let expected = "\
Id:          018f
Function:    echo.openfaas-fn
State:       dead
Reason:      answered 400 [31m
Request:     POST /a?token=…
Accepted:    2026-01-02T03:04:05Z
Tries:       2 of 10
Last status: 500
Attempts:
  2026-01-02T03:04:06Z  500 in 0.250 s
Headers:
  authorization: (not shown)
Body:        5 bytes, not shown
Answer's body, 7 bytes of 100:
no
way
";
        assert_eq!(text(&call), expected);
    }
}
