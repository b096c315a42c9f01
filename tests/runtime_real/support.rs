//! A machine of its own for each test: directories, a private containerd, names that nobody else has.

use std::path::{Path, PathBuf};

use actord::host::containerd::daemon::DaemonOptions;
use tempfile::TempDir;

/// Directories that are removed at the end. Short, because a unix socket's path must be.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new().prefix("ar").tempdir_in("/tmp").unwrap()
}

/// A private containerd's options under `base`.
pub(crate) fn options(base: &Path) -> DaemonOptions {
    DaemonOptions {
        binary: PathBuf::from("containerd"),
        root: base.join("data/containerd"),
        state: base.join("state/containerd"),
        socket: base.join("state/containerd.sock"),
        log: base.join("data/containerd.log"),
    }
}
