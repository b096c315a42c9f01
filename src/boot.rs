//! What must be true of the state directory before anything in it is believed: it is of this boot, and ours.
//!
//! A reboot ends every task, network namespace and address. Where the state directory does not lie on a file system in
//! memory, what it says of them is cleared here. Another data directory's actord would take everything that runs from
//! this state directory for orphans, so it is kept out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use actord::config::Config;
use actord::data_dir::DataDir;
use anyhow::{Context, bail};

/// The file in the state directory that names the boot it belongs to.
const NOTE: &str = "boot-id";

/// Empties a state directory that belongs to an earlier boot, and notes the present one. Returns whether it did.
pub(crate) fn forget_earlier(state_dir: &Path, boot_id: &Path) -> anyhow::Result<bool> {
    let now = fs::read_to_string(boot_id).with_context(|| format!("read the boot id in {}", boot_id.display()))?;
    let note = state_dir.join(NOTE);
    let earlier = match fs::read_to_string(&note) {
        Ok(noted) => noted != now,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("read {}", note.display())),
    };
    if earlier {
        tracing::info!(state_dir = %state_dir.display(), "the machine was started anew: forgetting what ran before");
        clear(state_dir).with_context(|| format!("clear {} of what ran before the reboot", state_dir.display()))?;
    }
    fs::create_dir_all(state_dir)
        .and_then(|()| fs::write(&note, now))
        .with_context(|| format!("write {}", note.display()))?;
    Ok(earlier)
}

/// The file in the state directory that names the installation it belongs to: host id, then data directory.
const OWNER: &str = "owner";

/// Where the owner of a bridge is noted, as `actord.BRIDGE`: all that hangs on a bridge is found by its name.
const BRIDGES: &str = "/run/lock";

fn notes(config: &Config) -> [PathBuf; 2] {
    [config.state_dir.join(OWNER), Path::new(BRIDGES).join(format!("actord.{}", config.cni_bridge))]
}

/// Claims the state directory and the bridge for the actord of this data directory, as long as anything of it may run.
pub(crate) fn claim(config: &Config, data: &DataDir) -> anyhow::Result<()> {
    claim_by(&notes(config), data)
}

fn claim_by(notes: &[PathBuf], data: &DataDir) -> anyhow::Result<()> {
    notes.iter().try_for_each(|note| check_owner(note, data))?;
    notes.iter().try_for_each(|note| {
        fs::create_dir_all(note.parent().unwrap_or(Path::new("/")))
            .and_then(|()| fs::write(note, format!("{} {}\n", data.host_id(), data.path().display())))
            .with_context(|| format!("write {}", note.display()))
    })
}

fn check_owner(note: &Path, data: &DataDir) -> anyhow::Result<()> {
    let noted = match fs::read_to_string(note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("read {}", note.display()))?,
    };
    let (owner, directory) = noted.trim_end().split_once(' ').unwrap_or_default();
    if !owner.is_empty() && owner != data.host_id() {
        bail!(
            "{} says that this belongs to the actord with the data directory {directory}: give this one another \
             --state-dir, --cni-bridge, --cni-name, --cni-subnet and --cgroup-parent, or end that one with `actord \
             down` first (if its data directory is lost, remove that file: what still runs is then removed as left over)",
            note.display()
        );
    }
    Ok(())
}

/// Gives them back after everything was removed.
pub(crate) fn release(config: &Config) -> anyhow::Result<()> {
    notes(config).iter().try_for_each(|note| match fs::remove_file(note) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", note.display()))
        }
        _ => Ok(()),
    })
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
    fn what_one_actord_claimed_is_kept_from_that_of_another_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let notes = [dir.path().join("state/owner"), dir.path().join("bridge")];
        let first = DataDir::open(&dir.path().join("first")).unwrap();
        let second = DataDir::open(&dir.path().join("second")).unwrap();
        claim_by(&notes[1..], &first).unwrap();
        let refused = claim_by(&notes, &second).unwrap_err().to_string();
        assert!(refused.contains(first.path().to_str().unwrap()) && refused.contains("--state-dir"), "{refused}");
        assert!(!notes[0].exists(), "who is refused claims nothing");
        claim_by(&notes, &first).unwrap();
        claim_by(&notes, &first).unwrap();
        for note in &notes {
            fs::remove_file(note).unwrap();
        }
        claim_by(&notes, &second).unwrap();
    }
}
