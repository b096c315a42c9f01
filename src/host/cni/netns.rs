//! Named network namespaces, made and removed as `ip netns` does, so that it shows them: a file under `/run/netns` that
//! keeps the namespace alive by a bind mount.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statfs};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use tokio::sync::oneshot;

use super::netlink;
use super::quiet::{self, Families};

/// The file system of namespaces (linux/magic.h).
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Makes a namespace at `path`, quiet and with its loopback up. Fails when there is a file already.
pub(super) async fn create(path: PathBuf, families: Families) -> io::Result<()> {
    let (send, done) = oneshot::channel();
    // A thread of its own, since a thread that left our network namespace must never run anything else.
    std::thread::Builder::new().name("netns".to_owned()).spawn(move || {
        let _ = send.send(create_on_this_thread(&path, families));
    })?;
    done.await.unwrap_or_else(|_| Err(io::Error::other("the thread that made the namespace died")))
}

fn create_on_this_thread(path: &Path, families: Families) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    share(dir)?;
    OpenOptions::new().write(true).create_new(true).mode(0o444).open(path)?;
    let mounted = enter_new(families).and_then(|()| Ok(mount_bind("/proc/thread-self/ns/net", path)?));
    if let Err(error) = mounted {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(())
}

fn enter_new(families: Families) -> io::Result<()> {
    // SAFETY: what makes unshare unsafe is CLONE_FILES; this only changes the network namespace of this thread, which
    // ends after the namespace was mounted.
    #[allow(unsafe_code)]
    unsafe {
        unshare_unsafe(UnshareFlags::NEWNET)?;
    }
    // Before there is a link: none of them ever listens to a neighbour.
    quiet::quieten(families)?;
    netlink::loopback_up()
}

/// Runs `look` on a thread of its own inside the namespace.
pub(super) async fn inside<T: Send + 'static>(
    path: &Path,
    look: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (send, done) = oneshot::channel();
    let namespace = File::open(path)?;
    std::thread::Builder::new().name("netns".to_owned()).spawn(move || {
        let entered = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
        let _ = send.send(entered.map_err(io::Error::from).and_then(|()| look()));
    })?;
    done.await.unwrap_or_else(|_| Err(io::Error::other("the thread that looked into the namespace died")))
}

/// Makes `dir` a shared mount, as `ip netns` does, so that mount namespaces made later see a namespace's removal; else
/// each would keep it alive. Locks the directory as `ip netns` does, so that two never stack a mount.
fn share(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let lock = File::open(dir)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let shared = || mount_change(dir, MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    match shared() {
        // Not a mount point yet.
        Err(Errno::INVAL) => {
            mount_bind_recursive(dir, dir)?;
            shared()?;
        }
        other => other?,
    }
    Ok(())
}

/// Whether there is a namespace at `path`, not only a file without one.
pub(super) fn is_live(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.f_type == NSFS_MAGIC)
}

/// Removes the namespace, or the file that was to be one. Idempotent.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    // Each unmount takes one layer off; a file without any layer answers INVAL.
    loop {
        match unmount(path, UnmountFlags::DETACH) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(error) => return Err(error.into()),
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
