//! The disks that actord and all that it runs write to: whether they have room for one more deploy.
//!
//! ```text
//! a deploy or update -> room() -> enough on each disk: it is written, pulled, started
//!                              -> else: refused in words, before anything is written
//! ```
//! Each look is written down for the metrics: no scrape asks a disk, which may not answer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use prometheus::{IntGaugeVec, Opts, Registry};
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::HostError;

const MIB: u64 = 1 << 20;

/// What a deploy needs of each disk, in bytes: a commit of the store and of its log, the container's record, its files. With
/// less than that left, what is deleted could not be written down either.
const NEEDED: u64 = 4 * MIB;
/// And in files.
const NEEDED_INODES: u64 = 64;

/// The disks of the machine.
#[async_trait]
pub trait Disks: Send + Sync {
    /// Whether a deploy has the room that every deploy needs.
    ///
    /// # Errors
    /// [`HostError::Full`] names the directory, how much there is and how much is needed. Any other error: it can't be told,
    /// or nothing can be written for another reason.
    async fn room(&self) -> Result<(), HostError>;

    /// How much of the disk that images lie on is used, in percent as `df` tells it: of what others than root may use.
    ///
    /// # Errors
    /// It can't be told.
    async fn used_percent(&self) -> Result<u8, HostError>;
}

/// A directory of actord's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// What the settings call it: `data directory`.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// The disks that these directories lie on. Images lie in the first of them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalDisks {
    directories: Vec<Directory>,
    /// Where what is seen is written down, once that is wanted.
    meters: Arc<OnceLock<Meters>>,
}

/// What the last look saw, by directory.
#[derive(Debug)]
struct Meters {
    free: IntGaugeVec,
    size: IntGaugeVec,
}

impl LocalDisks {
    /// Looks at nothing yet.
    #[must_use]
    pub fn new(directories: Vec<Directory>) -> Self {
        Self { directories, meters: Arc::default() }
    }

    /// Writes down under `registry` what every look from now on sees.
    ///
    /// # Errors
    /// When the names are taken.
    pub fn measure(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), &["directory"]);
        let meters = Meters {
            free: gauge("actord_disk_free_bytes", "Room for others than root on the disk of a directory of actord's")?,
            size: gauge("actord_disk_size_bytes", "How much that is when nothing is on the disk")?,
        };
        registry.register(Box::new(meters.free.clone()))?;
        registry.register(Box::new(meters.size.clone()))?;
        // A second call is refused by the metrics' registry already.
        let _ = self.meters.set(meters);
        Ok(())
    }
}

impl Meters {
    fn note(&self, directory: &Directory, free: Free) {
        let name = directory.name.trim_end_matches(" directory");
        let number = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.free.with_label_values(&[name]).set(number(free.bytes));
        self.size.with_label_values(&[name]).set(number(free.size));
    }
}

#[async_trait]
impl Disks for LocalDisks {
    async fn room(&self) -> Result<(), HostError> {
        let Self { directories, meters } = self.clone();
        blocking(move || {
            // A disk that is full does not hide the others.
            let looks = directories.iter().map(|directory| {
                let free = Free::of(&directory.path)?;
                if let Some(meters) = meters.get() {
                    meters.note(directory, free);
                }
                enough(directory, free)
            });
            looks.fold(Ok(()), Result::and)
        })
        .await
    }

    async fn used_percent(&self) -> Result<u8, HostError> {
        let unknown = || HostError::Failed("it is not known where images lie".to_owned());
        let path = self.directories.first().ok_or_else(unknown)?.path.clone();
        blocking(move || {
            let failed = |error| HostError::Failed(format!("look for room in {}: {error}", path.display()));
            let about = statvfs(&path).map_err(failed)?;
            Ok(percent(about.f_blocks.saturating_sub(about.f_bfree), about.f_bavail))
        })
        .await
    }
}

/// So many of all, rounded up.
fn percent(used: u64, available: u64) -> u8 {
    let (used, all) = (u128::from(used), u128::from(used) + u128::from(available));
    u8::try_from((used * 100).div_ceil(all.max(1))).unwrap_or(100)
}

/// A disk that does not answer holds up a thread that waits for nothing else.
async fn blocking<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    let looked = tokio::task::spawn_blocking(look).await;
    looked.unwrap_or_else(|lost| Err(HostError::Failed(format!("look for room on the disks: {lost}"))))
}

