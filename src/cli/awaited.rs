//! `actord invoke --async --wait`: asks for a call until it has ended, and shows its answer as if it had been waited for.

use std::time::Duration;

use reqwest::Response;
use tokio::time::{Instant, sleep};

use super::calls::{body, get};
use super::client::{Client, ClientError, ExitWith, Output, eprint_line, print, print_json};
use crate::wire::Call;

/// The time between two looks, at first and in the end.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(2);

/// Waits for the call that this answer has accepted.
pub(super) async fn show(
    client: &Client,
    accepted: &Response,
    within: Duration,
    output: Output,
) -> Result<ExitWith, ClientError> {
    let id = accepted.headers().get("x-call-id").and_then(|id| id.to_str().ok()).ok_or_else(|| {
        ClientError::Unreachable(format!("{} told no call id: this gateway can't be waited for", client.gateway()))
    })?;
    eprint_line(&format!("accepted, call id {id}"));
    let Some(call) = ended(client, id, within).await? else {
        let line =
            format!("call {id} has not ended within {within:?}: it goes on, `actord calls show {id}` tells more");
        return Err(ClientError::Local(line));
    };
    match output {
        Output::Json => print_json(&call)?,
        Output::Table => {
            if let Some(answer) = &call.answer {
                print(&body(answer))?;
                if answer.cut {
                    eprint_line(&format!("actord: the first part of {} bytes: no more is kept", answer.bytes));
                }
            }
        }
    }
    Ok(told(&call))
}

/// The call, when it has ended; none if it has not in time. An actord that is restarted meanwhile goes on with it.
async fn ended(client: &Client, id: &str, within: Duration) -> Result<Option<Call>, ClientError> {
    let (end, mut pause) = (Instant::now() + within, FIRST);
    loop {
        match get(client, id).await {
            Ok(call) if call.summary.ended.is_some() => return Ok(Some(call)),
            Ok(_) => {}
            Err(ClientError::Answer { status: 503, .. } | ClientError::Unreachable(_)) => {}
            Err(error) => return Err(error),
        }
        if Instant::now() + pause > end {
            return Ok(None);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST);
    }
}

/// What the exit code says of it, and a line where there is no answer of a function to show.
fn told(call: &Call) -> ExitWith {
    let summary = &call.summary;
    let reason = summary.reason.as_deref().unwrap_or_default();
    match summary.state.as_str() {
        "done" => ExitWith::of_status(summary.last_status.unwrap_or(200)),
        "dead" => {
            eprint_line(&format!("actord: call {} failed for good: {reason}", summary.id));
            ExitWith::Unable
        }
        other => {
            eprint_line(&format!("actord: call {} is {other}", summary.id));
            ExitWith::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::CallSummary;

    #[test]
    fn the_exit_code_is_that_of_the_answer_and_a_dead_letter_is_a_5xx() {
        for (state, status, exit) in [
            ("done", Some(200), ExitWith::Done),
            ("done", Some(302), ExitWith::Failed),
            ("dead", Some(400), ExitWith::Unable),
            ("dead", None, ExitWith::Unable),
            ("cancelled", None, ExitWith::Failed),
        ] {
            let summary = CallSummary { state: state.into(), last_status: status, ..CallSummary::default() };
            assert_eq!(told(&Call { summary, ..Call::default() }), exit, "{state} {status:?}");
        }
    }
}
