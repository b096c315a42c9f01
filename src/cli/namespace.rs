//! `actord namespace`: where functions live.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, Output, Table, parse_pair, print, print_json, print_line,
};
use crate::function::Namespace;
use crate::wire::FunctionNamespace;

/// The label that makes a namespace one for functions.
const OURS: [&str; 2] = ["openfaas", "1"];

/// `actord namespace`.
#[derive(Debug, Subcommand)]
pub enum NamespaceVerb {
    /// List namespaces
    #[command(visible_alias = "list", after_help = "Example:\n  actord namespace ls")]
    Ls(Box<GatewayArgs>),
    /// Show a namespace with its labels and annotations
    #[command(visible_alias = "describe", after_help = "Example:\n  actord namespace get staging --output json")]
    Get(Box<NamespaceNameArgs>),
    /// Make a namespace
    #[command(after_help = "Example:\n  actord namespace create staging --label team=web")]
    Create(Box<NamespaceSetArgs>),
    /// Give a namespace other labels and annotations; those that are not named go
    #[command(after_help = "Example:\n  actord namespace update staging --label team=shop")]
    Update(Box<NamespaceSetArgs>),
    /// Remove a namespace without functions
    #[command(visible_alias = "remove", after_help = "Example:\n  actord namespace rm staging")]
    Rm(Box<NamespaceNameArgs>),
}

/// Which namespace.
#[derive(Debug, Args)]
pub struct NamespaceNameArgs {
    /// Name of the namespace
    #[arg(value_name = "NAME")]
    pub name: Namespace,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// Which namespace, and what is written on it.
#[derive(Debug, Args)]
pub struct NamespaceSetArgs {
    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub which: NamespaceNameArgs,

    /// Label. Repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub labels: Vec<(String, String)>,

    /// Annotation. Repeatable
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub annotations: Vec<(String, String)>,
}

impl NamespaceVerb {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        match self {
            Self::Ls(gateway) => list(gateway).await,
            Self::Get(which) => which.show().await,
            Self::Create(set) => set.send(Method::POST, &["system", "namespace", ""], "created").await,
            Self::Update(set) => {
                set.send(Method::PUT, &["system", "namespace", set.which.name.as_str()], "updated").await
            }
            Self::Rm(which) => {
                let labels = BTreeMap::from([OURS.map(str::to_owned).into()]);
                let body = FunctionNamespace { name: which.name.to_string(), labels, ..FunctionNamespace::default() };
                let client = Client::new(&which.gateway, None)?;
                let path = ["system", "namespace", which.name.as_str()];
                client.send(Method::DELETE, &path, &body).await.map_err(|error| which.explained(error))?;
                which.done("removed")
            }
        }
    }
}

async fn list(gateway: &GatewayArgs) -> Result<ExitWith, ClientError> {
    let names: Vec<String> = Client::new(gateway, None)?.get(&["system", "namespaces"], &[]).await?;
    match gateway.output {
        Output::Json => print_json(&names)?,
        Output::Table => {
            let mut table = Table::new(&["NAME"]);
            names.into_iter().for_each(|name| table.row([name]));
            table.print()?;
        }
    }
    Ok(ExitWith::Done)
}

impl NamespaceNameArgs {
    async fn show(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let namespace: Value = client
            .get(&["system", "namespace", self.name.as_str()], &[])
            .await
            .map_err(|error| self.explained(error))?;
        match self.gateway.output {
            Output::Json => print_json(&namespace)?,
            Output::Table => print(text(&namespace).as_bytes())?,
        }
        Ok(ExitWith::Done)
    }

    fn explained(&self, error: ClientError) -> ClientError {
        match error.is_not_found() {
            true => ClientError::Answer {
                status: 404,
                text: format!("there is no namespace {}: `actord namespace ls` lists those that are there", self.name),
            },
            false => error,
        }
    }

    fn done(&self, what: &str) -> Result<ExitWith, ClientError> {
        match self.gateway.output {
            Output::Json => print_json(&json!({ "name": self.name, "result": what }))?,
            Output::Table => print_line(&format!("namespace {} {what}", self.name))?,
        }
        Ok(ExitWith::Done)
    }
}

impl NamespaceSetArgs {
    async fn send(&self, method: Method, path: &[&str], what: &str) -> Result<ExitWith, ClientError> {
        let pairs = |pairs: &[(String, String)]| pairs.iter().cloned().collect::<BTreeMap<String, String>>();
        let mut labels = pairs(&self.labels);
        labels.extend([OURS.map(str::to_owned).into()]);
        // A wire type would leave out annotations that are empty; sent as {}, they tell any gateway to take the old ones off.
        let body = json!({ "name": self.which.name, "labels": labels, "annotations": pairs(&self.annotations) });
        let client = Client::new(&self.which.gateway, None)?;
        client.send(method, path, &body).await.map_err(|error| self.which.explained(error))?;
        self.which.done(what)
    }
}

fn text(namespace: &Value) -> String {
    let mut text = format!("Name: {}\n", namespace["name"].as_str().unwrap_or_default().escape_debug());
    for (title, key) in [("Labels", "labels"), ("Annotations", "annotations")] {
        let Some(pairs) = namespace[key].as_object().filter(|pairs| !pairs.is_empty()) else { continue };
        text += &format!("{title}:\n");
        for (name, value) in pairs {
            text += &format!("  {}={}\n", name.escape_debug(), value.as_str().unwrap_or_default().escape_debug());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_annotations_are_shown_one_a_line() {
        let namespace = json!({"name": "dev", "labels": {"openfaas": "1", "a": "b\nc"}, "annotations": {}});
        assert_eq!(text(&namespace), "Name: dev\nLabels:\n  a=b\\nc\n  openfaas=1\n");
    }
}
