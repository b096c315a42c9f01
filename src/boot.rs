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

/// The kernel's directory of network interfaces.
const INTERFACES: &str = "/sys/class/net";

/// A note of who owns something.
#[derive(Debug, Clone)]
struct Claim {
    note: PathBuf,
    /// What is there for as long as anything of the owner may run.
    evidence: PathBuf,
}

fn claims(config: &Config) -> [Claim; 2] {
    let bridge = &config.cni_bridge;
    [
        Claim { note: config.state_dir.join(OWNER), evidence: config.state_dir.clone() },
        Claim {
            note: Path::new(BRIDGES).join(format!("actord.{bridge}")),
            evidence: Path::new(INTERFACES).join(bridge),
        },
    ]
}

/// Claims the state directory and the bridge for the actord of this data directory, as long as anything of it may run.
pub(crate) fn claim(config: &Config, data: &DataDir) -> anyhow::Result<()> {
    claim_by(&claims(config), data)
}

fn claim_by(claims: &[Claim], data: &DataDir) -> anyhow::Result<()> {
    claims.iter().try_for_each(|claim| check_owner(claim, data))?;
    claims.iter().try_for_each(|Claim { note, .. }| {
        fs::create_dir_all(note.parent().unwrap_or(Path::new("/")))
            .and_then(|()| fs::write(note, format!("{} {}\n", data.host_id(), data.path().display())))
            .with_context(|| format!("write {}", note.display()))
    })
}

fn check_owner(Claim { note, evidence }: &Claim, data: &DataDir) -> anyhow::Result<()> {
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
    if !exists && !evidence.exists() {
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
pub(crate) fn release(config: &Config) -> anyhow::Result<()> {
    claims(config).iter().try_for_each(|Claim { note, .. }| match fs::remove_file(note) {
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
        let claims = ["state/owner", "bridge"]
            .map(|note| Claim { note: dir.path().join(note), evidence: dir.path().join("evidence") });
        let first = DataDir::open(&dir.path().join("first")).unwrap();
        let second = DataDir::open(&dir.path().join("second")).unwrap();
        claim_by(&claims[1..], &first).unwrap();
        let refused = claim_by(&claims, &second).unwrap_err().to_string();
        assert!(refused.contains(first.path().to_str().unwrap()) && refused.contains("--state-dir"), "{refused}");
        assert!(!claims[0].note.exists(), "who is refused claims nothing");
        claim_by(&claims, &first).unwrap();
        claim_by(&claims, &first).unwrap();

        // Killed and removed: its claim holds as long as anything may still run.
        fs::remove_dir_all(first.path()).unwrap();
        fs::write(dir.path().join("evidence"), "").unwrap();
        claim_by(&claims, &second).unwrap_err();
        fs::remove_file(dir.path().join("evidence")).unwrap();
        claim_by(&claims, &second).unwrap();
        assert!(fs::read_to_string(&claims[1].note).unwrap().starts_with(second.host_id()));
    }
}
