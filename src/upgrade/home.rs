//! Where all that an upgrade keeps is: a fixed place, so that it is found whatever the settings are or were.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::marker::Marker;
use crate::{durable, process};

/// It is no setting: a program that was not told of one must find what an earlier one left.
pub const HOME: &str = "/var/lib/actord-upgrade";

/// Where programs are found that are called from here: dpkg, systemctl and what they call.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What only root may read: a copy of the store holds what functions get in their environment.
const PRIVATE: u32 = 0o600;

/// The home of upgrades, and the files in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The home in this directory. Nothing is made.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is under way, if anything is.
    ///
    /// # Errors
    /// When the file is there and can't be read, or no actord wrote it.
    pub fn marker(&self) -> io::Result<Option<Marker>> {
        let path = self.marker_path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(&path, &error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| named(&path, &error.into()))
    }

    /// What is under way with this data directory, if anything is.
    ///
    /// # Errors
    /// As [`Home::marker`].
    pub fn marker_of(&self, data_dir: &Path) -> io::Result<Option<Marker>> {
        let whole = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Ok(self.marker()?.filter(|marker| whole(&marker.data_dir) == whole(data_dir)))
    }

    /// Writes what is under way. It is on the disk when this returns.
    ///
    /// # Errors
    /// What the system said.
    pub fn mark(&self, marker: &Marker) -> io::Result<()> {
        let path = self.marker_path();
        let bytes = serde_json::to_vec_pretty(marker)?;
        durable::write(&path, &bytes, PRIVATE).map_err(|error| named(&path, &error))
    }

    /// Nothing is under way any more. That is on the disk when this returns.
    pub(super) fn unmark(&self) -> io::Result<()> {
        match fs::remove_file(self.marker_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(&self.marker_path(), &error)),
            _ => durable::sync_dir(&self.0),
        }
    }

    fn marker_path(&self) -> PathBuf {
        self.0.join("trial.json")
    }

    /// Locked by the watcher.
    pub(super) fn lock(&self) -> PathBuf {
        self.0.join("trial.lock")
    }

    /// Locked by an `up` that waits.
    pub(super) fn parked(&self) -> PathBuf {
        self.0.join("parked")
    }

    /// The old program.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        self.0.join("kept/actord")
    }

    /// The new program, or the package that it comes in.
    pub(super) fn next(&self, name: &str) -> PathBuf {
        self.0.join("next").join(name)
    }

    /// Packages as they were installed.
    pub(super) fn debs(&self) -> PathBuf {
        self.0.join("debs")
    }

    /// Copies of what is kept.
    pub(super) fn databases(&self) -> PathBuf {
        self.0.join("databases")
    }

    /// What the watcher says, where no service manager keeps that.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("watch.log")
    }

    /// What came of the last upgrade.
    pub(super) fn last_path(&self) -> PathBuf {
        self.0.join("last.json")
    }

    /// Who watches, if anybody does.
    #[must_use]
    pub fn watcher(&self) -> Option<i32> {
        holder(&self.lock())
    }
}

/// Who holds the lock of a file.
pub(super) fn holder(path: &Path) -> Option<i32> {
    let about = fs::metadata(path).ok()?;
    process::holder(&fs::read_to_string("/proc/locks").ok()?, about.ino())
}

/// The system's word, with the file's name before it.
pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
