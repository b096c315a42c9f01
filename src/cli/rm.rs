//! `actord rm`: functions, gone.

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, function_id, print_json, print_line, say,
};
use super::describe::missing;
use crate::function::FunctionId;

/// `actord rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Names of the functions, or NAME.NAMESPACE
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl RmArgs {
    /// One that can't be removed keeps none of the others.
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let ids = self.names.iter().map(|name| function_id(name, &self.namespace)).collect::<Result<Vec<_>, _>>()?;
        let client = Client::new(&self.gateway, None)?;
        let (mut removed, mut exit) = (Vec::new(), ExitWith::Done);
        for id in ids {
            match remove(&client, &id).await {
                Ok(()) if self.gateway.output == Output::Json => removed.push(id.to_string()),
                Ok(()) => print_line(&format!("{id} removed"))?,
                Err(error) if error.exit() == ExitWith::Unreachable => return Err(error),
                Err(error) => {
                    say(&format!("actord: {id}: {error}"));
                    exit = error.exit();
                }
            }
        }
        if self.gateway.output == Output::Json {
            print_json(&json!({ "removed": removed }))?;
        }
        Ok(exit)
    }
}

/// Removes one function. Its name is free when this returns.
pub(super) async fn remove(client: &Client, id: &FunctionId) -> Result<(), ClientError> {
    let body = json!({ "functionName": id.name, "namespace": id.namespace });
    client.send(Method::DELETE, &["system", "functions"], &body).await.map_err(|error| missing(error, id))
}