/// What is left of a disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Free {
    /// For whoever is not root: the file system keeps some back.
    pub(super) bytes: u64,
    /// What that could be at most.
    size: u64,
    /// None where the file system does not count them.
    inodes: Option<u64>,
}

impl Free {
    /// Of the disk that a directory lies on.
    pub(super) async fn of_directory(path: &Path) -> Result<Self, HostError> {
        let path = path.to_owned();
        blocking(move || Self::of(&path)).await
    }

    fn of(path: &Path) -> Result<Self, HostError> {
        let failed = |error| HostError::Failed(format!("look for room in {}: {error}", path.display()));
        let about = statvfs(path).map_err(failed)?;
        if about.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(HostError::Failed(format!(
                "{} is mounted read-only: mount it to be written to",
                path.display()
            )));
        }
        let used = about.f_blocks.saturating_sub(about.f_bfree);
        Ok(Self {
            bytes: about.f_bavail.saturating_mul(about.f_frsize),
            size: used.saturating_add(about.f_bavail).saturating_mul(about.f_frsize),
            inodes: Some(about.f_favail).filter(|_| about.f_files > 0),
        })
    }
}

fn enough(Directory { name, path }: &Directory, free: Free) -> Result<(), HostError> {
    let (path, advice) = (path.display(), "free some on that disk and try again");
    match free {
        Free { bytes, .. } if bytes < NEEDED => Err(HostError::Full(format!(
            "the disk of the {name} {path} is full: {} KiB are free, a deploy needs {} KiB: {advice}",
            bytes >> 10,
            NEEDED >> 10
        ))),
        Free { inodes: Some(inodes), .. } if inodes < NEEDED_INODES => Err(HostError::Full(format!(
            "the disk of the {name} {path} has no room for more files: {inodes} are left, a deploy needs {NEEDED_INODES}: {advice}"
        ))),
        Free { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_for_bytes_or_files_is_named_with_its_directory() {
        let directory = Directory { name: "state directory", path: "/run/actord".into() };
        for (bytes, inodes, full) in [
            (NEEDED, Some(NEEDED_INODES), None),
            (NEEDED, None, None),
            (NEEDED - 1, None, Some("4095 KiB are free")),
            (0, Some(1000), Some("0 KiB are free")),
            (NEEDED, Some(3), Some("3 are left")),
        ] {
            match (enough(&directory, Free { bytes, size: 0, inodes }), full) {
                (Ok(()), None) => {}
                (Err(HostError::Full(words)), Some(part)) => {
                    assert!(words.contains("state directory /run/actord") && words.contains(part), "{words}");
                }
                other => panic!("{bytes} {inodes:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_used_is_rounded_up_as_df_does_and_nothing_of_nothing_is_none() {
        for (used, available, expected) in
            [(0, 0, 0), (0, 10, 0), (1, 999, 1), (85, 15, 85), (851, 149, 86), (10, 0, 100), (u64::MAX, u64::MAX, 50)]
        {
            assert_eq!(percent(used, available), expected, "{used} {available}");
        }
    }

    #[tokio::test]
    async fn every_look_is_written_down_also_behind_a_disk_that_is_full() {
        let directory = |name, path: &str| Directory { name, path: path.into() };
        // /proc has no blocks at all.
        let disks = LocalDisks::new(vec![directory("data directory", "/proc/self"), directory("state directory", "/")]);
        let registry = Registry::new();
        disks.measure(&registry).unwrap();
        assert!(disks.measure(&registry).is_err());
        assert!(matches!(disks.room().await, Err(HostError::Full(words)) if words.contains("/proc/self")));
        let meters = disks.meters.get().unwrap();
        let seen = |gauge: &IntGaugeVec, name| gauge.with_label_values(&[name]).get();
        assert_eq!((seen(&meters.free, "data"), seen(&meters.size, "data")), (0, 0));
        let (free, size) = (seen(&meters.free, "state"), seen(&meters.size, "state"));
        assert!(0 < free && free <= size, "{free} of {size}");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_no_full_disk() {
        let there = Directory { name: "data directory", path: "/proc/self".into() };
        let gone = Directory { name: "data directory", path: "/nonexistent".into() };
        // Nothing can be written to /proc, which says that it has no blocks at all.
        assert!(matches!(LocalDisks::new(vec![there]).room().await, Err(HostError::Full(_))));
        assert!(matches!(LocalDisks::new(vec![gone]).room().await, Err(HostError::Failed(_))));
        assert_eq!(LocalDisks::new(Vec::new()).room().await, Ok(()));
    }
}
