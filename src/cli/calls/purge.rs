//! `actord calls purge`: removes calls that have ended.

use clap::{Args, ValueEnum};
use reqwest::Method;

use super::super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, function_id, print_json, print_line,
};
use crate::wire::PurgedCalls;

/// What the calls are that go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purged {
    /// Dead letters.
    Dead,
    /// Calls that were done.
    Done,
    /// Calls that were cancelled.
    Cancelled,
}

/// `actord calls purge`.
#[derive(Debug, Args)]
pub struct CallsPurgeArgs {
    /// What the calls are that go
    #[arg(long, value_enum, value_name = "STATE")]
    pub state: Purged,

    /// Calls of this function, NAME or NAME.NAMESPACE
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,

    /// Calls that ended before this time, or so long ago, such as 24h
    #[arg(long, value_name = "TIME")]
    pub before: Option<String>,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl CallsPurgeArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let function = self.function.as_deref().map(|name| function_id(name, &self.namespace)).transpose()?;
        let namespace = function.as_ref().map_or_else(|| self.namespace.or_default(), |it| it.namespace.clone());
        let state = match self.state {
            Purged::Dead => "dead",
            Purged::Done => "done",
            Purged::Cancelled => "cancelled",
        };
        let mut query = vec![("state", state), ("namespace", namespace.as_str())];
        query.extend(function.as_ref().map(|function| ("function", function.name.as_str())));
        query.extend(self.before.as_deref().map(|before| ("before", before)));
        let purged: PurgedCalls = client.json(client.request(Method::DELETE, &["system", "calls"], &query)).await?;
        match self.gateway.output {
            Output::Json => print_json(&purged)?,
            Output::Table => print_line(&format!("{} calls removed", purged.purged))?,
        }
        Ok(ExitWith::Done)
    }
}
