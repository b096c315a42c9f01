//! What a runtime that goes into an instance's user namespace first can't make there: the network namespace belongs to the
//! machine, so no process in that user namespace may set its parameters, or mount the view of devices that goes with it. Both
//! are made ahead, as the machine's root: the mount lies in the instance's directory until its task is made, or it is removed.
//!
//! The built-in runtime needs none of this: it goes into the user namespace last.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use super::oci::PARAMETERS;
use crate::host::containerd::of_path::of_path;
use crate::host::{HostError, IdMapping};

/// Makes it: the parameters of the network namespace at `netns`, and the mount at `sys`.
///
/// # Errors
/// The path and what the kernel said.
pub(super) async fn make(netns: PathBuf, sys: PathBuf) -> io::Result<()> {
    let (send, done) = oneshot::channel();
    // A thread of its own, since one that left our network namespace must never run anything else.
    std::thread::Builder::new().name("made-ahead".to_owned()).spawn(move || {
        let _ = send.send(make_on_this_thread(&netns, &sys));
    })?;
    done.await.unwrap_or_else(|_| Err(io::Error::other("the thread that made it died")))
}

fn make_on_this_thread(netns: &Path, sys: &Path) -> io::Result<()> {
    let namespace = File::open(netns).map_err(|error| of_path(netns, &error))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| of_path(netns, &errno.into()))?;
    for (name, value) in PARAMETERS {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        fs::write(&path, value).map_err(|error| of_path(&path, &error))?;
    }
    fs::create_dir_all(sys).map_err(|error| of_path(sys, &error))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("sysfs", sys, "sysfs", flags, None).map_err(|errno| of_path(sys, &errno.into()))
}

/// Whether root of a user namespace, who is nobody on the machine, comes to what lies in `directory`: no directory above it
/// may keep others out.
///
/// # Errors
/// [`HostError::Failed`] names the one that does, and the next step.
pub(super) fn must_be_reachable(directory: &Path, ids: IdMapping) -> Result<(), HostError> {
    for above in directory.ancestors() {
        let closed = fs::metadata(above).is_ok_and(|about| {
            let mode = about.permissions().mode();
            let own = about.gid() == ids.first() && mode & 0o010 != 0;
            mode & 0o001 == 0 && !own
        });
        if closed {
            let above = above.display();
            return Err(HostError::Failed(format!(
                "this runtime enters {} as user {} (user-namespaces), whom {above} keeps out: chmod o+x {above}, or use the built-in runtime",
                directory.display(),
                ids.first()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_directory_that_keeps_others_out_is_named_with_what_opens_it() {
        let base = tempfile::tempdir().unwrap();
        let (above, below) = (base.path().join("a"), base.path().join("a/b"));
        fs::create_dir_all(&below).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let ids = "100000:65536".parse().unwrap();
        set(base.path(), 0o711);
        set(&below, 0o711);
        for (mode, open) in [(0o711, true), (0o755, true), (0o700, false), (0o750, false)] {
            set(&above, mode);
            let told = must_be_reachable(&below, ids);
            match open {
                true => assert_eq!(told, Ok(())),
                false => {
                    let told = told.unwrap_err().to_string();
                    assert!(told.contains(&format!("chmod o+x {},", above.display())), "{told}");
                }
            }
        }
    }
}
