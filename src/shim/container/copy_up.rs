//! What an image has at a place where memory is mounted, copied there: directories, files and links, with their owners,
//! modes and times. Anything else stays behind.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chmodat, chownat, mkdirat, openat,
    readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::root::Root;

/// Copies what stands at a path of the tree into a file system that is not attached yet.
pub(super) fn copy(root: &Root, at: &Path, into: &OwnedFd) -> Result<(), Errno> {
    match root.open_directory(at) {
        Ok(from) => copy_directory(&from, into.as_fd()),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn copy_directory(from: &OwnedFd, into: BorrowedFd<'_>) -> Result<(), Errno> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            copy_entry(from, into, name)?;
        }
    }
    Ok(())
}

fn copy_entry(from: &OwnedFd, into: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            mkdirat(into, name, mode)?;
            let below = openat(into, name, read | OFlags::DIRECTORY, Mode::empty())?;
            copy_directory(&openat(from, name, read | OFlags::DIRECTORY, Mode::empty())?, below.as_fd())?;
        }
        FileType::RegularFile => {
            let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut target = std::fs::File::from(openat(into, name, write, mode)?);
            let mut source = std::fs::File::from(openat(from, name, read, Mode::empty())?);
            std::io::copy(&mut source, &mut target)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        FileType::Symlink => symlinkat(readlinkat(from, name, Vec::new())?, into, name)?,
        _ => return Ok(()),
    }
    keep(into, name, &stat)
}

fn keep(into: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let itself = AtFlags::SYMLINK_NOFOLLOW;
    chownat(into, name, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)), itself)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        // After the owner: a change of that takes the bits away with which a file runs as its owner.
        chmodat(into, name, Mode::from_raw_mode(stat.st_mode), AtFlags::empty())?;
    }
    let time =
        |seconds: i64, nanos: u64| Timespec { tv_sec: seconds, tv_nsec: i64::try_from(nanos).unwrap_or_default() };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    utimensat(into, name, &times, itself)
}
