//! A lock that all actords of a host have in common, without a file of its own: the firewall plugin's binary, locked
//! with flock(2).
//!
//! The firewall plugin makes chains that all networks share and then writes rules into them, in several steps. What
//! removes the chains in between makes that ADD fail. So every ADD holds this lock shared, and the removal needs it
//! alone.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Held until it is dropped; also ends with the process.
#[derive(Debug)]
pub(super) struct HostLock {
    _file: File,
}

/// Waits for the lock in common with others. `binary` is None where the network list has no such plugin.
pub(super) async fn shared(binary: Option<PathBuf>) -> io::Result<Option<HostLock>> {
    let Some(binary) = binary else { return Ok(None) };
    let lock = move || {
        let file = File::open(binary)?;
        flock(&file, FlockOperation::LockShared)?;
        Ok(Some(HostLock { _file: file }))
    };
    tokio::task::spawn_blocking(lock).await.map_err(io::Error::other)?
}

/// The lock alone, or None where another network has it.
pub(super) fn alone(binary: Option<PathBuf>) -> io::Result<Option<HostLock>> {
    let Some(binary) = binary else { return Ok(None) };
    let file = File::open(binary)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(None),
        other => {
            other?;
            Ok(Some(HostLock { _file: file }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_share_it_and_nobody_has_it_alone_meanwhile() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = || Some(file.path().to_owned());
        let first = shared(path()).await.unwrap();
        let second = shared(path()).await.unwrap();
        assert!(first.is_some() && second.is_some());
        assert!(alone(path()).unwrap().is_none());
        drop((first, second));
        assert!(alone(path()).unwrap().is_some());
        assert!(shared(None).await.unwrap().is_none());
    }
}
