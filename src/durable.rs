//! Files that are replaced as a whole: a reader finds all of the old content or all of the new one.
//!
//! ```text
//! draft beside it -> fsync -> rename -> fsync of the directory       write, put: there after a power cut
//! draft beside it ----------> rename                                 swap: for what a reboot empties anyway
//! ```
//! Two writers of one file must not meet: they would share the draft. All calls block.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Replaces a file, or makes it, with this mode. It is on the disk when this returns.
///
/// # Errors
/// As [`put`].
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = draft(path);
    fill(&draft, bytes, mode).and_then(|()| put(&draft, path)).inspect_err(|_| discard(&draft))
}

/// As [`write`], without waiting for the disk.
///
/// # Errors
/// What the system said; the file is then as it was.
pub(crate) fn swap(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = draft(path);
    fill(&draft, bytes, mode).and_then(|()| fs::rename(&draft, path)).inspect_err(|_| discard(&draft))
}

/// Puts a finished draft on the disk and in the place of `path`, which is in the same file system.
///
/// # Errors
/// What the system said; the file is then as it was. Only where the disk itself fails at the very last step it may be the new
/// one, and after a power cut either.
pub(crate) fn put(draft: &Path, path: &Path) -> io::Result<()> {
    File::open(draft)?.sync_all()?;
    // Before the rename: it fails where too many files are open.
    let dir = File::open(parent(path))?;
    fs::rename(draft, path)?;
    dir.sync_all()
}

/// Writes a file that nobody looks for yet. Its content is on the disk when this returns; its name is once its directory
/// is synced.
///
/// # Errors
/// What the system said, of a file that is there already as well.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a directory, and those above it that are missing, with this mode. Their names are on the disk when this returns.
///
/// # Errors
/// What the system said.
pub(crate) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    missing.into_iter().try_for_each(|made| sync_dir(parent(made)))
}

/// Puts the names in a directory on the disk.
///
/// # Errors
/// What the system said.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The directory that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where the next content of a file is written: hidden, and at most two characters longer than its name.
pub(crate) fn draft(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push("~");
    path.with_file_name(name)
}

/// The name of the file that a name is a draft of, if it is one.
pub(crate) fn drafted(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.strip_suffix('~')
}

fn fill(draft: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(draft)?;
    // Whatever the umask is, and whoever left a draft.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)
}

/// Room is what may be short after a failure.
fn discard(draft: &Path) {
    let _ = fs::remove_file(draft);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_has_its_mode_and_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        fs::write(draft(&path), "left by one that was killed, and longer").unwrap();
        for replace in [write, swap] {
            for content in ["one", "two"] {
                replace(&path, content.as_bytes(), 0o640).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), content);
            }
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
            assert_eq!(names(dir.path()), ["note"]);
        }
    }

    #[test]
    fn a_reader_keeps_the_content_that_it_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        write(&path, b"old", 0o600).unwrap();
        let opened = File::open(&path).unwrap();
        write(&path, b"new", 0o600).unwrap();
        assert_eq!(io::read_to_string(opened).unwrap(), "old");
    }

    #[test]
    fn what_can_not_be_replaced_stays_and_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir_all(path.join("by-a-directory")).unwrap();
        assert!(write(&path, b"x", 0o600).is_err());
        assert!(swap(&path, b"x", 0o600).is_err());
        assert_eq!(names(dir.path()), ["taken"]);
        assert!(create(&path, b"x", 0o600).is_err(), "it is there already");
    }

    #[test]
    fn the_longest_name_has_a_draft() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("n".repeat(253)), b"x", 0o600).unwrap();
    }

    #[test]
    fn directories_are_made_with_those_above_them_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        make_dir(&path, 0o700).unwrap();
        make_dir(&path, 0o700).unwrap();
        for made in [&path, &dir.path().join("a")] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
