//! Desired state -> directory: written beside its place, on the disk, then put there in one step.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::function::Ordered;
use super::state_file::{FORMAT, Kept, StateFile};
use super::yaml::StackFile;
use super::{SECRETS_DIR, SECRETS_FILE, STATE_FILE, SecretValues, StackError};
use crate::durable;
use crate::function::{Desired, FunctionId, Namespace};

/// Writes a desired state to `dir`, which must be missing or empty. Only its owner can read it: environments hold much
/// that others should not see.
///
/// # Errors
/// [`StackError`]; nothing is left behind then.
pub fn write(dir: &Path, functions: &[(FunctionId, Desired)], secrets: &SecretValues) -> Result<(), StackError> {
    write_with(dir, functions, secrets, |_| Ok(()))
}

/// As [`write`], with what `more` puts into the directory before that is at its place.
///
/// # Errors
/// Those of [`write`], and of `more`; nothing is left behind then.
pub fn write_with<E: From<StackError>>(
    dir: &Path,
    functions: &[(FunctionId, Desired)],
    secrets: &SecretValues,
    more: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let filled = |unfinished: &Path| {
        fill(unfinished, functions, secrets)?;
        more(unfinished)
    };
    write_by(dir, filled)
}

fn write_by<E: From<StackError>>(dir: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        let reason = "there is something in it: give a directory that is empty or not there yet".to_owned();
        return Err(StackError::Content { path: dir.to_owned(), reason }.into());
    }
    let above = durable::parent(dir);
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = above.join(format!(".{name}.{}", std::process::id()));
    make_dir(&unfinished)?;
    let written = fill(&unfinished).and_then(|()| {
        sync(&unfinished)?;
        fs::rename(&unfinished, dir).map_err(StackError::io("write", dir))?;
        Ok(sync(above)?)
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(&unfinished);
    }
    written
}

fn fill(dir: &Path, functions: &[(FunctionId, Desired)], secrets: &SecretValues) -> Result<(), StackError> {
    let mut stacks: BTreeMap<&Namespace, BTreeMap<String, Ordered>> = BTreeMap::new();
    let mut state = StateFile { format: FORMAT, functions: BTreeMap::new() };
    for (id, desired) in functions {
        let function = Ordered::of(id.namespace.as_str(), &desired.spec);
        stacks.entry(&id.namespace).or_default().insert(id.name.to_string(), function);
        state.functions.insert(id.to_string(), Kept::of(desired));
    }
    for (namespace, functions) in stacks {
        let path = dir.join(format!("{namespace}.yml"));
        let text = serde_saphyr::to_string(&StackFile::new(functions));
        write_file(&path, text.map_err(|error| unwritable(&path, &error))?.as_bytes())?;
    }
    let names: BTreeMap<_, Vec<_>> = secrets.iter().map(|(namespace, all)| (namespace, all.keys().collect())).collect();
    write_json(&dir.join(STATE_FILE), &state)?;
    write_json(&dir.join(SECRETS_FILE), &names)?;
    write_values(&dir.join(SECRETS_DIR), secrets)
}

fn write_values(dir: &Path, secrets: &SecretValues) -> Result<(), StackError> {
    for (namespace, secrets) in secrets {
        let of_namespace = dir.join(namespace.as_str());
        for (name, value) in secrets {
            let Some(value) = value else { continue };
            make_dir(&of_namespace)?;
            write_file(&of_namespace.join(name.as_str()), value)?;
        }
        if of_namespace.exists() {
            sync(&of_namespace)?;
        }
    }
    Ok(())
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), StackError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| unwritable(path, &error))?;
    write_file(path, (text + "\n").as_bytes())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StackError> {
    durable::create(path, bytes, 0o600).map_err(StackError::io("write", path))
}

fn make_dir(path: &Path) -> Result<(), StackError> {
    durable::make_dir(path, 0o700).map_err(StackError::io("make", path))
}

fn sync(dir: &Path) -> Result<(), StackError> {
    durable::sync_dir(dir).map_err(StackError::io("write", dir))
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> StackError {
    StackError::Content { path: path.to_owned(), reason: error.to_string() }
}
