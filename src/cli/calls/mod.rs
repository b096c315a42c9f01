//! `actord calls`: calls that nobody waits for, and what came of them.

mod act;
mod ls;
mod purge;
mod show;

use clap::Subcommand;

pub use act::{CallsCancelArgs, CallsRetryArgs};
pub use ls::CallsLsArgs;
pub use purge::{CallsPurgeArgs, Purged};
pub use show::CallsShowArgs;

pub(super) use show::{body, get};

use super::client::{ClientError, ExitWith};

/// `actord calls`.
#[derive(Debug, Subcommand)]
pub enum CallsVerb {
    /// List asynchronous calls, the newest first
    #[command(
        visible_alias = "list",
        after_help = "\
Example:
  actord calls ls --state dead
  actord calls ls -A --since 1h
  actord calls ls --function hello --output json

A call is waiting, running, retrying (it was tried), callback (its answer is to be sent), done, dead (it failed for good,
and is kept to be looked at and retried) or cancelled. Calls that were done are listed for an hour."
    )]
    Ls(Box<CallsLsArgs>),
    /// Show all about one call: its headers without secrets, each try, and the last answer
    #[command(after_help = "\
Example:
  actord calls show 018f2f6e-7c1a-7b3c-8d4e-5f6071829304

The id is actord's own, as the 202 said it in X-Call-Id, or the caller's where that fits one call.")]
    Show(Box<CallsShowArgs>),
    /// Try dead letters again
    #[command(after_help = "\
Example:
  actord calls retry 018f2f6e-7c1a-7b3c-8d4e-5f6071829304

It keeps its id and has all its tries again. Where the function had answered and only the callback failed, that alone is
sent again; with --call the function is called as well.")]
    Retry(Box<CallsRetryArgs>),
    /// Cancel calls. One that is under way is dropped
    #[command(after_help = "Example:\n  actord calls cancel 018f2f6e-7c1a-7b3c-8d4e-5f6071829304")]
    Cancel(Box<CallsCancelArgs>),
    /// Remove calls that have ended
    #[command(after_help = "\
Example:
  actord calls purge --state dead --function hello --before 24h
  actord calls purge --state done")]
    Purge(Box<CallsPurgeArgs>),
}

impl CallsVerb {
    pub(super) async fn run(&self) -> Result<ExitWith, ClientError> {
        match self {
            Self::Ls(ls) => ls.run().await,
            Self::Show(show) => show.run().await,
            Self::Retry(retry) => retry.run().await,
            Self::Cancel(cancel) => cancel.run().await,
            Self::Purge(purge) => purge.run().await,
        }
    }
}
