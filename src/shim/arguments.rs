//! The command line of a shim, in the form of Go's `flag` package: that is how containerd writes it.

use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Say where the server of a container listens.
    Start,
    /// Remove what is left of a container.
    Delete,
    /// Be the server of a shard. Standard input is the socket that it listens on.
    Serve,
    Version,
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) action: Action,
    /// containerd's namespace.
    pub(super) namespace: String,
    /// containerd's socket, for its gRPC.
    pub(super) address: String,
    /// The container; for a server, its shard.
    pub(super) id: String,
    /// Where the container's files are; for a server, those of its first. Without it, the working directory.
    pub(super) bundle: PathBuf,
    /// For a server: the container that it is started for.
    pub(super) first: String,
    /// containerd's socket for events. It comes in the environment.
    pub(super) events: String,
}

impl Arguments {
    /// Reads what follows the program's name.
    ///
    /// # Errors
    /// In words: an unknown flag or action, or a value that is missing.
    pub(super) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments
            .map(|argument| argument.into_string().map_err(|bytes| format!("{} is no UTF-8", bytes.to_string_lossy())));
        let mut read = Self {
            action: Action::Serve,
            namespace: String::new(),
            address: String::new(),
            id: String::new(),
            bundle: ".".into(),
            first: String::new(),
            events: String::new(),
        };
        while let Some(argument) = arguments.next().transpose()? {
            let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
                read.action = match argument.as_str() {
                    "start" => Action::Start,
                    "delete" => Action::Delete,
                    other => return Err(format!("unknown action {other:?}: start or delete")),
                };
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            match name {
                "debug" => continue,
                "v" | "info" => {
                    read.action = Action::Version;
                    return Ok(read);
                }
                _ => {}
            }
            let value = match value {
                Some(value) => value,
                None => arguments.next().transpose()?.ok_or_else(|| format!("-{name} needs a value"))?,
            };
            match name {
                "namespace" => read.namespace = value,
                "address" => read.address = value,
                "id" => read.id = value,
                "bundle" => read.bundle = value.into(),
                "first" => read.first = value,
                "publish-binary" => {}
                unknown => return Err(format!("unknown flag -{unknown}")),
            }
        }
        for (flag, value) in [("namespace", &read.namespace), ("id", &read.id), ("address", &read.address)] {
            if value.is_empty() {
                return Err(format!("-{flag} is missing: containerd starts this program, it is no command for people"));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn containerds_command_lines_are_understood() {
        let start =
            parse("-namespace n -address /r/c.sock -publish-binary /bin/containerd -id f-1 -debug start").unwrap();
        assert_eq!((start.action, start.namespace.as_str(), start.id.as_str()), (Action::Start, "n", "f-1"));
        assert_eq!((start.address.as_str(), start.bundle), ("/r/c.sock", PathBuf::from(".")));
        let delete = parse("--namespace=n --address=/r/c.sock -id f-1 -bundle /b/f-1 delete").unwrap();
        assert_eq!((delete.action, delete.bundle), (Action::Delete, PathBuf::from("/b/f-1")));
        let serve = parse("-namespace n -address /r/c.sock -id shard -first f-1").unwrap();
        assert_eq!((serve.action, serve.first.as_str()), (Action::Serve, "f-1"));
        assert_eq!(parse("-v").unwrap().action, Action::Version);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let complete = "-namespace n -address a -id f-1";
        for (line, words) in [
            (format!("{complete} stop"), "unknown action \"stop\""),
            (format!("{complete} -colour red start"), "unknown flag -colour"),
            ("-namespace n -address a start".to_owned(), "-id is missing"),
            ("-namespace".to_owned(), "-namespace needs a value"),
        ] {
            let error = parse(&line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
