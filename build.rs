//! Tells the program which commit it was built from, for `GET /system/info`.
//!
//! ```text
//! ACTORD_COMMIT, as `make release` sets it -> else .git of this directory -> else "unknown"
//! ```
//! No git program is needed. A release build is built anew when HEAD moves. Any other build is not, so that a commit costs
//! no compilation: it names the commit that was checked out when this last ran, with `-dev` behind it.
#![allow(clippy::disallowed_methods, reason = "cargo tells a build script everything by its environment")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["ACTORD_COMMIT", "ACTORD_COMMIT_MESSAGE"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let given = env::var("ACTORD_COMMIT").ok().filter(|text| is_commit(text));
    let found = || {
        let head = head(Path::new(&env::var_os("CARGO_MANIFEST_DIR")?))?;
        if env::var("PROFILE").as_deref() != Ok("release") {
            return Some(format!("{}-dev", head.commit));
        }
        for path in head.moves_with {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        Some(head.commit)
    };
    println!("cargo::rustc-env=ACTORD_COMMIT={}", given.or_else(found).unwrap_or_else(|| "unknown".to_owned()));
}

/// What a directory has checked out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The commit's hash.
    pub(crate) commit: String,
    /// Files of which one changes when another commit is checked out or made.
    pub(crate) moves_with: Vec<PathBuf>,
}

/// The commit that is checked out in a directory, which may be a worktree; none if it is not the top of a repository.
pub(crate) fn head(directory: &Path) -> Option<Head> {
    let dot_git = directory.join(".git");
    // In a worktree this is a file that says where the rest is.
    let git = match fs::read_to_string(&dot_git) {
        Ok(text) => directory.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => dot_git,
    };
    let common = match fs::read_to_string(git.join("commondir")) {
        Ok(text) => git.join(text.trim()),
        Err(_) => git.clone(),
    };
    let head = git.join("HEAD");
    let text = fs::read_to_string(&head).ok()?;
    let mut moves_with = vec![head, git.join("logs/HEAD")];
    let commit = match text.strip_prefix("ref:").map(str::trim) {
        None => text.trim().to_owned(),
        Some(name) => {
            let (loose, packed) = (common.join(name), common.join("packed-refs"));
            let commit = fs::read_to_string(&loose).ok().or_else(|| packed_commit(&packed, name))?;
            moves_with.extend([loose, packed]);
            commit.trim().to_owned()
        }
    };
    // cargo takes a file that is missing for one that has changed.
    moves_with.retain(|path| path.exists());
    is_commit(&commit).then_some(Head { commit, moves_with })
}

/// The commit of a branch that git has moved into the one file for all of them.
fn packed_commit(packed: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(packed).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, named)| *named == name).map(|(commit, _)| commit.to_owned()).next()
}

/// SHA-1 or SHA-256, in hex.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
