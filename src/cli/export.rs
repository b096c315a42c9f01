//! `actord export`: the desired state of a data directory as a directory of stack files, and asynchronous calls beside them if
//! they are wanted.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::calls_file::{self, CallsFileError, Written};
use super::client::Output;
use crate::config::Config;
use crate::data_dir::{DataDir, DataDirError};
use crate::stack::{self, SecretValues, StackError};
use crate::store::calls::{Calls, Glance};
use crate::store::{SecretError, Secrets, Store, StoreError};

/// `actord export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Directory to write; it must be empty or not there yet
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Write the values of secrets as well, not only their names, and of headers of calls that may be secrets
    #[arg(long)]
    pub with_secret_values: bool,

    /// Write the asynchronous calls that wait and the dead letters as well, not only how many they are
    #[arg(long)]
    pub with_calls: bool,

    /// Shape of what is told about it: a line for people, or JSON
    #[arg(short, long, value_enum, value_name = "SHAPE", default_value = "table")]
    pub output: Output,

    /// The settings.
    #[command(flatten)]
    pub config: Config,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The desired state can't be read.
    #[error("{0}: {1}")]
    Store(PathBuf, StoreError),
    /// A secret can't be read.
    #[error("can't read the secrets in {0}: {1}")]
    SecretDir(PathBuf, std::io::Error),
    /// A secret can't be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The directory can't be written.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The asynchronous calls can't be read or written.
    #[error(transparent)]
    Calls(#[from] CallsFileError),
}

impl ExportArgs {
    /// Writes the directory, whether an actord runs or not, and returns what to tell about it.
    ///
    /// # Errors
    /// [`ExportError`]; nothing is written then.
    pub fn run(&self) -> Result<String, ExportError> {
        DataDir::host_id_of(&self.config.data_dir)?;
        let path = self.config.store_path();
        let functions = match path.exists() {
            true => Store::read(&path).map_err(|error| ExportError::Store(path, error))?,
            false => Vec::new(),
        };
        let secrets = self.secrets()?;
        let db = self.config.calls_path();
        let mut written = None;
        stack::write_with(&self.dir, &functions, &secrets, |dir| {
            if self.with_calls {
                written = Some(calls_file::write(&db, &dir.join(calls_file::NAME), self.with_secret_values)?);
            }
            Ok::<_, ExportError>(())
        })?;
        let calls = written.map_or_else(|| self.counted(), Ok);
        let count = secrets.values().map(std::collections::BTreeMap::len).sum::<usize>();
        Ok(match self.output {
            Output::Table => {
                let values = if self.with_secret_values { "with their values" } else { "by name" };
                let (dir, functions) = (self.dir.display(), functions.len());
                format!("{dir}: {functions} functions, {count} secrets {values}; {}", self.told(&calls))
            }
            Output::Json => json!({
                "directory": self.dir,
                "functions": functions.len(),
                "secrets": count,
                "withSecretValues": self.with_secret_values,
                "calls": calls.as_ref().ok().map(|calls| json!({ "waiting": calls.waiting, "dead": calls.dead })),
                "withCalls": self.with_calls,
            })
            .to_string(),
        })
    }

    /// How many calls there are. A file that can't be read keeps nobody from exporting functions.
    fn counted(&self) -> Result<Written, StoreError> {
        let path = self.config.calls_path();
        let glance = if path.exists() { Calls::glance(&path)? } else { Glance::default() };
        Ok(Written { waiting: glance.waiting, dead: glance.dead, damaged: 0 })
    }

    fn told(&self, calls: &Result<Written, StoreError>) -> String {
        let Written { waiting, dead, damaged } = match calls {
            Ok(calls) => calls,
            Err(error) => return format!("its asynchronous calls can't be read: {error}"),
        };
        let told = match self.with_calls {
            true => format!("{waiting} asynchronous calls that wait and {dead} dead letters"),
            false if waiting + dead == 0 => "no asynchronous calls".to_owned(),
            false => {
                format!("{waiting} asynchronous calls that wait and {dead} dead letters are not in it: --with-calls")
            }
        };
        match damaged {
            0 => told,
            damaged => format!("{told}; {damaged} were left out: their records are damaged"),
        }
    }

    fn secrets(&self) -> Result<SecretValues, ExportError> {
        let dir = self.config.secrets_dir();
        let secrets = Secrets::new(dir.clone());
        let unreadable = |error| ExportError::SecretDir(dir.clone(), error);
        let mut found = SecretValues::new();
        for namespace in secrets.namespaces().map_err(unreadable)? {
            let names = secrets.list(&namespace)?;
            let mut values = match self.with_secret_values {
                true => secrets.read(&namespace, &names)?,
                false => Default::default(),
            };
            if !names.is_empty() {
                let named = names.into_iter().map(|name| {
                    let value = values.remove(&name);
                    (name, value)
                });
                found.insert(namespace, named.collect());
            }
        }
        Ok(found)
    }
}
