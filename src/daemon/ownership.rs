//! Whose the state directory and the bridge are: one data directory's. The actord of another one would take everything that
//! runs there for orphans, so it is kept out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::Config;
use crate::data_dir::DataDir;

/// The file in the state directory that names the installation it belongs to: host id, then data directory.
const OWNER: &str = "owner";

/// Where the owner of a bridge is noted, as `actord.BRIDGE`: all that hangs on a bridge is found by its name.
const BRIDGES: &str = "/run/lock";

/// The kernel's directory of network interfaces.
const INTERFACES: &str = "/sys/class/net";

/// A note of who owns something.
#[derive(Debug, Clone)]
struct OwnerNote {
    note: PathBuf,
    /// What is there for as long as anything of the owner may run.
    proof: PathBuf,
}

fn notes_of(config: &Config) -> [OwnerNote; 2] {
    let bridge = &config.cni_bridge;
    [
        OwnerNote { note: config.state_dir.join(OWNER), proof: config.state_dir.clone() },
        OwnerNote {
            note: Path::new(BRIDGES).join(format!("actord.{bridge}")),
            proof: Path::new(INTERFACES).join(bridge),
        },
    ]
}

/// Claims the state directory and the bridge for the actord of this data directory, as long as anything of it may run.
pub(super) fn claim(config: &Config, data: &DataDir) -> anyhow::Result<()> {
    take(&notes_of(config), data)
}

fn take(notes: &[OwnerNote], data: &DataDir) -> anyhow::Result<()> {
    notes.iter().try_for_each(|note| check_owner(note, data))?;
    notes.iter().try_for_each(|OwnerNote { note, .. }| {
        fs::create_dir_all(note.parent().unwrap_or(Path::new("/")))
            .and_then(|()| fs::write(note, format!("{} {}\n", data.host_id(), data.path().display())))
            .with_context(|| format!("write {}", note.display()))
    })
}

fn check_owner(OwnerNote { note, proof }: &OwnerNote, data: &DataDir) -> anyhow::Result<()> {
    let noted = match fs::read_to_string(note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("read {}", note.display()))?,
    };
    let (owner, directory) = noted.trim_end().split_once(' ').unwrap_or_default();
    if owner.is_empty() || owner == data.host_id() {
        return Ok(());
    }
    // An actord that was killed, and whose data directory was removed, can't take its note back.
    let exists = DataDir::host_id_of(Path::new(directory)).is_ok_and(|found| found == owner);
    if !exists && !proof.exists() {
        tracing::info!(note = %note.display(), "the actord that this belonged to is gone: taking it over");
        return Ok(());
    }
    bail!(
        "{} says that this belongs to the actord with the data directory {directory}: give this one another \
         --state-dir, --cni-bridge, --cni-name, --cni-subnet and --cgroup-parent, or end that one with `actord \
         down` first (if its data directory is lost, remove that file: what still runs is then removed as left over)",
        note.display()
    );
}

/// Gives them back after everything was removed.
pub(super) fn release(config: &Config) -> anyhow::Result<()> {
    notes_of(config).iter().try_for_each(|OwnerNote { note, .. }| match fs::remove_file(note) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", note.display()))
        }
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_actord_claimed_is_kept_from_that_of_another_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let notes = ["state/owner", "bridge"]
            .map(|note| OwnerNote { note: dir.path().join(note), proof: dir.path().join("proof") });
        let first = DataDir::open(&dir.path().join("first")).unwrap();
        let second = DataDir::open(&dir.path().join("second")).unwrap();
        take(&notes[1..], &first).unwrap();
        let refused = take(&notes, &second).unwrap_err().to_string();
        assert!(refused.contains(first.path().to_str().unwrap()) && refused.contains("--state-dir"), "{refused}");
        assert!(!notes[0].note.exists(), "an actord that is refused notes nothing");
        take(&notes, &first).unwrap();
        take(&notes, &first).unwrap();

        // Killed and removed: its note holds as long as anything may still run.
        fs::remove_dir_all(first.path()).unwrap();
        fs::write(dir.path().join("proof"), "").unwrap();
        take(&notes, &second).unwrap_err();
        fs::remove_file(dir.path().join("proof")).unwrap();
        take(&notes, &second).unwrap();
        assert!(fs::read_to_string(&notes[1].note).unwrap().starts_with(second.host_id()));
    }
}
