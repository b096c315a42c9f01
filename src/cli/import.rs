//! `actord import`: a directory of stack files into the desired state of a data directory: functions all or none, then calls.
//!
//! ```text
//! read and check the directory -> lock the data directory -> compare -> open the asynchronous calls, is there room?
//! -> secrets -> functions, in one transaction -> asynchronous calls, in parts
//! ```
//! What can be refused is so before the first write. Calls come last: where they end half way, the same import once more (with
//! `--replace`) takes over the others.
//! Offline, so that it says the same whether anything runs or not: the next `actord up` starts what was imported.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::runtime::Runtime;

use super::calls_file::{self, CallsFileError};
use crate::config::Config;
use crate::data_dir::{DataDir, DataDirError};
use crate::function::{Desired, FunctionId, Generation, History, Namespace, SecretName};
use crate::queue::wall;
use crate::stack::{self, Found, SecretValues, StackError};
use crate::store::calls::{Bounds, Calls};
use crate::store::{SecretError, Secrets, Store, StoreError};
use crate::upgrade::{HOME, Home, Refusal, refuse_meanwhile};

/// `actord import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Directory with stack files (*.yml, *.yaml), as `actord export` writes it or as people write them for faas-cli
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Let functions and secrets that are there already become what the directory says
    #[arg(long)]
    pub replace: bool,

    /// Where upgrades keep what they need: of no use but to tests, which run many actords on one machine
    #[arg(long, hide = true, value_name = "DIR", default_value = HOME)]
    pub upgrade_dir: PathBuf,

    /// The settings.
    #[command(flatten)]
    pub config: Config,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It might be undone, or the store of another program than the one that will serve.
    #[error(transparent)]
    Upgrade(#[from] Refusal),
    /// The directory is not a desired state.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The data directory can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The desired state can't be read or written.
    #[error("{0}: {1}")]
    Store(PathBuf, StoreError),
    /// A secret can't be written.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The asynchronous calls of the directory can't be taken over.
    #[error(transparent)]
    Calls(#[from] CallsFileError),
    /// Something is there already.
    #[error("there already: {0}; --replace lets them become what the directory says")]
    Exists(String),
    /// The system has no thread for it.
    #[error("can't start: {0}")]
    Runtime(std::io::Error),
}

impl ImportArgs {
    /// Imports the directory while no actord runs, and returns what to tell about it.
    ///
    /// # Errors
    /// [`ImportError`]; no function is changed then, unless it is the disk that refused calls half way.
    pub fn run(&self) -> Result<String, ImportError> {
        let contents = stack::read(&self.dir)?;
        // To its last line, before anything is changed.
        let calls = self.dir.join(calls_file::NAME);
        calls_file::read(&calls, self.config.queue_max_body, |_| Ok(()))?;
        let home = Home::new(&self.upgrade_dir);
        refuse_meanwhile(&home, &self.config.data_dir)?;
        let _ours = DataDir::open(&self.config.data_dir)?;
        // None can begin from here on: only an actord that has the directory is upgraded.
        refuse_meanwhile(&home, &self.config.data_dir)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(ImportError::Runtime)?;
        let path = self.config.store_path();
        let failed = |error| ImportError::Store(path.clone(), error);
        let store = Store::open(&path).map_err(failed)?;
        let secrets = Secrets::new(self.config.secrets_dir());

        let mut existing = BTreeSet::new();
        let mut functions = Vec::new();
        for (id, found) in contents.functions {
            let before = runtime.block_on(store.get(&id)).map_err(failed)?;
            if before.is_some() {
                existing.insert(id.to_string());
            }
            functions.push((id, imported(found, before)));
        }
        let changed = changed_secrets(&secrets, &contents.secrets)?;
        if !self.replace {
            existing.extend(changed.existing.iter().map(|(namespace, name)| format!("secret {name} in {namespace}")));
            if !existing.is_empty() {
                return Err(ImportError::Exists(existing.into_iter().collect::<Vec<_>>().join(", ")));
            }
        }
        let database = self.open_calls(&runtime, &calls)?;
        let write = || {
            for (namespace, name, value) in &changed.to_write {
                secrets.write(namespace, name, value)?;
            }
            runtime.block_on(store.put_all(&functions)).map_err(failed)?;
            let taken = database.as_ref().map(|database| self.take_calls(&runtime, database, &calls));
            Ok::<_, ImportError>(taken.transpose()?)
        };
        let written = write();
        let closed = database.as_ref().map_or(Ok(()), |database| runtime.block_on(database.close()));
        let taken = written?;
        closed.map_err(|error| CallsFileError::Store(self.config.calls_path(), error))?;
        let told = self.summary(&functions, existing.len(), changed.to_write.len(), &missing(&secrets, &functions));
        Ok(match taken {
            Some((taken, there)) => {
                format!("{told}\n{taken} asynchronous calls and dead letters taken over ({there} more were there)")
            }
            None => told,
        })
    }

    /// Opens what the calls of this file are taken over into, if it is there and they have room.
    fn open_calls(&self, runtime: &Runtime, file: &Path) -> Result<Option<Calls>, CallsFileError> {
        if !file.exists() {
            return Ok(None);
        }
        let path = self.config.calls_path();
        let failed = |error| CallsFileError::Store(path.clone(), error);
        let database = runtime.block_on(async { Calls::open(&path, Bounds::default(), wall()) }).map_err(failed)?;
        // A disk that can't be asked has room: the writes will tell.
        let free = rustix::fs::statvfs(&self.config.data_dir).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let is_there = |id| runtime.block_on(database.by_id(id)).map(|call| call.is_some()).map_err(failed);
        let fits = calls_file::room::check(file, self.config.queue_max_body, free.unwrap_or(u64::MAX), is_there);
        match fits {
            Ok(()) => Ok(Some(database)),
            Err(why) => {
                runtime.block_on(database.close()).map_err(failed)?;
                Err(why)
            }
        }
    }

    /// Takes over the calls of this file: how many, and how many were there already.
    fn take_calls(&self, runtime: &Runtime, database: &Calls, file: &Path) -> Result<(u64, u64), CallsFileError> {
        let failed = |error| CallsFileError::Store(self.config.calls_path(), error);
        let (mut taken, mut all) = (0, 0);
        calls_file::read(file, self.config.queue_max_body, |calls| {
            all += calls.len() as u64;
            taken += runtime.block_on(database.import(calls.into(), wall())).map_err(failed)?;
            Ok(())
        })?;
        Ok((taken, all - taken))
    }

    fn summary(
        &self,
        functions: &[(FunctionId, Desired)],
        existing: usize,
        secrets: usize,
        missing: &BTreeSet<String>,
    ) -> String {
        let mut text = format!(
            "{}: {} functions ({existing} of them were there), {secrets} secrets written; `actord up` starts them",
            self.config.data_dir.display(),
            functions.len(),
        );
        if !missing.is_empty() {
            let names = missing.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            text += &format!("\ncreate these secrets, functions wait for them: {names}");
        }
        text
    }
}

/// What is desired of a function from now on. One that is there is updated as a deploy would.
fn imported(found: Found, before: Option<Desired>) -> Desired {
    let now = jiff::Timestamp::now().to_string();
    match (before, found) {
        (None, Found::Kept(desired)) => desired,
        (None, Found::Asked(spec)) => Desired {
            generation: Generation(1),
            replicas: spec.min_replicas(),
            kept_down: false,
            idle: false,
            adjusted: None,
            spec,
            accepted_at: now.clone(),
            history: History::default(),
            has_served: false,
            failed: None,
            created_at: now,
            refused: None,
        },
        (Some(before), found) => {
            let (replicas, kept_down) = match &found {
                Found::Kept(desired) => (desired.replicas, desired.kept_down),
                Found::Asked(spec) => (before.replicas.max(spec.min_replicas()), before.kept_down),
            };
            if *found.spec() == *before.spec && before.failed.is_none() {
                return Desired { kept_down, ..before.scaled(replicas) };
            }
            Desired {
                generation: before.newest_generation().next(),
                spec: Arc::new(found.spec().clone()),
                replicas,
                kept_down,
                idle: false,
                adjusted: None,
                accepted_at: now,
                history: before.kept(),
                has_served: false,
                failed: None,
                created_at: before.created_at,
                refused: None,
            }
        }
    }
}

#[derive(Default)]
struct ChangedSecrets {
    to_write: Vec<(Namespace, SecretName, Vec<u8>)>,
    existing: Vec<(Namespace, SecretName)>,
}

fn changed_secrets(secrets: &Secrets, wanted: &SecretValues) -> Result<ChangedSecrets, SecretError> {
    let mut changed = ChangedSecrets::default();
    for (namespace, all) in wanted {
        for (name, value) in all {
            let Some(value) = value else { continue };
            match secrets.read(namespace, std::slice::from_ref(name)) {
                Ok(there) if there.get(name) == Some(value) => continue,
                Ok(_) => changed.existing.push((namespace.clone(), name.clone())),
                Err(SecretError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
            changed.to_write.push((namespace.clone(), name.clone(), value.clone()));
        }
    }
    Ok(changed)
}

/// Secrets that functions name and that are not there.
fn missing(secrets: &Secrets, functions: &[(FunctionId, Desired)]) -> BTreeSet<String> {
    let mut missing = BTreeSet::new();
    for (id, desired) in functions {
        for name in &desired.spec.secrets {
            if matches!(secrets.read(&id.namespace, std::slice::from_ref(name)), Err(SecretError::Missing(_))) {
                missing.insert(format!("{name} in {}", id.namespace));
            }
        }
    }
    missing
}
