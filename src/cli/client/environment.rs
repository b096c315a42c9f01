//! What the client verbs take from the environment: the only file of theirs that reads it.

use std::env;
use std::path::PathBuf;

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The gateway that this shell works with, as `faas-cli` has it.
pub(super) fn gateway() -> Option<String> {
    variable("OPENFAAS_URL")
}

/// Where `faas-cli login` writes what it was given.
pub(super) fn openfaas_config() -> Option<PathBuf> {
    let directory = variable("OPENFAAS_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".openfaas")))?;
    Some(directory.join("config.yml"))
}
