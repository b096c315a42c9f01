//! The copy of a file tree with other owners: files, links, hard links, nodes, holes, modes, times and extended attributes as
//! they are, the capabilities of files and the bits with which they run as their owners among them.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use containerd_client::types::Mount;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat,
    chownat, lgetxattr, linkat, llistxattr, lsetxattr, mkdirat, mknodat, openat, readlinkat, seek, statat, symlinkat,
    syncfs, utimensat,
};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::owners;
use crate::host::IdMapping;
use crate::host::containerd::mounts::mount_all;
use crate::host::containerd::of_path::of_path;

/// Deeper than programs go. Each level takes some of the thread's stack, and three of the files that may be open.
const DEEPEST: usize = 256;
/// So much of a file is copied between two looks whether to go on.
const STEP: u64 = 64 << 20;
/// The longest list of names, or value, that the kernel has.
const ATTRIBUTES_MAX: usize = 1 << 16;

const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = READ.union(OFlags::DIRECTORY);

/// Why a tree is not copied.
#[derive(Debug)]
pub(super) enum Uncopied {
    /// What it has can't be mapped.
    Image(String),
    Machine(io::Error),
}

/// Copies the tree that these mounts are into an empty directory, for a mapping. It must run on a thread that ends with it:
/// the mounts are made in a namespace of its own, over that directory, and are gone with it.
pub(super) fn copy(image: &[Mount], into: &Path, ids: IdMapping, stop: &AtomicBool) -> Result<(), Uncopied> {
    let failed = |error: io::Error| Uncopied::Machine(of_path(into, &error));
    let to = openat(CWD, into, DIRECTORY, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let from = mount_unseen(image, into).map_err(failed)?;
    copy_tree(&from, &to, ids, stop)?;
    // Before it has a name: a power cut leaves the whole of it, or nothing.
    syncfs(&to).map_err(|errno| failed(errno.into()))
}

fn mount_unseen(image: &[Mount], at: &Path) -> io::Result<OwnedFd> {
    // SAFETY: what makes unshare unsafe is CLONE_FILES; mounts and working directory become this thread's own, which ends.
    #[allow(unsafe_code)]
    unsafe {
        unshare_unsafe(UnshareFlags::NEWNS)?;
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_all(image, at, MountFlags::RDONLY)?;
    Ok(openat(CWD, at, DIRECTORY, Mode::empty())?)
}

fn copy_tree(from: &OwnedFd, to: &OwnedFd, ids: IdMapping, stop: &AtomicBool) -> Result<(), Uncopied> {
    let mut tree = Tree { ids, stop, top: to, at: PathBuf::new(), links: HashMap::new() };
    tree.directory(from, to, 0)?;
    let root = statat(from, c".", AtFlags::empty()).map_err(|errno| tree.failed(errno))?;
    tree.keep(from, to, c".", &root)
}

struct Tree<'a> {
    ids: IdMapping,
    stop: &'a AtomicBool,
    top: &'a OwnedFd,
    /// Where it is, from the top.
    at: PathBuf,
    /// Where files of several names were copied first, by device and number.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Tree<'_> {
    fn failed(&self, error: impl Into<io::Error>) -> Uncopied {
        Uncopied::Machine(of_path(&Path::new("/").join(&self.at), &error.into()))
    }

    fn mapped(&self, kind: &str, number: u32) -> Result<u32, Uncopied> {
        self.ids.on_the_machine(number).ok_or_else(|| self.unmapped(kind, number))
    }

    fn unmapped(&self, kind: &str, number: u32) -> Uncopied {
        Uncopied::Image(format!(
            "its {:?} belongs to {kind} {number}, and user-namespace-ids ({}) has {}: build it with smaller numbers, or give more there",
            Path::new("/").join(&self.at),
            self.ids,
            self.ids.count()
        ))
    }

    fn go_on(&self) -> Result<(), Uncopied> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(self.failed(Errno::CANCELED)),
            false => Ok(()),
        }
    }

    fn directory(&mut self, from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<(), Uncopied> {
        if depth > DEEPEST {
            let name = self.at.iter().next_back().unwrap_or_default();
            return Err(Uncopied::Image(format!(
                "its directory {name:?} lies under more than {DEEPEST} others: build it flatter"
            )));
        }
        for entry in Dir::read_from(from).map_err(|errno| self.failed(errno))? {
            let entry = entry.map_err(|errno| self.failed(errno))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.go_on()?;
            self.at.push(OsStr::from_bytes(name.to_bytes()));
            self.entry(from, to, name, depth)?;
            self.at.pop();
        }
        Ok(())
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr, depth: usize) -> Result<(), Uncopied> {
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| self.failed(errno))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            mkdirat(to, name, Mode::RWXU).map_err(|errno| self.failed(errno))?;
            let open = |of: &OwnedFd| openat(of, name, DIRECTORY, Mode::empty()).map_err(|errno| self.failed(errno));
            let (from, to) = (open(from)?, open(to)?);
            self.directory(&from, &to, depth + 1)?;
        } else {
            if stat.st_nlink > 1 {
                if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                    return linkat(self.top, first, to, name, AtFlags::empty()).map_err(|errno| self.failed(errno));
                }
                self.links.insert((stat.st_dev, stat.st_ino), self.at.clone());
            }
            self.file(from, to, name, kind, &stat)?;
        }
        self.keep(from, to, name, &stat)
    }

    fn file(&self, from: &OwnedFd, to: &OwnedFd, name: &CStr, kind: FileType, stat: &Stat) -> Result<(), Uncopied> {
        let made = match kind {
            FileType::RegularFile => return self.content(from, to, name, stat.st_size),
            FileType::Symlink => readlinkat(from, name, Vec::new()).and_then(|target| symlinkat(target, to, name)),
            _ => mknodat(to, name, kind, Mode::empty(), stat.st_rdev),
        };
        made.map_err(|errno| self.failed(errno))
    }

    fn content(&self, from: &OwnedFd, to: &OwnedFd, name: &CStr, size: i64) -> Result<(), Uncopied> {
        let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |of, flags, mode| openat(of, name, flags, mode).map(File::from).map_err(|errno| self.failed(errno));
        let (mut source, mut target) = (open(from, READ, Mode::empty())?, open(to, write, Mode::RUSR | Mode::WUSR)?);
        let size = u64::try_from(size).unwrap_or_default();
        target.set_len(size).map_err(|error| self.failed(error))?;
        let mut at = 0;
        while at < size {
            self.go_on()?;
            let data = match seek(&source, SeekFrom::Data(at)) {
                // Nothing but a hole follows.
                Err(Errno::NXIO) => break,
                found => found.map_err(|errno| self.failed(errno))?,
            };
            let hole = seek(&source, SeekFrom::Hole(data)).map_err(|errno| self.failed(errno))?;
            let copied = source.seek(io::SeekFrom::Start(data)).and_then(|_| {
                target.seek(io::SeekFrom::Start(data))?;
                io::copy(&mut source.by_ref().take((hole - data).min(STEP)), &mut target)
            });
            at = match copied.map_err(|error| self.failed(error))? {
                0 => break,
                bytes => data + bytes,
            };
        }
        Ok(())
    }

    /// Gives a copy what its original has: its owners first, since a change of those takes others away.
    fn keep(&self, from: &OwnedFd, to: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), Uncopied> {
        let failed = |errno: Errno| self.failed(errno);
        let (uid, gid) = (self.mapped("user", stat.st_uid)?, self.mapped("group", stat.st_gid)?);
        let itself = AtFlags::SYMLINK_NOFOLLOW;
        chownat(to, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), itself).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            chmodat(to, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty()).map_err(failed)?;
        }
        self.attributes(&path_in(from, name), &path_in(to, name))?;
        let time =
            |seconds: i64, nanos: u64| Timespec { tv_sec: seconds, tv_nsec: i64::try_from(nanos).unwrap_or_default() };
        #[allow(clippy::useless_conversion, reason = "the fields have other types on other architectures")]
        let times = Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec.into()),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec.into()),
        };
        utimensat(to, name, &times, itself).map_err(failed)
    }

    fn attributes(&self, from: &CStr, to: &CStr) -> Result<(), Uncopied> {
        let failed = |errno: Errno| self.failed(errno);
        let mut names = Vec::with_capacity(ATTRIBUTES_MAX);
        match llistxattr(from, rustix::buffer::spare_capacity(&mut names)) {
            Ok(_) => {}
            Err(Errno::NOTSUP) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        }
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let mut value = Vec::with_capacity(ATTRIBUTES_MAX);
            lgetxattr(from, name, rustix::buffer::spare_capacity(&mut value)).map_err(failed)?;
            let value = owners::mapped(name, value, self.ids);
            let value = value.map_err(|number| self.unmapped("user or group", number))?;
            lsetxattr(to, name, &value, XattrFlags::empty()).map_err(failed)?;
        }
        Ok(())
    }
}

