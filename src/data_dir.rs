//! The data directory: locked by one actord at a time, and the home of what identifies this installation.
//!
//! ```text
//! <data-dir>/lock       flock of the running actord, with its pid in it
//! <data-dir>/host-id    16 hex digits, made once: the owner label of all that is ours
//! <data-dir>/auth/      see `credentials`
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::{durable, process};

/// How long the lock of an actord that has ended may be held: one that was killed as it started another program leaves it to
/// that, until it has become the program.
const LEFT_WITHIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another actord has it.
    #[error("{path} belongs to a running actord (pid {pid}): stop that one first, or give this one another --data-dir")]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// Who holds it, as far as it said.
        pid: String,
    },
    /// Something in it can't be read or written.
    #[error("can't use {0}: {1}")]
    Io(PathBuf, io::Error),
    /// A file in it holds something else than it should.
    #[error("{0} {1}")]
    Content(PathBuf, &'static str),
}

/// A data directory that is ours until this value goes.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    host_id: String,
    /// Closed on exec, so that no child inherits the lock.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is missing, and locks it.
    ///
    /// # Errors
    /// [`DataDirError::Locked`] while another actord has it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        make_private_dir(path)?;
        let lock = lock(path)?;
        let host_id = host_id(&path.join("host-id"))?;
        Ok(Self { path: path.to_owned(), host_id, _lock: lock })
    }

    /// The host id of a data directory that another actord may have locked.
    ///
    /// # Errors
    /// When there is no such directory, or it was never used.
    pub fn host_id_of(path: &Path) -> Result<String, DataDirError> {
        let path = path.join("host-id");
        if !path.exists() {
            return Err(DataDirError::Content(
                path,
                "is not there: no actord ever ran with this data directory; name the right one by --data-dir",
            ));
        }
        host_id(&path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What this installation calls itself: 16 hex digits, the same for ever.
    #[must_use]
    pub fn host_id(&self) -> &str {
        &self.host_id
    }
}

#[allow(clippy::disallowed_methods, reason = "the first thing that the program does: nothing else runs yet")]
fn lock(directory: &Path) -> Result<File, DataDirError> {
    let path = directory.join("lock");
    let io = |error| DataDirError::Io(path.clone(), error);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
    let mut waited = Duration::ZERO;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(io(error.into())),
        }
        let mut pid = String::new();
        file.rewind().and_then(|()| file.read_to_string(&mut pid)).map_err(io)?;
        let pid = pid.trim();
        if pid.parse().is_ok_and(process::lives) || waited > LEFT_WITHIN {
            let pid = if pid.is_empty() { "unknown" } else { pid }.to_owned();
            return Err(DataDirError::Locked { path: directory.to_owned(), pid });
        }
        thread::sleep(PAUSE);
        waited += PAUSE;
    }
    file.rewind().and_then(|()| file.set_len(0)).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(io)?;
    Ok(file)
}

fn host_id(path: &Path) -> Result<String, DataDirError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let id = text.trim();
            if id.len() == 16 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
                return Ok(id.to_owned());
            }
            // A new one would make everything that runs here a stranger's.
            Err(DataDirError::Content(path.to_owned(), "must hold 16 hex digits: restore it from a backup"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = format!("{:016x}", rand::random::<u64>());
            write_atomically(path, format!("{id}\n").as_bytes(), 0o644)?;
            Ok(id)
        }
        Err(error) => Err(DataDirError::Io(path.to_owned(), error)),
    }
}

/// Makes a directory that only root can enter, unless it is there.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), DataDirError> {
    durable::make_dir(path, 0o700).map_err(|error| DataDirError::Io(path.to_owned(), error))
}

/// Writes a file so that after a power cut it holds all of the old content or all of the new one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DataDirError> {
    durable::write(path, bytes, mode).map_err(|error| DataDirError::Io(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_actord_is_kept_out_and_told_who_is_in() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/data");
        let first = DataDir::open(&path).unwrap();
        let refused = DataDir::open(&path).unwrap_err();
        assert!(matches!(&refused, DataDirError::Locked { pid, .. } if *pid == std::process::id().to_string()));
        assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
        drop(first);
        DataDir::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "no task waits")]
    fn a_lock_that_an_ended_actord_left_to_a_child_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let ended =
            std::process::Command::new("true").spawn().and_then(|mut child| child.wait().map(|_| child.id())).unwrap();
        let held = DataDir::open(home.path()).unwrap();
        fs::write(home.path().join("lock"), format!("{ended}\n")).unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| DataDir::open(home.path()));
            thread::sleep(PAUSE * 4);
            assert!(!waits.is_finished());
            drop(held);
            waits.join().unwrap().unwrap();
        });
        assert_eq!(fs::read_to_string(home.path().join("lock")).unwrap().trim(), std::process::id().to_string());
    }

    #[test]
    fn the_host_id_is_made_once() {
        let home = tempfile::tempdir().unwrap();
        let id = DataDir::open(home.path()).unwrap().host_id().to_owned();
        assert_eq!(id.len(), 16);
        assert_eq!(DataDir::open(home.path()).unwrap().host_id(), id);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(DataDir::open(other.path()).unwrap().host_id(), id);
    }

    #[test]
    fn a_damaged_host_id_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("host-id"), "").unwrap();
        let refused = DataDir::open(home.path()).unwrap_err().to_string();
        assert!(refused.contains("host-id") && refused.contains("16 hex digits"), "{refused}");
        assert_eq!(fs::read(home.path().join("host-id")).unwrap(), b"");
    }

    #[test]
    fn a_directory_that_can_not_be_made_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = DataDir::open(&file.join("data")).unwrap_err().to_string();
        assert!(refused.contains(file.to_str().unwrap()), "{refused}");
    }
}
