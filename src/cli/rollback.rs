//! `actord rollback`: what a function was before comes back, and is waited for as a deployment is.

use std::cell::RefCell;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::apply::{Patience, Poll, Progress, Verdict, watched};
use super::client::{
    Client, ClientError, ExitWith, GatewayArgs, NamespaceArg, Output, Shown, eprint_line, function_id, print_json,
    print_line,
};
use super::describe::missing;
use crate::config::parse_duration;
use crate::function::FunctionId;
use crate::wire::{FunctionStatus, RollbackRequest};

/// `actord rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Name of the function, or NAME.NAMESPACE
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The generation to go back to, of those that `actord describe` lists [default: the one before]
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,

    /// How long to wait until the function is ready
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub namespace: NamespaceArg,

    #[allow(missing_docs, reason = "it says so itself")]
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

impl RollbackArgs {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let client = Client::new(&self.gateway, None)?;
        let id = function_id(&self.name, &self.namespace)?;
        let progress = RefCell::new(Progress::new(self.gateway.output == Output::Table));
        let verdict = tokio::select! {
            verdict = self.roll_back(&client, &id, &progress) => Some(verdict),
            _ = tokio::signal::ctrl_c() => None,
        };
        progress.into_inner().end();
        let (exit, reason) = match verdict.transpose()? {
            Some(Verdict::Done) => (ExitWith::Done, String::new()),
            Some(Verdict::KeptDown(reason)) => (ExitWith::Done, reason),
            Some(Verdict::Failed(reason) | Verdict::NotReady(reason)) => (ExitWith::Failed, reason),
            Some(Verdict::NotAsked) | None => {
                (ExitWith::Interrupted, format!("interrupted: it goes on, `actord describe {id}` shows it"))
            }
        };
        self.tell(&id, &now(&client, &id).await?, exit, &reason)?;
        Ok(exit)
    }

    /// Asks for it, and waits until the function is ready or will not be.
    async fn roll_back(
        &self,
        client: &Client,
        id: &FunctionId,
        progress: &RefCell<Progress>,
    ) -> Result<Verdict, ClientError> {
        let body = RollbackRequest { generation: self.to, namespace: id.namespace.to_string() };
        let path = ["system", "function", id.name.as_str(), "rollback"];
        let poll = Poll::new(client, std::iter::once(id.clone()));
        let done = async {
            client.send(Method::POST, &path, &body).await.map_err(|error| missing(error, id))?;
            Ok(poll.settled(id).await)
        };
        progress.borrow_mut().begin(1);
        progress.borrow_mut().sent(id);
        tokio::select! {
            verdict = watched(id, done, &poll, progress, Patience::of(self.timeout)) => verdict,
            never = poll.run() => match never {},
        }
    }

    fn tell(&self, id: &FunctionId, now: &FunctionStatus, exit: ExitWith, reason: &str) -> Result<(), ClientError> {
        let generation = now.lifecycle.as_ref().map(|lifecycle| lifecycle.generation);
        let number = generation.map(|number| format!(", as generation {number}")).unwrap_or_default();
        let reason_too = if reason.is_empty() { String::new() } else { format!("; {reason}") };
        match self.gateway.output {
            Output::Json => print_json(&json!({
                "function": id.to_string(),
                "generation": generation,
                "image": now.image,
                "ready": exit == ExitWith::Done && reason.is_empty(),
                "reason": reason,
            })),
            Output::Table if exit == ExitWith::Done => {
                print_line(&format!("{id} is rolled back to {}{number}{reason_too}", now.image))
            }
            Output::Table => {
                eprint_line(&format!("actord: {id} is not rolled back: {reason}"));
                Ok(())
            }
        }
    }
}

async fn now(client: &Client, id: &FunctionId) -> Result<FunctionStatus, ClientError> {
    let query = [("namespace", id.namespace.as_str())];
    let path = ["system", "function", id.name.as_str()];
    let json: Value = client.get(&path, &query).await.map_err(|error| missing(error, id))?;
    Ok(Shown::try_from(json)?.function)
}
