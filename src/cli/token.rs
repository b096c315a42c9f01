//! `actord token`: credentials that may do less than the password, one for each program that needs some.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::client::{Client, ClientError, ExitWith, GatewayArgs, Output, Table, eprint_line, print_json, print_line};
use crate::credentials::{Scope, lifetime};
use crate::function::Namespace;
use crate::wire::{CreateTokenRequest, ListedToken, MadeToken};

const PATH: [&str; 2] = ["system", "tokens"];

/// `actord token`.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token and print it, this once
    #[command(after_help = "\
Example:
  actord token create --namespace staging --write --description 'CI of the shop'
  actord token create --namespace shop --namespace staging --invoke --expires 12h
  actord token create --all-namespaces --read --expires never > token.txt

It is sent as `Authorization: Bearer TOKEN`, or as the password of the user `token`, so also by
`faas-cli login --username token --password-stdin < token.txt`.")]
    Create(Box<TokenCreateArgs>),
    /// List tokens: what each may do, and until when. Their texts are kept nowhere
    #[command(visible_alias = "list", after_help = "Example:\n  actord token ls")]
    Ls(Box<GatewayArgs>),
    /// Let tokens hold no longer, from now on
    #[command(visible_alias = "rm", after_help = "Example:\n  actord token revoke t-1a2b3c4d")]
    Revoke(Box<TokenRevokeArgs>),
    /// Give a token another text, for as long again, and print it; the old one is refused from now on
    #[command(after_help = "Example:\n  actord token rotate t-1a2b3c4d > token.txt")]
    Rotate(Box<TokenRotateArgs>),
}

/// `actord token create`.
#[derive(Debug, Args)]
pub struct TokenCreateArgs {
    /// Namespace that it holds in. Repeatable
    #[arg(
        short,
        long = "namespace",
        value_name = "NAMESPACE",
        required_unless_present = "all_namespaces",
        conflicts_with = "all_namespaces"
    )]
    pub namespaces: Vec<Namespace>,

    /// It holds in every namespace, those to come as well
    #[arg(long)]
    pub all_namespaces: bool,

    /// It may see functions, logs, and the names of secrets
    #[arg(long, required_unless_present_any = ["write", "invoke"])]
    pub read: bool,

    /// It may change functions and secrets, and see what --read may
    #[arg(long)]
    pub write: bool,

    /// It may call functions that ask for a token
    #[arg(long)]
    pub invoke: bool,

    /// How long it holds, such as 30d or 12h, or never
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = checked_lifetime)]
    pub expires: String,

    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub description: String,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// `actord token revoke`.
#[derive(Debug, Args)]
pub struct TokenRevokeArgs {
    /// What the tokens are called, as `actord token ls` lists them
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// `actord token rotate`.
#[derive(Debug, Args)]
pub struct TokenRotateArgs {
    /// What the token is called, as `actord token ls` lists it
    #[arg(value_name = "ID")]
    pub id: String,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// What can't be read is told before the gateway is asked.
fn checked_lifetime(text: &str) -> Result<String, String> {
    lifetime(text).map(|_| text.to_owned()).map_err(|invalid| invalid.0)
}

impl TokenVerb {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        match self {
            Self::Create(create) => create.run().await,
            Self::Ls(gateway) => list(gateway).await,
            Self::Revoke(revoke) => revoke.run().await,
            Self::Rotate(rotate) => {
                let client = Client::new(&rotate.gateway, None)?;
                let request = client.request(Method::POST, &["system", "tokens", &rotate.id, "rotate"], &[]);
                show(&client.json(request).await?, &rotate.gateway)
            }
        }
    }
}

impl TokenCreateArgs {
    async fn run(&self) -> Result<ExitWith, ClientError> {
        let flags = [(self.read, Scope::Read), (self.write, Scope::Write), (self.invoke, Scope::Invoke)];
        let scopes = flags.iter().filter(|(asked, _)| *asked).map(|(_, scope)| scope.as_str().to_owned());
        let namespaces = match self.all_namespaces {
            true => vec!["*".to_owned()],
            false => self.namespaces.iter().map(ToString::to_string).collect(),
        };
        let body = CreateTokenRequest {
            namespaces,
            scopes: scopes.collect(),
            expires: self.expires.clone(),
            description: self.description.clone(),
        };
        let client = Client::new(&self.gateway, None)?;
        show(&client.json(client.request(Method::POST, &PATH, &[]).json(&body)).await?, &self.gateway)
    }
}

/// The text alone goes to standard output, so that it can be sent into a file.
fn show(made: &MadeToken, gateway: &GatewayArgs) -> Result<ExitWith, ClientError> {
    if gateway.output == Output::Json {
        print_json(made)?;
        return Ok(ExitWith::Done);
    }
    print_line(&made.token)?;
    let ListedToken { id, namespaces, scopes, expires_at, .. } = &made.about;
    let until = expires_at.as_ref().map_or_else(|| "never expires".to_owned(), |end| format!("expires at {end}"));
    let (may, namespaces) = (scopes.join(", "), namespaces.join(", "));
    eprint_line(&format!("token {id} ({may} in {namespaces}) {until}. It is shown this once: keep it now"));
    Ok(ExitWith::Done)
}

async fn list(gateway: &GatewayArgs) -> Result<ExitWith, ClientError> {
    let tokens: Vec<ListedToken> = Client::new(gateway, None)?.get(&PATH, &[]).await?;
    if gateway.output == Output::Json {
        print_json(&tokens)?;
    } else if tokens.is_empty() {
        eprint_line("no tokens: `actord token create` makes one");
    } else {
        let mut table = Table::new(&["ID", "NAMESPACES", "SCOPES", "EXPIRES", "DESCRIPTION"]);
        for token in tokens {
            let expires = match (token.expired, token.expires_at) {
                (true, _) => "expired".to_owned(),
                (false, Some(end)) => end,
                (false, None) => "never".to_owned(),
            };
            table.row([token.id, token.namespaces.join(","), token.scopes.join(","), expires, token.description]);
        }
        table.print()?;
    }
    Ok(ExitWith::Done)
}

impl TokenRevokeArgs {
    async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let (mut revoked, mut exit) = (Vec::new(), ExitWith::Done);
        for id in &self.ids {
            match client.ask(Method::DELETE, &["system", "tokens", id], &[]).await {
                Ok(()) if self.gateway.output == Output::Json => revoked.push(id),
                Ok(()) => print_line(&format!("token {id} revoked"))?,
                Err(error) if error.exit() == ExitWith::Unreachable => return Err(error),
                Err(error) => {
                    eprint_line(&format!("actord: {error}"));
                    exit = error.exit();
                }
            }
        }
        if self.gateway.output == Output::Json {
            print_json(&json!({ "revoked": revoked }))?;
        }
        Ok(exit)
    }
}
