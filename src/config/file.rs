//! The TOML file: its lines become the defaults of the flags that they are named after.
//!
//! ```text
//! arguments -> parsed once for --config -> file read, each line tried as a flag -> parsed again with its defaults
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches, Parser};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, is_default_file, setting_name};

/// Values by the id of their flag.
type Defaults = BTreeMap<String, Vec<String>>;

/// Why a configuration file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read at all.
    #[error("can't read the configuration file {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// It is not TOML.
    #[error("{path} is not valid TOML: {error}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why, with the line.
        error: toml::de::Error,
    },
    /// No setting has this name.
    #[error("{path}:{line}: unknown setting {key:?}; `actord up --help` lists them all")]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The name.
        key: String,
    },
    /// The setting can't have this value.
    #[error("{path}:{line}: {key}: {reason}")]
    Value {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The setting.
        key: String,
        /// What was expected.
        reason: String,
    },
}

/// Parses a command line whose verbs hold a [`Config`], or some settings of it, with the file that it names and the
/// environment.
///
/// # Errors
/// As clap's own: to be printed as it is, with its exit code.
pub fn parse<C: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<C, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = C::command().try_get_matches_from(&arguments)?;
    let Some((verb, whole)) = configured(&C::command(), &matches) else { return C::from_arg_matches(&matches) };

    let wrong = |message: String| C::command().error(ErrorKind::ValueValidation, message);
    let mut defaults = Defaults::new();
    if let Some(path) = verb.get_one::<PathBuf>("config") {
        let named = verb.value_source("config") != Some(ValueSource::DefaultValue) || !is_default_file(path);
        defaults = match std::fs::read_to_string(path) {
            Ok(text) => read(path, &text).map_err(|error| wrong(error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => defaults,
            // It is root's: a client of anybody's can do without it.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && !named && !whole => defaults,
            Err(error) => return Err(wrong(FileError::Unreadable(path.clone(), error).to_string())),
        };
    }
    if let Ok(filter) = std::env::var("RUST_LOG") {
        defaults.insert("log_level".to_owned(), vec![filter]);
    }

    let matches = with_defaults(C::command(), &defaults).try_get_matches_from(&arguments)?;
    if let Some((verb, true)) = configured(&C::command(), &matches) {
        Config::from_arg_matches(verb)?.check().map_err(wrong)?;
    }
    C::from_arg_matches(&matches)
}

/// The matches of the verb that was given, if it has settings, and whether it takes all of them or only those that it
/// shares with the others. The command is asked for its flags: matches know what can be in them in debug builds alone.
fn configured<'a>(command: &Command, matches: &'a ArgMatches) -> Option<(&'a ArgMatches, bool)> {
    if let Some((name, verb)) = matches.subcommand() {
        return configured(command.find_subcommand(name)?, verb);
    }
    let takes = |id: &str| command.get_arguments().any(|arg| arg.get_id() == id);
    takes("data_dir").then(|| (matches, takes("state_dir")))
}

fn with_defaults(command: Command, defaults: &Defaults) -> Command {
    command
        .mut_args(|arg| match defaults.get(arg.get_id().as_str()) {
            Some(values) => arg.default_values(values),
            None => arg,
        })
        .mut_subcommands(|verb| with_defaults(verb, defaults))
}

/// Reads the file's lines, each tried against the rules of its flag so that an error can name the line.
fn read(path: &Path, text: &str) -> Result<Defaults, FileError> {
    let table = DeTable::parse(text).map_err(|error| FileError::Syntax { path: path.to_owned(), error })?;
    let flags = Config::augment_args(Command::new("actord").no_binary_name(true));
    let mut defaults = Defaults::new();
    for (key, value) in table.get_ref() {
        let line = text[..key.span().start].matches('\n').count() + 1;
        let key = key.get_ref().as_ref();
        let unknown = || FileError::Unknown { path: path.to_owned(), line, key: key.to_owned() };
        let wrong = |reason| FileError::Value { path: path.to_owned(), line, key: key.to_owned(), reason };
        let known = |arg: &&clap::Arg| arg.get_id() != "config" && setting_name(arg.get_id().as_str()) == key;
        let flag = flags.get_arguments().find(known).ok_or_else(unknown)?;
        let values = match value.get_ref() {
            DeValue::Table(table) if takes_pairs(flag) => pairs(table),
            value => values(value),
        };
        let values = values.map_err(wrong)?;
        if values.len() > 1 && !matches!(flag.get_action(), clap::ArgAction::Append) {
            return Err(wrong("expected one value, not a list".to_owned()));
        }
        for value in &values {
            flags.clone().try_get_matches_from([format!("--{key}={value}")]).map_err(|error| wrong(reason(&error)))?;
        }
        if !values.is_empty() {
            defaults.insert(flag.get_id().to_string(), values);
        }
    }
    Ok(defaults)
}

/// A value as a command line would carry it. Empty means that it is not set.
fn values(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(list) => {
            Ok(list.iter().map(|item| values(item.get_ref())).collect::<Result<Vec<_>, _>>()?.concat())
        }
        DeValue::String(text) if text.is_empty() => Ok(Vec::new()),
        DeValue::String(text) => Ok(vec![text.to_string()]),
        DeValue::Integer(number) => Ok(vec![number.as_str().to_owned()]),
        DeValue::Boolean(yes) => Ok(vec![yes.to_string()]),
        other => Err(format!("expected text, a number, true, false or a list, not a {}", other.type_str())),
    }
}

/// Whether each of its values has a name: those are a table in the file, or a list as on the command line.
fn takes_pairs(flag: &clap::Arg) -> bool {
    flag.get_value_names().is_some_and(|names| names.iter().any(|name| name.starts_with("NAME=")))
}

/// A table as a command line would carry it: `NAME=VALUE`s.
fn pairs(table: &DeTable<'_>) -> Result<Vec<String>, String> {
    let pair = |(name, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| match value.get_ref() {
        DeValue::String(text) => Ok(format!("{}={text}", name.get_ref())),
        other => Err(format!("{}: expected text, not a {}", name.get_ref(), other.type_str())),
    };
    table.iter().map(pair).collect()
}

/// What clap says about a value, without what it says about a command line.
fn reason(error: &clap::Error) -> String {
    let invalid = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => format!("{value:?}: "),
        _ => String::new(),
    };
    let expected = match (std::error::Error::source(error), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(valid))) => format!("expected {}", valid.join(" or ")),
        (None, _) => error.kind().to_string(),
    };
    invalid + &expected
}

#[cfg(test)]
mod tests;
