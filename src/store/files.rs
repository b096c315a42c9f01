//! The files beside the store, and how they are replaced.
//!
//! ```text
//! actord.db  (-wal, -shm)        the store
//! actord.db.good                 the last copy that was found sound
//! actord.db.v1                   the store as it was before its schema was brought from version 1 to a newer one
//! actord.db.damaged-<time>       what was moved away or kept when damage was found
//! actord.db.new                  on its way to be one of these
//! ```

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::durable;

/// A store holds what functions get in their environment: no other user's to read.
const MODE: u32 = 0o600;

/// The store's path with something behind it.
pub(super) fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(store);
    path.push(suffix);
    path.into()
}

/// Where the last good copy is.
pub(super) fn good(store: &Path) -> PathBuf {
    beside(store, ".good")
}

/// A name for damaged remains that nothing has yet.
pub(super) fn damaged(store: &Path) -> PathBuf {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let mut path = beside(store, &format!(".damaged-{time}"));
    for n in 2.. {
        if !path.exists() {
            break;
        }
        path = beside(store, &format!(".damaged-{time}-{n}"));
    }
    path
}

/// Makes the file if it is missing, and keeps others from reading it. What SQLite puts beside it gets the same mode.
pub(super) fn make_private(path: &Path) -> Result<(), StoreError> {
    let make = || {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        let permissions = file.metadata()?.permissions();
        if permissions.mode() & 0o777 != MODE {
            fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        }
        Ok(())
    };
    make().map_err(|error| StoreError::io("open", path, &error))
}

/// Fills a new file by `fill` and puts it at `path` in one step: after a power cut there is the old one or the new one.
pub(super) fn replace(
    path: &Path,
    store: &Path,
    fill: impl FnOnce(&Path) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let unfinished = beside(store, ".new");
    remove(&unfinished).map_err(|error| StoreError::io("remove", &unfinished, &error))?;
    make_private(&unfinished)?;
    let filled = fill(&unfinished)
        .and_then(|()| durable::put(&unfinished, path).map_err(|error| StoreError::io("write", path, &error)));
    if filled.is_err() {
        // Room is what may be short now.
        let _ = remove(&unfinished);
    }
    filled
}

/// Moves the store with its log to another name.
pub(super) fn move_aside(store: &Path, to: &Path) -> Result<(), StoreError> {
    let rename = |from: &Path, to: &Path| match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let all = || {
        // The store itself goes first: while it is missing, no start mistakes the log of the old one for that of a new one.
        rename(store, to)?;
        rename(&beside(store, "-wal"), &beside(to, "-wal"))?;
        rename(&beside(store, "-shm"), &beside(to, "-shm"))?;
        durable::sync_dir(durable::parent(store))
    };
    all().map_err(|error| StoreError::io("move away", store, &error))
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
