//! The container's file tree, from outside: every path is followed by the kernel as if the tree were all there is, so that
//! no link of an image leads out of it, and none through a process's open files.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, open, openat, openat2};
use rustix::io::Errno;

/// How often a lookup is tried again that met a rename elsewhere on the machine.
const TRIES: usize = 128;

/// A directory that paths can't leave.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

impl Root {
    /// The tree at a path of the host's.
    pub(super) fn open(at: &Path) -> Result<Self, Errno> {
        open(at, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(Self)
    }

    /// What a path leads to, for use as a place.
    pub(super) fn find(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlags::PATH)
    }

    /// What a path leads to, links at its end not followed.
    pub(super) fn find_itself(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW)
    }

    /// A directory to be read.
    pub(super) fn open_directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn open_at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut found = Err(Errno::AGAIN);
        for _ in 0..TRIES {
            found = openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), inside);
            if !matches!(found, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        found
    }

    /// A directory, made with those on the way to it where they are missing.
    pub(super) fn make_directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let reached = self.make_parents(path)?;
        self.open_at(&reached, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// A file, made empty with the directories on the way to it where they are missing.
    pub(super) fn make_file(&self, path: &Path) -> Result<OwnedFd, Errno> {
        match self.find(path) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().ok_or(Errno::ISDIR)?);
        let directory = self.make_directory(parent)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        match openat(&directory, name, flags, Mode::from_raw_mode(0o755)) {
            Ok(_) => self.find(path),
            Err(errno) => Err(errno),
        }
    }

    /// Makes each directory of a path that is missing, and returns the path without `..`.
    fn make_parents(&self, path: &Path) -> Result<PathBuf, Errno> {
        let mut reached = PathBuf::from("/");
        for name in names(path) {
            let next = reached.join(name);
            if let Err(Errno::NOENT) = self.find(&next) {
                let parent = self.find(&reached)?;
                match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                // A link that leads to nothing is there, and still there is nothing.
                self.find(&next).map_err(|errno| if errno == Errno::NOENT { Errno::EXIST } else { errno })?;
            }
            reached = next;
        }
        Ok(reached)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The names in a path from the top; `..` takes one away.
fn names(path: &Path) -> Vec<&OsStr> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => drop(names.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    names
}

/// The path of what a descriptor stands for, for calls that take no descriptors.
pub(super) fn path_of(descriptor: &impl std::os::fd::AsRawFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

/// What stands at a path of the host's.
pub(super) fn on_the_host(path: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_leads_out_of_the_tree() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("etc")).unwrap();
        fs::create_dir(directory.path().join("outside")).unwrap();
        symlink("../../outside", tree.join("up")).unwrap();
        symlink(directory.path().join("outside"), tree.join("far")).unwrap();
        symlink("/proc/self/cwd", tree.join("magic")).unwrap();
        symlink("nothing", tree.join("dangling")).unwrap();
        symlink("round", tree.join("round")).unwrap();
        let root = Root::open(&tree).unwrap();
        for link in ["up", "far", "magic"] {
            let path = Path::new("/").join(link).join("made");
            assert!(root.make_file(&path).is_err(), "{link}");
        }
        assert_eq!(fs::read_dir(directory.path().join("outside")).unwrap().count(), 0);
        assert_eq!(root.make_directory(Path::new("/dangling/x")).unwrap_err(), Errno::EXIST);
        assert_eq!(root.make_directory(Path::new("/round/x")).unwrap_err(), Errno::LOOP);
        root.make_directory(Path::new("/a/../b/c")).unwrap();
        root.make_file(Path::new("/etc/new/hosts")).unwrap();
        assert!(tree.join("b/c").is_dir() && !tree.join("a").exists() && tree.join("etc/new/hosts").is_file());
        assert_eq!(root.make_directory(Path::new("/etc/new/hosts")).unwrap_err(), Errno::NOTDIR);
        assert_eq!(root.make_file(Path::new("/etc/new/hosts/x")).unwrap_err(), Errno::NOTDIR);
    }
}
