//! Errors of the system with the path that they are about.

use std::io;
use std::path::Path;

/// The same error, with the path before its words.
pub(super) fn of_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
