//! Whether the disk has room for the calls of a file, before anything is changed for them.

use std::path::Path;

use super::{CallsFileError, read};
use crate::queue::LEFT_TO_OTHERS;
use crate::store::calls::{CallId, Loaded};

/// Compares what the file's calls take with what is `free`. What `is_there` already is not taken a second time.
///
/// # Errors
/// [`CallsFileError::Room`] if they don't fit.
pub(in crate::cli) fn check(
    path: &Path,
    longest: usize,
    free: u64,
    mut is_there: impl FnMut(CallId) -> Result<bool, CallsFileError>,
) -> Result<(), CallsFileError> {
    // A file is longer than what it says, so what fits as it is needs no closer look.
    let whole = path.metadata().map_or(0, |file| file.len());
    if whole.saturating_add(LEFT_TO_OTHERS) <= free {
        return Ok(());
    }
    let mut needed = LEFT_TO_OTHERS;
    read(path, longest, |calls| {
        for (_, loaded) in &calls {
            if !is_there(loaded.call.id)? {
                needed += size(loaded);
            }
        }
        Ok(())
    })?;
    match needed > LEFT_TO_OTHERS && needed > free {
        true => Err(CallsFileError::Room { path: path.to_owned(), needed, free }),
        false => Ok(()),
    }
}

fn size(loaded: &Loaded) -> u64 {
    let sent = loaded.request.as_ref().map_or(0, |request| request.head.len() + request.body.len());
    (loaded.call.path.len() + sent + loaded.answer.as_ref().map_or(0, |answer| answer.body.len())) as u64
}
