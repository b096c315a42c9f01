//! What a directory and all in it takes of its disk. Whoever writes in it may do so while it is counted, and may wish to
//! mislead: no link is followed, directories are entered by their names from the one above and never by a whole path,
//! and no more is kept in memory than the way down.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;

/// How many entries are looked at in one step.
const STEP: usize = 2_000;
/// Deeper than programs go. What is below is not looked at, and is taken for more than any bound.
const DEEPEST: usize = 256;
/// The least that an entry counts: a file system has no more inodes than it has blocks.
const BLOCK: u64 = 4_096;
/// The unit of `st_blocks`.
const SECTOR: u64 = 512;

/// A count that is under way.
#[derive(Debug)]
pub(super) struct Tree {
    bytes: u64,
    /// The way down to where it is.
    way: Vec<Dir>,
}

impl Tree {
    /// Begins with a directory.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = openat(CWD, root, DIRECTORY, Mode::empty())?;
        Ok(Self { bytes: 0, way: vec![Dir::new(root)?] })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_done(&self) -> bool {
        self.way.is_empty()
    }

    /// Looks at the next entries.
    pub(super) fn step(mut self) -> io::Result<Self> {
        for _ in 0..STEP {
            let Some(here) = self.way.last_mut() else { break };
            let Some(entry) = here.read() else {
                self.way.pop();
                continue;
            };
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let about = match statat(here.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                about => about?,
            };
            self.bytes = self.bytes.saturating_add(taken(&about));
            if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
                continue;
            }
            let below: OwnedFd = match openat(here.fd()?, name, DIRECTORY, Mode::empty()) {
                // It went, or something else has its name now.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                below => below?,
            };
            if self.way.len() == DEEPEST {
                return Ok(Self { bytes: u64::MAX, way: Vec::new() });
            }
            self.way.push(Dir::new(below)?);
        }
        Ok(self)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What an entry takes: of a file with several names each has its share.
#[allow(clippy::useless_conversion, reason = "the fields have other types on other architectures")]
pub(super) fn taken(about: &Stat) -> u64 {
    let bytes = u64::try_from(about.st_blocks).unwrap_or(0).saturating_mul(SECTOR);
    let names = match FileType::from_raw_mode(about.st_mode) {
        FileType::Directory => 1,
        _ => u64::from(about.st_nlink).max(1),
    };
    (bytes / names).max(BLOCK)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn count(root: &Path) -> u64 {
        let mut tree = Tree::open(root).unwrap();
        while !tree.is_done() {
            tree = tree.step().unwrap();
        }
        tree.bytes()
    }

    fn file(at: &Path, bytes: usize) {
        fs::write(at, vec![1; bytes]).unwrap();
        fs::File::open(at).unwrap().sync_all().unwrap();
    }

    #[test]
    fn files_count_with_their_blocks_and_one_with_two_names_once() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(count(root.path()), 0);
        fs::create_dir(root.path().join("d")).unwrap();
        file(&root.path().join("d/a"), 1 << 20);
        let one = count(root.path());
        assert!((1 << 20..2 << 20).contains(&one), "{one}");
        fs::hard_link(root.path().join("d/a"), root.path().join("b")).unwrap();
        assert!(count(root.path()).abs_diff(one) <= 2 * BLOCK, "{} and {one}", count(root.path()));
    }

    #[test]
    fn a_hole_takes_nothing_and_an_empty_file_a_block() {
        let root = tempfile::tempdir().unwrap();
        fs::File::create(root.path().join("hole")).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(count(root.path()), BLOCK);
        for n in 0..5_000 {
            fs::File::create(root.path().join(n.to_string())).unwrap();
        }
        assert_eq!(count(root.path()), 5_001 * BLOCK, "more than one step");
    }

    #[test]
    fn no_link_is_followed() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        file(&other.path().join("a"), 1 << 20);
        symlink(other.path(), root.path().join("l")).unwrap();
        symlink(other.path().join("a"), root.path().join("f")).unwrap();
        symlink(root.path(), root.path().join("itself")).unwrap();
        assert_eq!(count(root.path()), 3 * BLOCK);
    }

    #[test]
    fn what_is_deeper_than_programs_go_is_more_than_any_bound() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(vec!["d"; DEEPEST - 1].join("/"))).unwrap();
        assert!(count(root.path()) < 1 << 30);
        fs::create_dir_all(root.path().join(vec!["d"; DEEPEST].join("/"))).unwrap();
        assert_eq!(count(root.path()), u64::MAX);
    }
}
