//! Copies of a file: made beside it, found sound, then put in place of the one before.

use std::path::Path;

use super::{StoreError, check, files};

/// Whether a copy is a good one.
pub(super) type Check = fn(&Path) -> Result<(), StoreError>;

/// Copies what is committed to `to`, while others go on writing. A copy that is not sound never gets there.
pub(super) fn take(store: &Path, to: &Path, sound: Check) -> Result<(), StoreError> {
    files::replace(to, store, |unfinished| {
        as_it_is(store, unfinished)?;
        sound(unfinished)
    })
}

/// Whether a file is larger than this, or its disk has not twice the room that a copy takes.
pub(super) fn is_too_large(store: &Path, most: u64) -> bool {
    let Ok(size) = std::fs::metadata(store).map(|file| file.len()) else { return false };
    let free =
        rustix::fs::statvfs(store.parent().unwrap_or(store)).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    size > most || free.is_ok_and(|free| free < size.saturating_mul(2))
}

/// Copies what is committed to `to`, with whatever is wrong in its records: for people to look at.
pub(super) fn keep_damaged_file(store: &Path, to: &Path) -> Result<(), StoreError> {
    files::replace(to, store, |unfinished| as_it_is(store, unfinished))
}

fn as_it_is(store: &Path, to: &Path) -> Result<(), StoreError> {
    let to = to.to_str().ok_or_else(|| StoreError::Failed(format!("{} is not UTF-8", to.display())))?;
    check::reader(store)?.execute("VACUUM INTO ?1", [to])?;
    Ok(())
}
