//! `actord export`: the desired state of a data directory as a directory of stack files.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::client::Output;
use crate::config::Config;
use crate::data_dir::{DataDir, DataDirError};
use crate::stack::{self, SecretValues, StackError};
use crate::store::{SecretError, Secrets, Store, StoreError};

/// `actord export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Directory to write; it must be empty or not there yet
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Write the values of secrets as well, not only their names
    #[arg(long)]
    pub with_secret_values: bool,

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
        stack::write(&self.dir, &functions, &secrets)?;
        let count = secrets.values().map(std::collections::BTreeMap::len).sum::<usize>();
        let values = if self.with_secret_values { "with their values" } else { "by name" };
        Ok(match self.output {
            Output::Table => format!("{}: {} functions, {count} secrets {values}", self.dir.display(), functions.len()),
            Output::Json => json!({
                "directory": self.dir,
                "functions": functions.len(),
                "secrets": count,
                "withSecretValues": self.with_secret_values,
            })
            .to_string(),
        })
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
