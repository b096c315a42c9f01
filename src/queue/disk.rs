//! How much room the disk has that the calls' database is on: what fills it to the last byte harms functions, too.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So much is left to others, in bytes.
pub const LEFT: u64 = 64 << 20;
/// What was seen holds for so long.
const HOLDS: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Disk {
    directory: Option<PathBuf>,
    seen: Mutex<Option<(Instant, bool)>>,
}

impl Disk {
    /// The disk of a directory; without one there is always room.
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, seen: Mutex::new(None) }
    }

    /// Whether there is room for calls. A disk that can't be asked has some: the commit will tell.
    pub(super) fn has_room(&self) -> bool {
        let Some(directory) = &self.directory else { return true };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, room)) = *seen
            && when.elapsed() < HOLDS
        {
            return room;
        }
        let free = rustix::fs::statvfs(directory).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        let room = free.is_ok_and(|free| free >= LEFT) || free.is_err();
        *seen = Some((Instant::now(), room));
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_that_can_not_be_asked_has_room() {
        assert!(Disk::new(None).has_room());
        assert!(Disk::new(Some("/no/such/directory".into())).has_room());
    }
}
