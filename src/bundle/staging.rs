//! A directory for what is needed for a while: it goes with its owner.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::BundleError;

/// A directory that is removed with all that is in it once it is dropped.
#[derive(Debug)]
pub struct Staging(PathBuf);

impl Staging {
    /// Makes one below a directory, which none but its owner can look into.
    ///
    /// # Errors
    /// [`BundleError::Io`].
    pub fn make(below: &Path) -> Result<Self, BundleError> {
        let path = below.join(format!("actord-bundle-{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path).map_err(BundleError::io("make", &path))?;
        // Other programs work in other directories.
        let path = path.canonicalize().map_err(BundleError::io("find", &path))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a directory in it.
    ///
    /// # Errors
    /// [`BundleError::Io`].
    pub fn directory(&self, name: &str) -> Result<PathBuf, BundleError> {
        let path = self.0.join(name);
        fs::create_dir_all(&path).map_err(BundleError::io("make", &path))?;
        Ok(path)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What can't be removed is in a directory for what is needed for a while.
        let _ = fs::remove_dir_all(&self.0);
    }
}
