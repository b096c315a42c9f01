//! Directory -> desired state: everything is read and checked before any of it takes effect.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::function::Function;
use super::state_file::{FORMAT, Kept, StateFile};
use super::substitute::{Variables, substitute};
use super::yaml::{EnvironmentFile, StackFile};
use super::{Contents, Found, SECRETS_DIR, SECRETS_FILE, STATE_FILE, SecretValues, StackError, StackFiles};
use crate::function::{FunctionId, Invalid, Namespace, SecretName, Spec, SpecDraft};

/// Reads a directory of stack files, and what lies beside them.
///
/// # Errors
/// [`StackError`] with the file, and the key or line, of the first thing that is wrong.
pub fn read(dir: &Path) -> Result<Contents, StackError> {
    let stacks = stack_files(dir)?;
    let state = state_file(&dir.join(STATE_FILE))?;
    let kept = |(id, spec): (FunctionId, Spec)| {
        let kept = state.get(&id.to_string()).cloned();
        (id, kept.map_or_else(|| Found::Asked(Arc::new(spec.clone())), |kept| Found::Kept(kept.with(spec.clone()))))
    };
    // What stands in the state file was exported: it was accepted when there were fewer rules, perhaps.
    let check = |id: &FunctionId, draft: SpecDraft| match state.contains_key(&id.to_string()) {
        true => Spec::exported(draft),
        false => draft.try_into(),
    };
    let functions = read_stacks(&stacks, &|text| Ok(text), &check)?.functions.into_iter().map(kept).collect();
    Ok(Contents { functions, secrets: secrets(dir)? })
}

/// Reads stack files, directories with such, or `-`, which is standard input, and fills in their variables.
///
/// # Errors
/// As [`read()`].
pub fn read_stack_files(paths: &[PathBuf], variables: Variables<'_>) -> Result<StackFiles, StackError> {
    let mut stacks = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => stacks.extend(stack_files(path)?),
            false => stacks.push(path.clone()),
        }
    }
    read_stacks(&stacks, &|text| substitute(&text, variables), &|_, draft| draft.try_into())
}

/// What is done to a file's text before it is read as YAML.
type Preparation<'a> = &'a dyn Fn(String) -> Result<String, String>;

/// How what a function asks for is checked.
pub(super) type Check<'a> = &'a dyn Fn(&FunctionId, SpecDraft) -> Result<Spec, Invalid>;

fn read_stacks(stacks: &[PathBuf], prepare: Preparation<'_>, check: Check<'_>) -> Result<StackFiles, StackError> {
    let mut all = StackFiles::default();
    let mut from: BTreeMap<FunctionId, &Path> = BTreeMap::new();
    for path in stacks {
        let text = prepare(text(path)?).map_err(|reason| wrong(path, reason))?;
        let StackFiles { functions, gateways } = read_stack(path, &text, check)?;
        all.gateways.extend(gateways);
        for (id, spec) in functions {
            if let Some(other) = from.insert(id.clone(), path) {
                return Err(wrong(path, format!("functions.{}: {} has it as well", id.name, other.display())));
            }
            all.functions.insert(id, spec);
        }
    }
    Ok(all)
}

pub(super) fn stack_files(dir: &Path) -> Result<Vec<PathBuf>, StackError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(StackError::io("read", dir))? {
        let path = entry.map_err(StackError::io("read", dir))?.path();
        let is_yaml = path.extension().and_then(OsStr::to_str).is_some_and(|end| matches!(end, "yml" | "yaml"));
        if is_yaml && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() && !dir.join(STATE_FILE).exists() {
        return Err(StackError::Empty(dir.to_owned()));
    }
    Ok(paths)
}

pub(super) fn read_stack(path: &Path, text: &str, check: Check<'_>) -> Result<StackFiles, StackError> {
    let stack: StackFile<Function> = yaml(path, text)?;
    if let Some(version) = stack.version.filter(|version| version != "1.0") {
        return Err(wrong(path, format!("version: {version:?} is not known, expected \"1.0\"")));
    }
    let provider = stack.provider.unwrap_or_default();
    match provider.name.as_deref() {
        None | Some("openfaas" | "faas") => {}
        Some(other) => {
            return Err(wrong(path, format!("provider.name: {other:?} is not known, expected \"openfaas\"")));
        }
    }
    let gateways = provider.gateway.into_iter().filter(|gateway| !gateway.is_empty()).collect();
    let mut functions = BTreeMap::new();
    for (name, mut function) in stack.functions.unwrap_or_default() {
        let invalid = |reason: &dyn std::fmt::Display| wrong(path, format!("functions.{name}: {reason}"));
        let namespace = match function.namespace.as_str() {
            "" => Namespace::default(),
            namespace => namespace.parse().map_err(|reason| invalid(&reason))?,
        };
        let id = FunctionId::new(name.parse().map_err(|reason| invalid(&reason))?, namespace);
        merge_environment_files(path, &mut function)?;
        let spec = function.draft().and_then(|draft| check(&id, draft)).map_err(|reason| invalid(&reason))?;
        functions.insert(id, spec);
    }
    Ok(StackFiles { functions, gateways })
}

/// As `faas-cli` does it: a later file beats an earlier one, and any file beats the function's own lines.
fn merge_environment_files(stack: &Path, function: &mut Function) -> Result<(), StackError> {
    for name in std::mem::take(&mut function.environment_file) {
        let path = stack.with_file_name(name);
        let file: EnvironmentFile = yaml(&path, &text(&path)?)?;
        function.extend_environment(file.environment.unwrap_or_default());
    }
    Ok(())
}

fn state_file(path: &Path) -> Result<BTreeMap<String, Kept>, StackError> {
    let Some(state) = json::<StateFile>(path)? else { return Ok(BTreeMap::new()) };
    if state.format != FORMAT {
        return Err(wrong(path, format!("format: {} is not known, this actord reads {FORMAT}", state.format)));
    }
    Ok(state.functions)
}

fn secrets(dir: &Path) -> Result<SecretValues, StackError> {
    let names: Option<BTreeMap<Namespace, Vec<SecretName>>> = json(&dir.join(SECRETS_FILE))?;
    let mut secrets = SecretValues::new();
    for (namespace, names) in names.unwrap_or_default() {
        for name in names {
            let path = dir.join(SECRETS_DIR).join(namespace.as_str()).join(name.as_str());
            let value = if_there(fs::read(&path)).map_err(StackError::io("read", &path))?;
            secrets.entry(namespace.clone()).or_default().insert(name, value);
        }
    }
    Ok(secrets)
}

pub(super) fn text(path: &Path) -> Result<String, StackError> {
    match path == Path::new("-") {
        true => io::read_to_string(io::stdin()).map_err(StackError::io("read", "standard input")),
        false => fs::read_to_string(path).map_err(StackError::io("read", path)),
    }
}

pub(super) fn yaml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, StackError> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| wrong(path, error.to_string()))
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StackError> {
    let text = if_there(fs::read_to_string(path)).map_err(StackError::io("read", path))?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| wrong(path, error.to_string()))
}

fn if_there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn wrong(path: &Path, reason: String) -> StackError {
    let path = if path == Path::new("-") { Path::new("standard input") } else { path };
    StackError::Content { path: path.to_owned(), reason }
}
