//! `actord secret`: values that functions read from files, and that no client can read back.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, Table, eprint_line, print_json, print_line,
};
use crate::function::SecretName;
use crate::wire::{DeleteSecretRequest, Secret};

const PATH: [&str; 2] = ["system", "secrets"];

/// `actord secret`.
#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// List secrets by name; values are never shown
    #[command(visible_alias = "list", after_help = "Example:\n  actord secret ls -n staging")]
    Ls(Box<SecretListArgs>),
    /// Make a secret that is not there yet
    #[command(after_help = "\
Example:
  actord secret create db-password < password.txt
  actord secret create tls-key --from-file key.pem --replace

From standard input the line end at its end is taken off; a file is taken as it is.")]
    Create(Box<SecretCreateArgs>),
    /// Give a secret that is there another value; functions that run see it without a restart
    #[command(after_help = "Example:\n  actord secret update db-password < password.txt")]
    Update(Box<SecretUpdateArgs>),
    /// Remove secrets
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  actord secret rm db-password\n\nOne that functions use is kept, unless by force."
    )]
    Rm(Box<SecretRmArgs>),
}

/// `actord secret ls`.
#[derive(Debug, Args)]
pub struct SecretListArgs {
    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// Which secret, and its value.
#[derive(Debug, Args)]
pub struct SecretUpdateArgs {
    /// Name of the secret
    #[arg(value_name = "NAME")]
    pub name: SecretName,

    /// The value itself; others on this machine can see it while this runs
    #[arg(long, value_name = "VALUE")]
    pub from_literal: Option<String>,

    /// File with the value, taken byte for byte [default: standard input]
    #[arg(long, value_name = "FILE", conflicts_with = "from_literal")]
    pub from_file: Option<PathBuf>,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// `actord secret create`.
#[derive(Debug, Args)]
pub struct SecretCreateArgs {
    /// If the secret is there already, give it this value
    #[arg(long)]
    pub replace: bool,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub secret: SecretUpdateArgs,
}

/// `actord secret rm`.
#[derive(Debug, Args)]
pub struct SecretRmArgs {
    /// Names of the secrets
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<SecretName>,

    /// Remove them although functions use them: those can't start any more
    #[arg(long)]
    pub force: bool,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl SecretVerb {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        match self {
            Self::Ls(ls) => ls.run().await,
            Self::Create(create) => create.run().await,
            Self::Update(update) => {
                let (client, body) = (Client::new(&update.gateway, None)?, update.body()?);
                client.send(Method::PUT, &PATH, &body).await.map_err(|error| update.explained(error))?;
                update.done("updated")
            }
            Self::Rm(rm) => rm.run().await,
        }
    }
}

impl SecretListArgs {
    async fn run(&self) -> Result<ExitWith, ClientError> {
        let namespace = self.namespace.or_default();
        let client = Client::new(&self.gateway, None)?;
        let query = [("namespace", namespace.as_str())];
        let mut secrets = client.get::<Option<Vec<Value>>>(&PATH, &query).await?.unwrap_or_default();
        let name = |secret: &Value| secret["name"].as_str().unwrap_or_default().to_owned();
        secrets.sort_by_key(name);
        if self.gateway.output == Output::Json {
            print_json(&secrets)?;
        } else if secrets.is_empty() {
            eprint_line(&format!("no secrets in {namespace}"));
        } else {
            let mut table = Table::new(&["NAME"]);
            secrets.iter().for_each(|secret| table.row([name(secret)]));
            table.print()?;
        }
        Ok(ExitWith::Done)
    }
}

impl SecretCreateArgs {
    async fn run(&self) -> Result<ExitWith, ClientError> {
        let secret = &self.secret;
        let (client, body) = (Client::new(&secret.gateway, None)?, secret.body()?);
        match client.send(Method::POST, &PATH, &body).await {
            Err(ClientError::Answer { status: 409, .. }) if self.replace => {
                client.send(Method::PUT, &PATH, &body).await?;
                secret.done("updated")
            }
            Err(error) => Err(secret.explained(error)),
            Ok(()) => secret.done("created"),
        }
    }
}

impl SecretUpdateArgs {
    /// `rawValue` carries any bytes; `value` is for gateways that know no other.
    fn body(&self) -> Result<Secret, ClientError> {
        let value = self.value()?;
        Ok(Secret {
            name: self.name.to_string(),
            namespace: self.namespace.or_default().to_string(),
            raw_value: STANDARD.encode(&value),
            value: String::from_utf8(value).ok(),
        })
    }

    fn value(&self) -> Result<Vec<u8>, ClientError> {
        if let Some(text) = &self.from_literal {
            return Ok(text.clone().into_bytes());
        }
        if let Some(path) = &self.from_file {
            return std::fs::read(path)
                .map_err(|error| ClientError::Usage(format!("can't read {}: {error}", path.display())));
        }
        let mut value = Vec::new();
        if io::stdin().is_terminal() {
            eprint_line("reading the value from the terminal: end it with Ctrl-D, or give it with --from-file");
        }
        let read = io::stdin().read_to_end(&mut value);
        read.map_err(|error| ClientError::Local(format!("can't read standard input: {error}")))?;
        let line = value.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        Ok(line.map(<[u8]>::to_vec).unwrap_or(value))
    }

    /// Says which of the other verbs is meant.
    fn explained(&self, error: ClientError) -> ClientError {
        let (name, namespace) = (&self.name, self.namespace.or_default());
        match error {
            ClientError::Answer { status: 404, .. } => ClientError::Answer {
                status: 404,
                text: format!("there is no secret {name} in {namespace}: `actord secret create` makes it"),
            },
            ClientError::Answer { status: 409, .. } => ClientError::Answer {
                status: 409,
                text: format!("there is a secret {name} in {namespace} already: --replace gives it this value"),
            },
            error => error,
        }
    }

    fn done(&self, what: &str) -> Result<ExitWith, ClientError> {
        let namespace = self.namespace.or_default();
        match self.gateway.output {
            Output::Json => print_json(&json!({ "name": self.name, "namespace": namespace, "result": what }))?,
            Output::Table => print_line(&format!("secret {} in {namespace} {what}", self.name))?,
        }
        Ok(ExitWith::Done)
    }
}

impl SecretRmArgs {
    async fn run(&self) -> Result<ExitWith, ClientError> {
        let namespace = self.namespace.or_default();
        let client = Client::new(&self.gateway, None)?;
        let (mut removed, mut exit) = (Vec::new(), ExitWith::Done);
        for name in &self.names {
            // The query is for gateways that look nowhere else.
            let body = DeleteSecretRequest { name: name.to_string(), namespace: namespace.to_string() };
            let mut query = vec![("namespace", namespace.as_str())];
            query.extend(self.force.then_some(("force", "true")));
            let request = client.request(Method::DELETE, &PATH, &query).json(&body);
            match client.success(request).await {
                Ok(_) if self.gateway.output == Output::Json => removed.push(name),
                Ok(_) => print_line(&format!("secret {name} in {namespace} removed"))?,
                Err(error) if error.exit() == ExitWith::Unreachable => return Err(error),
                Err(error) => {
                    let missing = format!("there is no secret {name} in {namespace}");
                    eprint_line(&format!("actord: {}", if error.is_not_found() { missing } else { error.to_string() }));
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
