//! `actord stop` and `actord start`: whether a function is kept down, whatever is called.

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, function_id, print_json, print_line,
};
use super::describe::missing;

/// `actord stop` and `actord start`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Name of the function, or NAME.NAMESPACE
    #[arg(value_name = "NAME")]
    pub name: String,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl StopArgs {
    pub(super) async fn stop(&self) -> Result<ExitWith, ClientError> {
        self.keep_down(true).await
    }

    pub(super) async fn start(&self) -> Result<ExitWith, ClientError> {
        self.keep_down(false).await
    }

    async fn keep_down(&self, down: bool) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let id = function_id(&self.name, &self.namespace)?;
        let path = ["system", "function", id.name.as_str(), if down { "stop" } else { "start" }];
        let query = [("namespace", id.namespace.as_str())];
        client.ask(Method::POST, &path, &query).await.map_err(|error| missing(error, &id))?;
        match self.gateway.output {
            Output::Json => print_json(&json!({ "function": id.to_string(), "keptDown": down }))?,
            Output::Table if down => print_line(&format!("{id} is stopped: `actord start {id}` ends that"))?,
            Output::Table => print_line(&format!("{id} is started: it has as many instances as were asked for last"))?,
        }
        Ok(ExitWith::Done)
    }
}
