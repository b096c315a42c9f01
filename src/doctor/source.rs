//! Where facts come from: files under a root, which is `/` or a tree that a test made, and programs that are asked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::host::cni::PROGRAM_PATH;

/// How long a program may take to say what it is asked.
const ANSWER: Duration = Duration::from_secs(10);

/// The root of the file system that facts about the machine are read from.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// This machine's own.
    #[must_use]
    pub fn machine() -> Self {
        Self("/".into())
    }

    /// Another directory in its place.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where an absolute path of the machine is found.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub(super) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).exists()
    }

    /// The text of a file, if it is there and can be read.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.at(path)).ok()
    }

    /// The names in a directory; none if it can't be read.
    pub(super) fn names(&self, path: impl AsRef<Path>) -> BTreeSet<String> {
        let entries = fs::read_dir(self.at(path)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

/// What a program printed, or why there is nothing.
pub(super) async fn ask(program: impl AsRef<Path>, arguments: &[&str]) -> Result<String, String> {
    let program = program.as_ref();
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", PROGRAM_PATH).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    let name = program.display();
    match timeout(ANSWER, command.output()).await {
        Err(_) => Err(format!("{name} gave no answer within {ANSWER:?}")),
        Ok(Err(error)) => Err(format!("{name} can't be run: {error}")),
        Ok(Ok(output)) if !output.status.success() => {
            Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Ok(Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
    }
}

/// The first `MAJOR.MINOR` in a text, such as `1.6` of `containerd github.com/… v1.6.20~ds1`.
pub(super) fn version_in(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.');
        let digits = |part: &str| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().ok()
        };
        Some((numbers.next()?.parse().ok()?, digits(numbers.next()?)?))
    })
}

/// A tree of files for tests.
#[cfg(test)]
pub(super) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::of(dir.path());
    for (path, text) in files {
        fs::create_dir_all(root.at(path).parent().unwrap()).unwrap();
        fs::write(root.at(path), text).unwrap();
    }
    (dir, root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_wherever_a_program_says_it() {
        for (text, version) in [
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", Some((1, 6))),
            ("containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7", Some((2, 1))),
            ("runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\ngo: go1.19.8", Some((1, 1))),
            ("6.18.44-fc-v657", Some((6, 18))),
            ("6.1-rc3", Some((6, 1))),
            ("no number here", None),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }

    #[tokio::test]
    async fn a_program_that_fails_or_is_not_there_is_quoted() {
        assert_eq!(ask("echo", &["hello"]).await.unwrap(), "hello");
        assert!(ask("sh", &["-c", "echo broken >&2; exit 3"]).await.unwrap_err().contains("broken"));
        assert!(ask("/nonexistent", &[]).await.unwrap_err().contains("/nonexistent"));
    }
}
