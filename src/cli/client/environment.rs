//! What the client verbs take from the environment: the only file of theirs that reads it.

use std::env;
use std::path::PathBuf;

/// A variable that is set. Stack files may name any.
pub(in crate::cli) fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn filled(name: &str) -> Option<String> {
    variable(name).filter(|value| !value.is_empty())
}

/// The gateway that this shell works with, as `faas-cli` has it.
pub(super) fn gateway() -> Option<String> {
    filled("OPENFAAS_URL")
}

/// Where `faas-cli login` writes what it was given.
pub(super) fn openfaas_config() -> Option<PathBuf> {
    let directory = filled("OPENFAAS_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| Some(PathBuf::from(filled("HOME")?).join(".openfaas")))?;
    Some(directory.join("config.yml"))
}