/// The path of an entry of a directory, for calls that take no descriptors.
fn path_in(directory: &impl AsFd, name: &CStr) -> CString {
    let at = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
    let path = Path::new(&at).join(OsStr::from_bytes(name.to_bytes()));
    // It was made of a string that ends, and has no other end in it.
    CString::new(path.into_os_string().into_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};

    use super::*;

    const CAPABILITY: &str = "security.capability";
    const ACL: &str = "system.posix_acl_access";

    fn ids() -> IdMapping {
        "100000:65536".parse().unwrap()
    }

    fn copied(from: &Path, to: &Path) -> Result<(), Uncopied> {
        fs::create_dir(to).unwrap();
        let open = |path: &Path| openat(CWD, path, DIRECTORY, Mode::empty()).unwrap();
        copy_tree(&open(from), &open(to), ids(), &AtomicBool::new(false))
    }

    fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
        let mut value = Vec::with_capacity(ATTRIBUTES_MAX);
        lgetxattr(path, name, rustix::buffer::spare_capacity(&mut value)).ok().map(|_| value)
    }

    /// All that there is to know of each path, but its owners, number and what it holds.
    fn about(top: &Path) -> BTreeMap<PathBuf, (u32, u64, u64, u64, i64, i64)> {
        let mut found = BTreeMap::new();
        let mut left = vec![top.to_owned()];
        while let Some(path) = left.pop() {
            let about = fs::symlink_metadata(&path).unwrap();
            if about.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let size = if about.is_dir() { 0 } else { about.size() };
            let all = (about.mode(), about.nlink(), size, about.rdev(), about.mtime(), about.mtime_nsec());
            found.insert(path.strip_prefix(top).unwrap().to_owned(), all);
        }
        found
    }

    /// A version 2 value that grants `net_bind_service`.
    fn capability() -> Vec<u8> {
        [0x0200_0001_u32, 0x400, 0, 0, 0].map(u32::to_le_bytes).concat()
    }

    fn list(user: u32) -> Vec<u8> {
        let entry = |tag: u16, permissions: u16, id: u32| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let none = u32::MAX;
        [
            2_u32.to_le_bytes().to_vec(),
            entry(1, 6, none),
            entry(2, 4, user),
            entry(4, 4, none),
            entry(16, 6, none),
            entry(32, 4, none),
        ]
        .concat()
    }

    #[test]
    fn a_copy_has_all_that_its_original_has_and_other_owners() {
        // On a disk: not every file system in memory has all attributes.
        let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let (from, to) = (base.path().join("from"), base.path().join("to"));
        let at = |name: &str| from.join(name);
        fs::create_dir_all(at("dir/below")).unwrap();
        fs::write(at("dir/below/file"), "content").unwrap();
        fs::write(at("runs-as-owner"), "x").unwrap();
        fs::write(at("may-bind"), "x").unwrap();
        fs::write(at("listed"), "x").unwrap();
        fs::write(at("none"), "").unwrap();
        fs::hard_link(at("dir/below/file"), at("second-name")).unwrap();
        symlink("/etc/passwd", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        for (name, kind, device) in [
            ("whiteout", FileType::CharacterDevice, rustix::fs::makedev(0, 0)),
            ("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
            ("block", FileType::BlockDevice, rustix::fs::makedev(7, 200)),
            ("fifo", FileType::Fifo, 0),
            ("socket", FileType::Socket, 0),
        ] {
            mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
        }
        let sparse = File::create(at("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"far", 1 << 39).unwrap();
        for (name, uid, gid) in
            [("runs-as-owner", 1000, 1001), ("dir", 7, 8), ("link", 9, 10), ("fifo", 65_535, 65_535)]
        {
            rustix::fs::chownat(
                CWD,
                at(name),
                Some(Uid::from_raw(uid)),
                Some(Gid::from_raw(gid)),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .unwrap();
        }
        for (name, mode) in [("runs-as-owner", 0o6755), ("dir", 0o1777), ("dir/below", 0o2750), ("second-name", 0o400)]
        {
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        for (name, attribute, value) in [
            ("may-bind", CAPABILITY, capability()),
            ("dir", "user.note", b"kept".to_vec()),
            ("dir/below", "trusted.overlay.opaque", b"y".to_vec()),
            ("listed", ACL, list(1000)),
        ] {
            lsetxattr(at(name), attribute, &value, XattrFlags::empty()).unwrap();
        }
        let long_ago = Timespec { tv_sec: 1_000_000_007, tv_nsec: 89 };
        for name in ["dir/below/file", "link", "dir", ".", "fifo"] {
            let times = Timestamps { last_access: long_ago, last_modification: long_ago };
            utimensat(CWD, at(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }

        copied(&from, &to).unwrap();
        assert_eq!(about(&to), about(&from));
        for (path, ..) in about(&from) {
            let [before, after] = [&from, &to].map(|top| fs::symlink_metadata(top.join(&path)).unwrap());
            assert_eq!((after.uid(), after.gid()), (100_000 + before.uid(), 100_000 + before.gid()), "{path:?}");
        }
        let copy = |name: &str| to.join(name);
        assert_eq!(
            fs::metadata(copy("second-name")).unwrap().ino(),
            fs::metadata(copy("dir/below/file")).unwrap().ino()
        );
        assert_eq!(fs::read(copy("second-name")).unwrap(), b"content");
        assert_eq!(fs::read_link(copy("link")).unwrap(), Path::new("/etc/passwd"));
        assert!(fs::symlink_metadata(copy("socket")).unwrap().file_type().is_socket());
        assert_eq!(attribute(&copy("may-bind"), CAPABILITY), Some(capability()));
        assert_eq!(attribute(&copy("dir"), "user.note").as_deref(), Some(&b"kept"[..]));
        assert_eq!(attribute(&copy("dir/below"), "trusted.overlay.opaque").as_deref(), Some(&b"y"[..]));
        assert_eq!(attribute(&copy("listed"), ACL), Some(list(101_000)));
        let mut far = [0; 3];
        let sparse = File::open(copy("sparse")).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&sparse, &mut far, 1 << 39).unwrap();
        assert_eq!(
            (&far, fs::metadata(copy("sparse")).unwrap().blocks() < 1_000),
            (b"far", true),
            "its holes stay holes"
        );
    }

    #[test]
    fn an_owner_that_is_not_mapped_is_told_with_its_path() {
        for (uid, gid, list_of, told) in [
            (65_536, 0, None, "user 65536"),
            (0, 70_000, None, "group 70000"),
            (0, 0, Some(80_000), "user or group 80000"),
        ] {
            let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
            let (from, to) = (base.path().join("from"), base.path().join("to"));
            fs::create_dir_all(from.join("a")).unwrap();
            fs::write(from.join("a/file"), "").unwrap();
            chown(from.join("a/file"), Some(uid), Some(gid)).unwrap();
            if let Some(user) = list_of {
                lsetxattr(from.join("a/file"), ACL, &list(user), XattrFlags::empty()).unwrap();
            }
            let Err(Uncopied::Image(why)) = copied(&from, &to) else { panic!("copied") };
            assert!(why.contains("/a/file") && why.contains(told) && why.contains("100000:65536"), "{why}");
        }
    }

    #[test]
    fn directories_are_copied_as_deep_as_programs_go_and_deeper_ones_are_refused_in_words() {
        for (depth, is_copied) in [(DEEPEST, true), (DEEPEST + 1, false)] {
            let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
            let (from, to) = (base.path().join("from"), base.path().join("to"));
            fs::create_dir_all(from.join(vec!["d"; depth].join("/"))).unwrap();
            match copied(&from, &to) {
                Ok(()) => assert!(is_copied && to.join(vec!["d"; depth].join("/")).is_dir(), "{depth}"),
                Err(Uncopied::Image(why)) => assert!(!is_copied && why.contains("more than 256 others"), "{why}"),
                Err(Uncopied::Machine(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_copy_that_is_not_wanted_any_more_ends() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("file"), "").unwrap();
        let open = |path: &Path| openat(CWD, path, DIRECTORY, Mode::empty()).unwrap();
        let to = tempfile::tempdir().unwrap();
        let ended = copy_tree(&open(base.path()), &open(to.path()), ids(), &AtomicBool::new(true));
        assert!(matches!(ended, Err(Uncopied::Machine(_))), "{ended:?}");
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
    }
}
