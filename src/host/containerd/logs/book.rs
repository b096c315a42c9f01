//! What is known of one log: how far it is recorded, and where it begins.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::index::{self, Head};
use super::written;
use crate::function::FunctionId;
use crate::host::Stamp;

#[derive(Debug)]
pub(super) struct Book {
    pub(super) head: Head,
    /// Where the recorded part of the log ends.
    pub(super) ends: u64,
    /// The time of the latest record: later ones are never earlier.
    latest: Timestamp,
    /// The length of the index.
    pub(super) size: u64,
}

impl Book {
    /// Of a log that begins now.
    pub(super) fn begin(index: &Path, function: &FunctionId) -> io::Result<Self> {
        let head = Head { function: function.clone(), born: Timestamp::now(), begins: 0 };
        let size = index::create(index, &head)?;
        Ok(Self { head, ends: 0, latest: Timestamp::MIN, size })
    }

    /// Of a log that was there before.
    pub(super) fn open(index: &Path, log: &Path) -> io::Result<Self> {
        let opened = index::open(index, fs::metadata(log)?.len())?;
        let ends = opened.last.map_or(opened.head.begins, |last| last.end.max(opened.head.begins));
        let latest = opened.last.map_or(Timestamp::MIN, |last| last.at);
        Ok(Self { head: opened.head, ends, latest, size: opened.size })
    }

    /// Records what the log has more than was recorded, as written when the file was written last: that is the truth for
    /// its last line, also where actord was away. Says whether there was anything.
    pub(super) fn look(&mut self, index: &Path, log: &Path) -> io::Result<bool> {
        let about = fs::metadata(log)?;
        if about.len() <= self.ends {
            return Ok(false);
        }
        let at = written(&about).max(self.latest);
        self.size = index::append(index, self.size, Stamp { end: about.len(), at })?;
        (self.ends, self.latest) = (about.len(), at);
        Ok(true)
    }
}
