//! `actord calls ls`: calls, one a line.

use clap::Args;

use super::super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, Table, eprint_line, function_id, print_json,
};
use crate::wire::{CallPage, CallSummary};

/// So many a request.
const PAGE: usize = 1000;

/// `actord calls ls`.
#[derive(Debug, Args)]
pub struct CallsLsArgs {
    /// Calls of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "function"])]
    pub all_namespaces: bool,

    /// Calls of this function, NAME or NAME.NAMESPACE
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,

    /// Calls in this state: waiting, running, retrying, callback, done, dead or cancelled
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,

    /// Calls that were accepted at this time or later, or so long ago at most, such as 1h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// So many at most
    #[arg(long, value_name = "N", default_value = "100")]
    pub limit: usize,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl CallsLsArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let function = self.function.as_deref().map(|name| function_id(name, &self.namespace)).transpose()?;
        let namespaces = match (&function, self.all_namespaces) {
            (Some(function), _) => vec![function.namespace.to_string()],
            (None, true) => client.get::<Vec<String>>(&["system", "namespaces"], &[]).await?,
            (None, false) => vec![self.namespace.or_default().to_string()],
        };
        let name = function.map(|function| function.name.to_string()).unwrap_or_default();
        let mut calls = Vec::new();
        for namespace in &namespaces {
            calls.extend(self.list(&client, namespace, &name).await?);
        }
        calls.sort_by(|a, b| b.accepted.cmp(&a.accepted));
        calls.truncate(self.limit);
        if self.gateway.output == Output::Json {
            print_json(&calls)?;
        } else if calls.is_empty() {
            eprint_line(&format!("no such calls in {}", namespaces.join(", ")));
        } else {
            table(&calls).print()?;
        }
        Ok(ExitWith::Done)
    }

    async fn list(&self, client: &Client, namespace: &str, function: &str) -> Result<Vec<CallSummary>, ClientError> {
        let mut calls = Vec::new();
        let mut after = String::new();
        loop {
            let limit = (self.limit - calls.len().min(self.limit)).clamp(1, PAGE).to_string();
            let mut query = vec![("namespace", namespace), ("limit", &limit)];
            let optional = [
                ("function", function),
                ("state", self.state.as_deref().unwrap_or_default()),
                ("since", self.since.as_deref().unwrap_or_default()),
                ("after", &after),
            ];
            query.extend(optional.into_iter().filter(|(_, value)| !value.is_empty()));
            let page: CallPage = client.get(&["system", "calls"], &query).await?;
            calls.extend(page.calls);
            match page.next.filter(|_| calls.len() < self.limit) {
                Some(next) => after = next,
                None => return Ok(calls),
            }
        }
    }
}

fn table(calls: &[CallSummary]) -> Table {
    let mut table = Table::new(&["ID", "FUNCTION", "STATE", "TRIES", "STATUS", "ACCEPTED", "NEXT TRY", "REASON"]);
    for call in calls {
        let status = call.last_status.map(|status| status.to_string()).unwrap_or_default();
        table.row([
            call.id.clone(),
            call.function.clone(),
            call.state.clone(),
            tries(call),
            status,
            in_seconds(&call.accepted),
            in_seconds(call.next_try.as_deref().unwrap_or_default()),
            call.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// How often it was tried, and how often it is at most: `2/10`.
fn tries(call: &CallSummary) -> String {
    call.max_tries.map_or_else(|| call.tries.to_string(), |most| format!("{}/{most}", call.tries))
}

/// A time without what is behind its seconds: a table is for people.
pub(super) fn in_seconds(time: &str) -> String {
    match (time.split_once('.'), time.ends_with('Z')) {
        (Some((seconds, _)), true) => format!("{seconds}Z"),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_seconds() {
        for (time, shown) in [
            ("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("", ""),
        ] {
            assert_eq!(in_seconds(time), shown);
        }
    }
}
