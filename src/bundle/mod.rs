//! All that a machine without a network needs, in one file: actord's package, what that needs, images, stack files.
//!
//! ```text
//! create: package -> debs (what apt would install) \                    apply: bundle -> read (every byte is looked at)
//!         stack files, images ----------------------> write -> bundle          -> site (apt, from these packages alone)
//! ```
//! A bundle is one tar: `manifest.json`, its sum, and what the manifest names, in its order. It is exactly what [`write()`] makes
//! of its manifest, down to the last byte: [`unpack`] refuses everything else, before anything on the machine is touched. The
//! sums tell what was damaged on the way, not who made it.

mod debs;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod layout;
mod manifest;
mod programs;
mod read;
mod site;
mod staging;
mod write;

use std::io;
use std::path::{Path, PathBuf};

pub use debs::{Collected, collect, kept_package};
pub use manifest::{Manifest, Member, Package, archive};
pub use read::unpack;
pub use site::{Installed, bring_in, fits, start};
pub use staging::Staging;
pub use write::{Content, Draft, write};

/// Where the images of a bundle are.
pub const IMAGES: &str = "images";
/// Where its stack files are.
pub const STACKS: &str = "stacks";
/// Where the packages are that actord's own needs.
const DEBS: &str = "debs";
/// actord's package.
const PACKAGE: &str = "actord.deb";
/// The program out of that package, which applies the bundle on a machine that has none.
const PROGRAM: &str = "actord";
/// What a bare machine runs first.
const INSTALL: &str = "install";
/// Its text.
const INSTALL_SCRIPT: &str = include_str!("install.sh");

/// Why a bundle was not made or not applied. Each says what comes next.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file can't be read or written.
    #[error("can't {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what was once written as a bundle.
    #[error("{bundle} is not taken, and nothing was changed: {why}")]
    Broken {
        /// Which file.
        bundle: PathBuf,
        /// Where it differs.
        why: String,
    },
    /// What was asked for can't be had like this.
    #[error("{0}")]
    Unfit(String),
    /// A program of the system did not do its part.
    #[error("{what}: {why}")]
    Program {
        /// What it was to do.
        what: String,
        /// What it said, and what to do about it.
        why: String,
    },
}

impl BundleError {
    fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    fn broken(bundle: &Path, why: impl Into<String>) -> Self {
        Self::Broken { bundle: bundle.to_owned(), why: why.into() }
    }
}

#[cfg(test)]
mod tests;
