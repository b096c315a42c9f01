//! Where all that an upgrade keeps is: a fixed place, so that it is found whatever the settings are or were.

use std::fs;
use std::io;
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

    /// What is under way, if anything is. A file that no actord wrote whole says nothing of that, and would be in the way of
    /// all that comes: it is put aside, and told of.
    ///
    /// # Errors
    /// When the file is there and can't be read; `InvalidData` if it is damaged and can't be put aside.
    pub fn marker(&self) -> io::Result<Option<Marker>> {
        let path = self.marker_path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(&path, &error)),
        };
        match serde_json::from_slice(&bytes) {
            Ok(marker) => Ok(Some(marker)),
            Err(error) => self.put_aside(&io::Error::new(io::ErrorKind::InvalidData, error)).map(|()| None),
        }
    }

    fn put_aside(&self, error: &io::Error) -> io::Result<()> {
        let (path, aside) = (self.marker_path(), self.0.join("trial.json.damaged"));
        match fs::rename(&path, &aside) {
            // Somebody else did.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => return Err(named(&path, error)),
            Ok(()) => {}
        }
        tracing::error!(
            %error,
            "{} is damaged and now called {}: nobody knows any more how far an upgrade had come. See which version runs (actord \
             version, dpkg -s actord), and upgrade or install again the one that should; copies of what was kept before are in \
             {} until the next upgrade begins, if it had come that far",
            path.display(),
            aside.display(),
            self.databases().display()
        );
        durable::sync_dir(&self.0)
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
    process::flock_holder(path)
}

/// The system's word, with the file's name before it.
pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::marker::Step;
    use crate::upgrade::marker::testing::marker;

    #[test]
    fn a_marker_that_is_none_is_put_aside_and_is_in_nobody_s_way() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        assert_eq!(home.marker().unwrap(), None);
        for damaged in ["", "{", "{}", "\0\0\0"] {
            fs::write(dir.path().join("trial.json"), damaged).unwrap();
            assert_eq!(home.marker_of(Path::new("/var/lib/actord")).unwrap(), None, "{damaged:?}");
            assert_eq!(fs::read_to_string(dir.path().join("trial.json.damaged")).unwrap(), damaged);
            assert!(!dir.path().join("trial.json").exists(), "{damaged:?}");
        }
        let whole = marker(Step::Prepared, false);
        home.mark(&whole).unwrap();
        assert_eq!(home.marker().unwrap(), Some(whole));
    }

    #[test]
    fn one_that_can_t_be_read_now_is_left_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("trial.json")).unwrap();
        let error = Home::new(dir.path()).marker().unwrap_err();
        assert!(error.to_string().contains("trial.json"), "{error}");
        assert!(dir.path().join("trial.json").exists());
    }
}
