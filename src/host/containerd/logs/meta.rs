//! What is known of one log: whose it is, how far it is recorded, and where it begins.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{SeekFrom, seek};

use super::index::{self, Head};
use crate::function::FunctionId;
use crate::host::LogTime;

#[derive(Debug)]
pub(super) struct LogMeta {
    pub(super) head: Head,
    /// Where the recorded part of the log ends.
    pub(super) ends: u64,
    /// The time of what is kept of it first.
    pub(super) since: Timestamp,
    /// The time of the latest record: later ones are never earlier.
    latest: Timestamp,
    /// The length of the index.
    pub(super) size: u64,
    /// Whether its instance is gone.
    pub(super) ended: bool,
    /// Whether it goes together with its instance, since its function is gone already.
    pub(super) forgotten: bool,
}

impl LogMeta {
    /// Of a log that begins now.
    pub(super) fn begin(index: &Path, function: &FunctionId) -> io::Result<Self> {
        let head = Head { function: function.clone(), born: Timestamp::now(), begins: 0 };
        let size = index::create(index, &head)?;
        Ok(Self::new(head, size, false))
    }

    /// Of a log that was there before.
    pub(super) fn open(index: &Path, log: &Path, ended: bool) -> io::Result<Self> {
        let opened = index::open(index, fs::metadata(log)?.len())?;
        let mut meta = Self::new(opened.head, opened.size, ended);
        meta.head.begins = meta.head.begins.max(first_byte(log)?);
        meta.ends = opened.last.map_or(0, |last| last.end).max(meta.head.begins);
        meta.latest = opened.last.map_or(meta.latest, |last| last.at);
        meta.since = index::first(index, opened.size)?.unwrap_or(meta.since);
        Ok(meta)
    }

    fn new(head: Head, size: u64, ended: bool) -> Self {
        let ends = head.begins;
        Self { head, ends, since: Timestamp::MAX, latest: Timestamp::MIN, size, ended, forgotten: false }
    }

    /// Records what the log has more than was recorded, as written when the file was written last: that is the truth for
    /// its last line, also where actord was away. Says whether there was anything.
    pub(super) fn look(&mut self, index: &Path, log: &Path) -> io::Result<bool> {
        let about = fs::metadata(log)?;
        if about.len() <= self.ends {
            return Ok(false);
        }
        let at = written(&about).max(self.latest);
        self.size = index::append(index, self.size, LogTime { end: about.len(), at })?;
        (self.ends, self.latest, self.since) = (about.len(), at, self.since.min(at));
        Ok(true)
    }

    /// The bytes that it takes on the disk.
    pub(super) fn used(&self) -> u64 {
        self.ends - self.head.begins + self.size
    }
}

/// The time of a file's last write.
pub(super) fn written(about: &fs::Metadata) -> Timestamp {
    about.modified().ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Where a file's hole at its beginning ends.
fn first_byte(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    match seek(&file, SeekFrom::Data(0)) {
        Ok(place) => Ok(place),
        // No byte, or nothing but a hole.
        Err(rustix::io::Errno::NXIO) => Ok(file.metadata()?.len()),
        Err(_) => Ok(0),
    }
}
