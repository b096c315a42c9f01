//! What must be true of the state directory before anything in it is believed: it is of this boot.
//!
//! A reboot ends every task, network namespace and address. Where the state directory does not lie on a file system in
//! memory, what it says of them is cleared here.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;

use crate::data_dir::write_atomically;

/// The file in the state directory that names the boot it belongs to.
const NOTE: &str = "boot-id";

/// Empties a state directory that belongs to an earlier boot, and notes the present one. Returns whether it did.
pub(super) fn forget_earlier(state_dir: &Path, boot_id: &Path) -> anyhow::Result<bool> {
    let now = fs::read_to_string(boot_id).with_context(|| format!("read the boot id in {}", boot_id.display()))?;
    let note = state_dir.join(NOTE);
    let earlier = match fs::read_to_string(&note) {
        Ok(noted) if noted == now => return Ok(false),
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("read {}", note.display())),
    };
    if earlier {
        tracing::info!(state_dir = %state_dir.display(), "the machine was started anew: forgetting what ran before");
        clear(state_dir).with_context(|| format!("clear {} of what ran before the reboot", state_dir.display()))?;
    }
    // As a whole: where a kill left half of it, the next start would clear what runs.
    fs::create_dir_all(state_dir).with_context(|| format!("make {}", state_dir.display()))?;
    write_atomically(&note, now.as_bytes(), 0o644).with_context(|| format!("write {}", note.display()))?;
    Ok(earlier)
}

fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_this_boot_is_kept_and_that_of_an_earlier_one_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let (state, boot_id) = (dir.path().join("state"), dir.path().join("boot_id"));
        fs::write(&boot_id, "one\n").unwrap();
        assert!(!forget_earlier(&state, &boot_id).unwrap());
        fs::create_dir(state.join("cni")).unwrap();
        fs::write(state.join("cni/lease"), "x").unwrap();
        assert!(!forget_earlier(&state, &boot_id).unwrap());
        assert!(state.join("cni/lease").exists());
        fs::write(&boot_id, "two\n").unwrap();
        assert!(forget_earlier(&state, &boot_id).unwrap());
        assert!(!state.join("cni").exists());
        assert!(!forget_earlier(&state, &boot_id).unwrap());
    }

    #[test]
    fn a_note_is_there_as_a_whole_whenever_its_writer_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let (state, boot_id, seen) = (dir.path().join("state"), dir.path().join("boot_id"), dir.path().join("seen"));
        fs::write(&boot_id, "one\n").unwrap();
        forget_earlier(&state, &boot_id).unwrap();
        // The file that was there keeps what it said: it is replaced, not written over.
        fs::hard_link(state.join(NOTE), &seen).unwrap();
        forget_earlier(&state, &boot_id).unwrap();
        fs::write(&boot_id, "two\n").unwrap();
        forget_earlier(&state, &boot_id).unwrap();
        assert_eq!(fs::read_to_string(&seen).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(state.join(NOTE)).unwrap(), "two\n");
    }
}
