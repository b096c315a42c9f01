//! `actord scale`: how many instances of a function run.

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, function_id, print_json, print_line,
};
use super::describe::missing;
use crate::wire::ScaleServiceRequest;

/// `actord scale`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// Name of the function, or NAME.NAMESPACE
    #[arg(value_name = "NAME")]
    pub name: String,

    /// How many instances; with 0 the next call starts one
    #[arg(value_name = "N")]
    pub replicas: u32,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl ScaleArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let id = function_id(&self.name, &self.namespace)?;
        let body = ScaleServiceRequest {
            service_name: id.name.to_string(),
            namespace: id.namespace.to_string(),
            replicas: Some(self.replicas.into()),
            ..ScaleServiceRequest::default()
        };
        let path = ["system", "scale-function", id.name.as_str()];
        client.send(Method::POST, &path, &body).await.map_err(|error| missing(error, &id))?;
        match self.gateway.output {
            Output::Json => print_json(&json!({ "function": id.to_string(), "replicas": self.replicas }))?,
            Output::Table => print_line(&format!("{id} is to have {} instances", self.replicas))?,
        }
        Ok(ExitWith::Done)
    }
}
