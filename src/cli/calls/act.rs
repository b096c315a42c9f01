//! `actord calls retry` and `actord calls cancel`: what is done to calls that are named.

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::super::client::{Client, ClientError, ExitWith, GatewayArgs, Output, eprint_line, print_json, print_line};

/// `actord calls retry`.
#[derive(Debug, Args)]
pub struct CallsRetryArgs {
    /// The calls' ids: actord's own, or their callers'
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,

    /// Call the function again, too, where only the callback failed
    #[arg(long)]
    pub call: bool,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// `actord calls cancel`.
#[derive(Debug, Args)]
pub struct CallsCancelArgs {
    /// The calls' ids: actord's own, or their callers'
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl CallsRetryArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let query: &[(&str, &str)] = if self.call { &[("call", "true")] } else { &[] };
        each(&self.ids, &self.gateway, Method::POST, Some("retry"), query, ("retried", "waits for its next try")).await
    }
}

impl CallsCancelArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        each(&self.ids, &self.gateway, Method::DELETE, None, &[], ("cancelled", "cancelled")).await
    }
}

/// Asks the same for each call. One that can't be had stops none of the others.
async fn each(
    ids: &[String],
    gateway: &GatewayArgs,
    method: Method,
    below: Option<&str>,
    query: &[(&str, &str)],
    (key, words): (&str, &str),
) -> Result<ExitWith, ClientError> {
    let client = Client::new(gateway, None)?;
    let (mut done, mut exit) = (Vec::new(), ExitWith::Done);
    for id in ids {
        let path: Vec<&str> = ["system", "call", id].into_iter().chain(below).collect();
        match client.ask(method.clone(), &path, query).await {
            Ok(()) if gateway.output == Output::Json => done.push(id),
            Ok(()) => print_line(&format!("call {id} {words}"))?,
            Err(error) if error.exit() == ExitWith::Unreachable => return Err(error),
            Err(error) => {
                eprint_line(&format!("actord: {error}"));
                exit = error.exit();
            }
        }
    }
    if gateway.output == Output::Json {
        print_json(&json!({ key: done }))?;
    }
    Ok(exit)
}
