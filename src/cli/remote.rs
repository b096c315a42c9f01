//! The verbs that ask a gateway, and how one of them is run.

use std::future::Future;
use std::process::ExitCode;

use clap::Subcommand;

use super::apply::ApplyArgs;
use super::calls::CallsVerb;
use super::client::{ClientError, ExitWith, eprint_line};
use super::cron::CronVerb;
use super::describe::DescribeArgs;
use super::events::EventsArgs;
use super::invoke::InvokeArgs;
use super::logs::LogsArgs;
use super::ls::LsArgs;
use super::namespace::NamespaceVerb;
use super::password::PasswordVerb;
use super::rm::RmArgs;
use super::rollback::RollbackArgs;
use super::scale::ScaleArgs;
use super::secret::SecretVerb;
use super::stop::StopArgs;
use super::token::TokenVerb;

/// What can be asked of a gateway over its REST API, this machine's or another's.
///
/// Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 gateway not reachable, 4 refused (4xx), 5 unable (5xx), 130 Ctrl-C.
#[derive(Debug, Subcommand)]
pub enum RemoteVerb {
    /// Deploy the functions of stack files, all at once, and wait until they are ready
    #[command(after_help = "\
Example:
  actord apply -f stack.yaml
  actord apply -f functions/ --set shop --prune --dry-run

Variables in the files (${NAME}, ${NAME:-word}) are filled in from the environment. One function that fails stops none
of the others; the exit code is 0 when all are ready and 1 when one is not. Ctrl-C stops waiting, not the functions.")]
    Apply(Box<ApplyArgs>),
    /// List functions: how many replicas are ready, how often they were called, where they stand
    #[command(
        visible_alias = "list",
        after_help = "\
Example:
  actord ls -A
  actord ls -n staging --output json

STATE says where a function stands, since when, and what comes next: `ready, freezes in 20s`, `frozen 3m, stops in 12m`
(it counts as ready, and the next call thaws it), `idle 2h` (stopped for want of calls; the next one starts it)."
    )]
    Ls(Box<LsArgs>),
    /// Show all about one function
    #[command(after_help = "Example:\n  actord describe hello\n  actord describe hello.staging --output json")]
    Describe(Box<DescribeArgs>),
    /// Remove functions
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  actord rm hello hello.staging\n  actord rm -f stack.yaml"
    )]
    Rm(Box<RmArgs>),
    /// Call a function: standard input is the request, standard output the answer
    #[command(after_help = "\
Example:
  echo hi | actord invoke hello
  actord invoke hello/path --method GET --query a=1 --header 'Accept: text/html'

  actord invoke report --async --wait < orders.csv

The exit code is 0 for a 2xx, 4 for a 4xx and 5 for a 5xx. With --async the call is on the gateway's disk when this
returns, and is tried again where it fails; with --wait its answer is waited for, and is the output.")]
    Invoke(Box<InvokeArgs>),
    /// List, show, retry, cancel and purge asynchronous calls
    #[command(subcommand)]
    Calls(CallsVerb),
    /// List what is called by the clock
    #[command(subcommand)]
    Cron(CronVerb),
    /// Set how many instances of a function run; with 0 the next call starts one
    #[command(after_help = "\
Example:
  actord scale hello 3

It holds through updates, restarts and reboots. A function that is idle is started by 1 or more. One that follows its
load (com.openfaas.scale.max, .type or .target) has N at once, and its load counts again once its scale-down window is
over; `actord describe` says why it has as many as it has.")]
    Scale(Box<ScaleArgs>),
    /// Bring back what a function was before, as an update, and wait until it is ready
    #[command(after_help = "\
Example:
  actord rollback hello
  actord rollback hello --to 3

Without --to it is the generation that served before, or, after an update that failed or is not ready yet, the one that
serves. No request fails meanwhile. Rolled back twice, a function is where it was. `actord describe` lists what is kept.")]
    Rollback(Box<RollbackArgs>),
    /// Keep a function down, whatever is called, until it is started
    #[command(after_help = "\
Example:
  actord stop hello

Requests under way are finished, others are answered with 503. It stays down through restarts and deploys. To let it
rest only until the next call: `actord scale hello 0`.")]
    Stop(Box<StopArgs>),
    /// Let a function run that was stopped, or that is idle
    #[command(after_help = "Example:\n  actord start hello")]
    Start(Box<StopArgs>),
    /// Show what a function writes, each line with its time and its instance
    #[command(after_help = "\
Example:
  actord logs hello --tail 20
  actord logs hello --follow --since 10m --output json

A follow that breaks off, as when actord is restarted, is taken up again where it was.")]
    Logs(Box<LogsArgs>),
    /// Show what becomes of functions, as it happens, until Ctrl-C
    #[command(after_help = "\
Example:
  actord events -A
  actord events --name hello --output json

Deploys, phases, steps of a start, restarts, numbers of replicas and why, refused updates, asynchronous calls that came to
nothing, and what is wrong with the machine. `--output json` has the bytes of pulls and the load as well, and the id of each
event. What is broken off, as when actord is restarted, is taken up again; where something was missed, that is said.")]
    Events(Box<EventsArgs>),
    /// List, create, update and remove secrets
    #[command(subcommand)]
    Secret(SecretVerb),
    /// List, show, create, update and remove namespaces
    #[command(subcommand)]
    Namespace(NamespaceVerb),
    /// Make, list, revoke and rotate tokens, which may do less than the password
    #[command(subcommand)]
    Token(TokenVerb),
    /// Rotate the password
    #[command(subcommand)]
    Password(PasswordVerb),
}

impl RemoteVerb {
    /// Does it, tells what went wrong, and returns the exit code.
    #[must_use]
    pub fn run(self) -> ExitCode {
        to_the_end(self.perform())
    }

    async fn perform(self) -> Result<ExitWith, ClientError> {
        match self {
            Self::Apply(apply) => apply.run().await,
            Self::Ls(ls) => ls.run().await,
            Self::Describe(describe) => describe.run().await,
            Self::Rm(rm) => rm.run().await,
            Self::Invoke(invoke) => invoke.run().await,
            Self::Calls(calls) => calls.run().await,
            Self::Cron(cron) => cron.run().await,
            Self::Scale(scale) => scale.run().await,
            Self::Rollback(rollback) => rollback.run().await,
            Self::Stop(stop) => stop.stop().await,
            Self::Start(start) => start.start().await,
            Self::Logs(logs) => logs.run().await,
            Self::Events(events) => events.run().await,
            Self::Secret(secret) => secret.run().await,
            Self::Namespace(namespace) => namespace.run().await,
            Self::Token(token) => token.run().await,
            Self::Password(password) => password.run().await,
        }
    }
}

/// Runs a verb to its end, tells what went wrong, and returns the exit code.
pub(super) fn to_the_end(verb: impl Future<Output = Result<ExitWith, ClientError>>) -> ExitCode {
    let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(verb),
        Err(error) => Err(ClientError::Local(format!("can't start: {error}"))),
    };
    let exit = done.unwrap_or_else(|error| {
        if !error.is_closed_pipe() {
            eprint_line(&format!("actord: {error}"));
        }
        error.exit()
    });
    ExitCode::from(exit as u8)
}
