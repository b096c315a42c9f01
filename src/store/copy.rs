//! Copies of the store: made beside it, found sound, then put in place of the one before.

use std::path::Path;

use super::{StoreError, check, files};

/// Copies what is committed to `to`, while others go on writing. A copy that is not sound never gets there.
pub(super) fn take(store: &Path, to: &Path) -> Result<(), StoreError> {
    files::replace(to, store, |unfinished| {
        as_it_is(store, unfinished)?;
        check::copy(unfinished)?;
        Ok(())
    })
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
