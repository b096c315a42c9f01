//! `actord ls`: functions, one a line.

use clap::Args;
use serde_json::Value;

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, Shown, Table, eprint_line, print_json,
};
use super::standing;

/// `actord ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Functions of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl LsArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let namespaces = match self.all_namespaces {
            true => client.get::<Vec<String>>(&["system", "namespaces"], &[]).await?,
            false => vec![self.namespace.or_default().to_string()],
        };
        let mut functions = Vec::new();
        for namespace in &namespaces {
            functions.extend(list(&client, namespace).await?);
        }
        if self.gateway.output == Output::Json {
            print_json(&functions.into_iter().map(|shown| shown.json).collect::<Vec<_>>())?;
        } else if functions.is_empty() {
            eprint_line(&format!("no functions in {}", namespaces.join(", ")));
        } else {
            self.table(&functions).print()?;
        }
        Ok(ExitWith::Done)
    }

    fn table(&self, functions: &[Shown]) -> Table {
        let namespace: &[&str] = if self.all_namespaces { &["NAMESPACE"] } else { &[] };
        let head = [namespace, &["NAME", "READY", "STATE", "INVOCATIONS", "IMAGE"]].concat();
        let mut table = Table::new(&head);
        for Shown { function, .. } in functions {
            let namespace = self.all_namespaces.then(|| function.namespace.clone());
            let state = standing::in_short(function);
            let invocations = format!("{}", function.invocation_count);
            let cells = [function.name.clone(), function.ready(), state, invocations, function.image.clone()];
            table.row(namespace.into_iter().chain(cells));
        }
        table
    }
}

/// The functions of a namespace, by name.
pub(super) async fn list(client: &Client, namespace: &str) -> Result<Vec<Shown>, ClientError> {
    let listed: Option<Vec<Value>> = client.get(&["system", "functions"], &[("namespace", namespace)]).await?;
    let mut functions =
        listed.unwrap_or_default().into_iter().map(Shown::try_from).collect::<Result<Vec<Shown>, _>>()?;
    functions.sort_by(|a, b| a.function.name.cmp(&b.function.name));
    Ok(functions)
}
