//! Removes a directory with all that is in it. Mount points can't be removed while they are ones: they are emptied and left.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Removes it; none there is fine. Returns the mount points that are left, empty; the directories that they are in are left,
/// too.
///
/// # Errors
/// The first thing that could not be removed, with its path.
pub(super) fn remove(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    remove_into(directory, &mut left)?;
    Ok(left)
}

fn remove_into(directory: &Path, left: &mut Vec<PathBuf>) -> io::Result<()> {
    let before = left.len();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| of_path(directory, &error))?,
    };
    for entry in entries {
        let entry = entry.map_err(|error| of_path(directory, &error))?;
        let path = entry.path();
        if entry.file_type().map_err(|error| of_path(&path, &error))?.is_dir() {
            remove_into(&path, left)?;
        } else {
            note(fs::remove_file(&path), &path, left)?;
        }
    }
    if left.len() > before {
        return Ok(());
    }
    note(fs::remove_dir(directory), directory, left)
}

/// What the kernel calls busy here is a mount point: nothing else keeps a file from being removed so.
fn note(removed: io::Result<()>, path: &Path, left: &mut Vec<PathBuf>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {
            left.push(path.to_owned());
            Ok(())
        }
        removed => removed.map_err(|error| of_path(path, &error)),
    }
}

fn of_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("remove {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_all_that_is_in_it_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (state, other) = (dir.path().join("state"), dir.path().join("other"));
        fs::create_dir_all(state.join("a/b/c")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "x").unwrap();
        fs::write(state.join("a/file"), "x").unwrap();
        std::os::unix::fs::symlink(&other, state.join("a/link")).unwrap();
        assert_eq!(remove(&state).unwrap(), Vec::<PathBuf>::new());
        assert!(!state.exists() && other.join("kept").exists());
        assert_eq!(remove(&state).unwrap(), Vec::<PathBuf>::new(), "it is gone already");
    }
}
