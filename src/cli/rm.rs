//! `actord rm`: functions, gone.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, eprint_line, function_id, gateway_of, print_json,
    print_line, variable,
};
use super::describe::missing;
use crate::function::FunctionId;
use crate::stack::{self, StackFiles};

/// `actord rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Names of the functions, or NAME.NAMESPACE
    #[arg(value_name = "NAME", required_unless_present = "files", conflicts_with = "files")]
    pub names: Vec<String>,

    /// Stack file, directory with stack files, or -: all functions in it; those that are gone already are no error
    #[arg(short, long = "file", value_name = "FILE|DIR|-")]
    pub files: Vec<PathBuf>,

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
        let mut ids =
            self.names.iter().map(|name| function_id(name, &self.namespace)).collect::<Result<Vec<_>, _>>()?;
        let StackFiles { functions, gateways } = stack::read_stack_files(&self.files, &variable)?;
        ids.extend(functions.into_keys().map(|id| self.namespace.of(id)));
        let client = Client::new(&self.gateway, gateway_of(&gateways, &self.gateway)?)?;
        let (mut removed, mut exit) = (Vec::new(), ExitWith::Done);
        for id in ids {
            match remove(&client, &id).await {
                Ok(()) if self.gateway.output == Output::Json => removed.push(id.to_string()),
                Ok(()) => print_line(&format!("{id} removed"))?,
                Err(error) if error.is_not_found() && !self.files.is_empty() => {
                    eprint_line(&format!("{id} was not there"));
                }
                Err(error) if error.exit() == ExitWith::Unreachable => return Err(error),
                Err(error) => {
                    eprint_line(&format!("actord: {id}: {error}"));
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
