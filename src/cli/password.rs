//! `actord password`: the one by which everything can be done.

use clap::Subcommand;
use reqwest::Method;

use super::client::{Client, ClientError, ExitWith, GatewayArgs, Output, eprint_line, print_json, print_line};
use crate::wire::RotatedPassword;

/// `actord password`.
#[derive(Debug, Subcommand)]
pub enum PasswordVerb {
    /// Make another password and print it; the old one is refused from now on, without a restart
    #[command(after_help = "\
Example:
  actord password rotate | faas-cli login --password-stdin

It is also put where the old one was, on the gateway's machine: <data-dir>/auth/basic-auth-password, which only root can
read. Tokens stay as they are.")]
    Rotate(Box<GatewayArgs>),
}

impl PasswordVerb {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        let Self::Rotate(gateway) = self;
        let client = Client::new(gateway, None)?;
        let request = client.request(Method::POST, &["system", "password", "rotate"], &[]);
        let made: RotatedPassword = client.json(request).await?;
        match gateway.output {
            Output::Json => print_json(&made)?,
            Output::Table => {
                print_line(&made.password)?;
                eprint_line(&format!(
                    "the password of {} is another now: programs that use it have to be told, as by `faas-cli login`",
                    made.user
                ));
            }
        }
        Ok(ExitWith::Done)
    }
}
