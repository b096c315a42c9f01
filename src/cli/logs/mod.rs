//! `actord logs`: what a function writes, as it is or as it comes.
//!
//! A follow that breaks off is taken up again where it was: from the time of the last line, without the lines that were
//! shown already.

mod seen;

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use reqwest::{Method, Response};
use tokio::time::sleep;

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, eprint_line, function_id, print,
};
use super::describe::missing;
use crate::config::parse_duration;
use crate::function::FunctionId;
use crate::wire::LogMessage;
use seen::Seen;

/// Waits before a follow that broke off is taken up again.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_LONGEST: Duration = Duration::from_secs(5);

/// `actord logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Name of the function, or NAME.NAMESPACE
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Go on with what is written from now on, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,

    /// Only so many of the last lines [default: all that are kept]
    #[arg(long, value_name = "N")]
    pub tail: Option<u32>,

    /// Only lines since then: an RFC 3339 time, or how long ago (10m, 1h)
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Timestamp>,

    /// Only lines of this instance
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

fn parse_since(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let ago = parse_duration(text).map_err(|_| "expected an RFC 3339 time, or a time ago such as 10m".to_owned())?;
    Timestamp::now().checked_sub(ago).map_err(|_| "that was before all time".to_owned())
}

fn may_heal(error: &ClientError) -> bool {
    matches!(error.exit(), ExitWith::Unreachable | ExitWith::Unable)
}

/// To some gateways a function that is not there has no logs, as one that says nothing.
async fn exists(client: &Client, id: &FunctionId) -> Result<(), ClientError> {
    let path = ["system", "function", id.name.as_str()];
    let query = [("namespace", id.namespace.as_str())];
    client.success(client.request(Method::GET, &path, &query)).await.map(drop).map_err(|error| missing(error, id))
}

impl LogsArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let id = function_id(&self.name, &self.namespace)?;
        let mut seen = Seen::default();
        let mut wait = AGAIN_FIRST;
        loop {
            let before = seen.count();
            match self.stream(&client, &id, &mut seen).await {
                Ok(()) if !self.follow && seen.count() > 0 => return Ok(ExitWith::Done),
                Ok(()) => match exists(&client, &id).await {
                    Err(error) if error.is_not_found() && seen.count() == 0 => return Err(error),
                    Err(error) if error.is_not_found() => {
                        eprint_line(&format!("{id} is gone"));
                        return Ok(ExitWith::Done);
                    }
                    _ if !self.follow => return Ok(ExitWith::Done),
                    _ => {}
                },
                Err(error) if error.is_not_found() && !seen.has_begun() => return Err(missing(error, &id)),
                Err(error) if error.is_not_found() => {
                    eprint_line(&format!("{id} is gone"));
                    return Ok(ExitWith::Done);
                }
                Err(error) if self.follow && seen.has_begun() && may_heal(&error) => {
                    eprint_line(&format!("actord: {error}; trying again"));
                }
                Err(error) => return Err(error),
            }
            wait = if seen.count() > before { AGAIN_FIRST } else { (wait * 2).min(AGAIN_LONGEST) };
            sleep(wait).await;
        }
    }

    /// One request, and all lines of its answer.
    async fn stream(&self, client: &Client, id: &FunctionId, seen: &mut Seen) -> Result<(), ClientError> {
        let answer = self.ask(client, id, seen).await?;
        self.show(client, answer, seen).await
    }

    async fn ask(&self, client: &Client, id: &FunctionId, seen: &Seen) -> Result<Response, ClientError> {
        // A gateway that is told neither shows the last few minutes alone.
        let begin = self.since.or_else(|| self.tail.is_none().then_some(Timestamp::UNIX_EPOCH));
        let since = seen.last().map(str::to_owned).or_else(|| begin.map(|time| time.to_string()));
        // What comes after a break is wanted whole.
        let tail = self.tail.filter(|_| seen.last().is_none()).map_or_else(|| "-1".to_owned(), |tail| tail.to_string());
        let mut query = vec![("name", id.name.as_str()), ("namespace", id.namespace.as_str())];
        query.push(("follow", if self.follow { "true" } else { "false" }));
        query.push(("tail", &tail));
        query.extend(since.as_deref().map(|since| ("since", since)));
        query.extend(self.instance.as_deref().map(|instance| ("instance", instance)));
        client.success(client.request(Method::GET, &["system", "logs"], &query)).await
    }

    /// Prints each line as it comes, until the stream ends.
    async fn show(&self, client: &Client, mut answer: Response, seen: &mut Seen) -> Result<(), ClientError> {
        seen.resume();
        let mut pending = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| client.broken(&error))? {
            pending.extend_from_slice(&chunk);
            let Some(end) = pending.iter().rposition(|byte| *byte == b'\n') else { continue };
            let rest = pending.split_off(end + 1);
            let mut out = Vec::new();
            for line in pending.split_inclusive(|byte| *byte == b'\n') {
                self.write(line, seen, &mut out)?;
            }
            print(&out)?;
            pending = rest;
        }
        Ok(())
    }

    fn write(&self, json: &[u8], seen: &mut Seen, out: &mut Vec<u8>) -> Result<(), ClientError> {
        if json.trim_ascii().is_empty() {
            return Ok(());
        }
        let line: LogMessage<'_> = serde_json::from_slice(json).map_err(|error| {
            ClientError::Unreachable(format!("the gateway sent something else than a log line: {error}"))
        })?;
        if !seen.is_new(&line.timestamp, &line.instance, &line.text) {
            return Ok(());
        }
        match self.gateway.output {
            Output::Json => out.extend_from_slice(json),
            Output::Table => {
                let LogMessage { name, instance, timestamp, text, .. } = line;
                let text = text.trim_end_matches('\n');
                out.extend_from_slice(format!("{timestamp} {name} ({instance}) {text}\n").as_bytes());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_a_while_ago() {
        assert_eq!(parse_since("2026-01-02T03:04:05Z").unwrap().to_string(), "2026-01-02T03:04:05Z");
        let since = parse_since("10m").unwrap();
        let ago = Timestamp::now().duration_since(since);
        assert!((600..660).contains(&ago.as_secs()), "{ago:?}");
        assert!(parse_since("yesterday").unwrap_err().contains("RFC 3339"));
    }
}
