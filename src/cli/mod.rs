//! The command line: what each verb takes.

mod apply;
mod awaited;
mod bundle;
mod calls;
mod calls_file;
mod client;
mod completion;
mod cron;
mod describe;
mod doctor;
mod events;
mod export;
#[cfg(feature = "testing")]
pub(crate) use client::fuzzed;
mod import;
mod invoke;
mod logs;
mod ls;
mod man;
mod namespace;
mod pack;
mod password;
mod queue_rule;
mod remote;
mod rm;
mod rollback;
mod scale;
mod scaling_rule;
mod secret;
mod standing;
mod stop;
mod token;
mod upgrade;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use apply::ApplyArgs;
pub use bundle::{BundleApplyArgs, BundleCreateArgs, BundleVerb};
pub use calls::{CallsCancelArgs, CallsLsArgs, CallsPurgeArgs, CallsRetryArgs, CallsShowArgs, CallsVerb, Purged};
pub use calls_file::CallsFileError;
pub use client::{ClientError, ExitWith, GatewayArgs, NamespaceArg, Output};
pub use completion::CompletionArgs;
pub use cron::{CronLsArgs, CronVerb};
pub use describe::DescribeArgs;
pub use doctor::{DoctorArgs, Findings};
pub use events::EventsArgs;
pub use export::{ExportArgs, ExportError};
pub use import::{ImportArgs, ImportError};
pub use invoke::InvokeArgs;
pub use logs::LogsArgs;
pub use ls::LsArgs;
pub use man::{ManArgs, ManError};
pub use namespace::{NamespaceNameArgs, NamespaceSetArgs, NamespaceVerb};
pub use pack::PackArgs;
pub use password::PasswordVerb;
pub use remote::RemoteVerb;
pub use rm::RmArgs;
pub use rollback::RollbackArgs;
pub use scale::ScaleArgs;
pub use secret::{SecretCreateArgs, SecretListArgs, SecretRmArgs, SecretUpdateArgs, SecretVerb};
pub use stop::StopArgs;
pub use token::{TokenCreateArgs, TokenRevokeArgs, TokenRotateArgs, TokenVerb};
pub use upgrade::{UpgradeArgs, UpgradeError};

use crate::config::Config;
use crate::upgrade::HOME;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong arguments or files; of the verbs that ask a gateway also 3 not reachable,
4 refused (4xx), 5 unable (5xx), 130 interrupted.";

/// OpenFaaS functions on one machine, each supervised by an actor of its own, on containerd and CNI.
#[derive(Debug, Parser)]
#[command(name = "actord", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What actord can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run actord in the foreground until SIGTERM or SIGINT. Functions go on running after it
    Up(Box<UpArgs>),
    /// Remove every function and all that actord made on this machine, but no data. Give it the same settings as `up`
    Down(Box<DownArgs>),
    /// Put another program in the place of the one that runs, and go back by itself if that is not healthy for a minute
    Upgrade(Box<UpgradeArgs>),
    /// Write the desired state to a directory of OpenFaaS stack files. actord may be running
    Export(Box<ExportArgs>),
    /// Make a directory of OpenFaaS stack files the desired state, all of it or nothing. actord must not be running
    Import(Box<ImportArgs>),
    /// Import and pack images
    #[command(subcommand)]
    Image(ImageVerb),
    /// Put everything for a machine without a network into one file, and apply it there
    #[command(subcommand)]
    Bundle(BundleVerb),
    /// Say what is wrong with this machine for actord, and how to mend it. Give it the same settings as `up`
    Doctor(Box<DoctorArgs>),
    /// Print what a shell needs to complete actord's verbs and flags
    Completion(CompletionArgs),
    /// Write the manual, a page for each verb and one for the settings, to man1/ and man5/ of a directory
    #[command(hide = true)]
    Man(ManArgs),
    /// The verbs that ask a gateway.
    #[command(flatten)]
    Remote(RemoteVerb),
    /// Print the version
    Version,
}

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    /// Load the images of an archive, or of every archive in a directory, into the containerd of the actord that runs
    Import(Box<ImageImportArgs>),
    /// Pack files into an OCI image archive with one layer
    Pack(Box<PackArgs>),
}

/// `actord up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// The settings.
    #[command(flatten)]
    pub config: Config,

    /// On SIGTERM remove every function and all that actord made on this machine, as `actord down` does
    #[arg(long)]
    pub stop_functions: bool,

    /// Where upgrades keep what they need: of no use but to tests, which run many actords on one machine
    #[arg(long, hide = true, value_name = "DIR", default_value = HOME)]
    pub upgrade_dir: PathBuf,
}

/// `actord down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// The settings.
    #[command(flatten)]
    pub config: Config,

    /// Where upgrades keep what they need: of no use but to tests, which run many actords on one machine
    #[arg(long, hide = true, value_name = "DIR", default_value = HOME)]
    pub upgrade_dir: PathBuf,
}

/// `actord image import`.
#[derive(Debug, Args)]
pub struct ImageImportArgs {
    /// OCI or docker archive (.tar, plain or gzipped), or a directory with such archives
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,

    /// The settings.
    #[command(flatten)]
    pub config: Config,
}
