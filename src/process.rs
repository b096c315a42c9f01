//! Processes as the kernel shows them, and what a program leaves open to those that it starts.

use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::str::FromStr;

use rustix::io::Errno;
use rustix::process::Pid;

/// Whether there is such a process and it has not ended: one whose parent has not taken note of its end has.
pub(crate) fn lives(pid: i32) -> bool {
    Pid::from_raw(pid).and_then(stat).is_some_and(|(state, _)| !has_ended(state))
}

/// Whether a process has ended by the state that [`stat`] tells.
pub(crate) fn has_ended(state: u8) -> bool {
    matches!(state, b'Z' | b'X')
}

/// State and start time, in clock ticks since boot, from `/proc/PID/stat`. The second field is the command's name and may
/// hold anything.
pub(crate) fn stat(pid: Pid) -> Option<(u8, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.bytes().next()?;
    // starttime is field 22, state is field 3.
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Who holds the exclusive flock of the file with this inode, by the text of `/proc/locks`: the first of [`holders`].
pub(crate) fn holder<T: FromStr>(locks: &str, inode: u64) -> Option<T> {
    holders(locks, inode).next()
}

/// Those who hold the exclusive flock of a file with this inode, by the text of `/proc/locks`. More than one: file systems have
/// inodes of the same numbers.
fn holders<T: FromStr>(locks: &str, inode: u64) -> impl Iterator<Item = T> {
    locks.lines().filter_map(move |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = words[..] else { return None };
        (file.rsplit(':').next()? == inode.to_string()).then(|| pid.parse().ok())?
    })
}

/// Who holds the exclusive flock of this very file. The table's word for a device is not what a file says of its own on every
/// file system, so whom it names has to have the file open.
pub(crate) fn flock_holder(path: &Path) -> Option<i32> {
    believed(&fs::read_to_string("/proc/locks").ok()?, path)
}

fn believed(locks: &str, path: &Path) -> Option<i32> {
    let wanted = which(path)?;
    holders::<i32>(locks, wanted.1).find(|pid| {
        let mut open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.any(|file| which(&file.path()) == Some(wanted))
    })
}

/// Which file this is, whatever its name: device and inode.
pub(crate) fn which(path: &Path) -> Option<(u64, u64)> {
    let about = fs::metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

/// Has all descriptors from `first` on closed when a program is executed. One system call: it may be made between fork and
/// exec.
///
/// # Errors
/// What the kernel says; one that is too old marks none.
pub(crate) fn close_at_exec(first: RawFd) -> Result<(), Errno> {
    // SAFETY: close_range with CLOEXEC only marks descriptors.
    #[allow(unsafe_code)]
    let marked = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked < 0 { Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)) } else { Ok(()) }
}

/// Leaves nothing but the standard streams to a program that is executed. What Rust and Go open is marked already: an old
/// kernel, which marks none, is fine.
pub(crate) fn keep_nothing_open() {
    let _ = close_at_exec(3);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_read_from_the_kernels_table() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:42 0 EOF\n2: FLOCK  ADVISORY  READ 12 fe:00:42 0 EOF\n\
            3: FLOCK  ADVISORY  WRITE 13 fe:00:421 0 EOF\n4: FLOCK  ADVISORY  WRITE 14 fe:00:42 0 EOF\n";
        assert_eq!(holder(locks, 42), Some(14));
        assert_eq!(holder::<i32>(locks, 43), None);
    }

    #[test]
    fn a_holder_is_believed_that_has_the_very_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = fs::File::create(&path).unwrap();
        assert_eq!(flock_holder(&path), None);
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(flock_holder(&path), Some(own));

        // Another file system has a file of the same number, which the parent has locked.
        let (_, inode) = which(&path).unwrap();
        let stranger = format!("1: FLOCK ADVISORY WRITE {} 00:01:{inode} 0 EOF\n", std::os::unix::process::parent_id());
        assert_eq!(holder(&stranger, inode), Some(std::os::unix::process::parent_id()), "by its number it is one");
        assert_eq!(believed(&stranger, &path), None);
        let both = format!("{stranger}2: FLOCK ADVISORY WRITE {own} 00:02:{inode} 0 EOF\n");
        assert_eq!(believed(&both, &path), Some(own));
        drop(file);
        assert_eq!(flock_holder(&path), None);
    }
}
