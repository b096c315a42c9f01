//! An instance's root file system before it runs: the image's account files are read there, its volumes made.

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use containerd_client::types::Mount;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::MountFlags;

use super::user::{Accounts, Identity, UserText};
use super::volumes::{self, Volume};
use crate::host::containerd::mounts::{mount_all, unmount_all};
use crate::host::{HostError, IdMapping};

/// The longest account file that is read.
const ACCOUNTS_MAX: u64 = 4 << 20;

/// Mounts the root at `at`, tells who its process runs as, makes the volumes at `paths`, and unmounts it again. An account
/// file that is not there is empty.
///
/// # Errors
/// The outer one where the machine fails; the inner one where the image has no such user, or something else at a path.
pub(super) fn prepare(
    mounts: &[Mount],
    at: &Path,
    user: UserText<'_>,
    paths: &[PathBuf],
    ids: Option<IdMapping>,
) -> io::Result<Result<(Identity, Vec<Volume>), HostError>> {
    fs::create_dir_all(at)?;
    let access = if paths.is_empty() { MountFlags::RDONLY } else { MountFlags::empty() };
    let root = Mounted::new(mounts, at, access)?;
    let identity = match user.by_number() {
        Some(identity) => Ok(identity),
        None => user.resolve(&Accounts { passwd: root.read("etc/passwd")?, group: root.read("etc/group")? }),
    };
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => return Ok(Err(error)),
    };
    let owners = match volumes::Owners::of(&identity, ids) {
        Ok(owners) => owners,
        Err(error) => return Ok(Err(error)),
    };
    Ok(volumes::make(at, paths, &owners)?.map(|volumes| (identity, volumes)))
}

struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(mounts: &[Mount], at: &'a Path, access: MountFlags) -> io::Result<Self> {
        mount_all(mounts, at, access)?;
        Ok(Self(at))
    }

    /// Reads a file of the image's, whose links are followed inside the image only.
    fn read(&self, path: &str) -> io::Result<String> {
        let root = fs::File::open(self.0)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat2(root.as_fd(), path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(file) => fs::File::from(file),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(String::new()),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Ok(String::new());
        }
        let mut bytes = Vec::new();
        file.take(ACCOUNTS_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if let Err(error) = unmount_all(self.0) {
            tracing::warn!(%error, "could not unmount {}; removing the instance tries again", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(base: &Path, layers: usize) -> Mount {
        let layer = |n: usize| base.join(format!("a-rather-long-directory-name-for-a-layer/{n}/fs"));
        for n in 0..layers {
            fs::create_dir_all(layer(n).join("etc")).unwrap();
        }
        for directory in ["upper", "work"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        fs::write(layer(layers - 1).join("etc/passwd"), "low:x:1:1::/:\n").unwrap();
        fs::write(layer(0).join("etc/group"), "top:x:2:\n").unwrap();
        // An absolute link, as images have them: it must not lead out of the image.
        std::os::unix::fs::symlink("/etc/passwd", layer(1).join("etc/shadow")).unwrap();
        let lower: Vec<_> = (0..layers).map(|n| layer(n).display().to_string()).collect();
        Mount {
            r#type: "overlay".into(),
            source: "overlay".into(),
            target: String::new(),
            options: vec![
                "index=off".into(),
                format!("workdir={}", base.join("work").display()),
                format!("upperdir={}", base.join("upper").display()),
                format!("lowerdir={}", lower.join(":")),
            ],
        }
    }

    #[test]
    fn account_files_are_read_through_all_layers_however_many_and_nothing_stays_mounted() {
        for layers in [2, 100] {
            let base = tempfile::tempdir().unwrap();
            let at = base.path().join("root");
            let user = UserText::new(Some("low:top"));
            let (identity, volumes) = prepare(&[overlay(base.path(), layers)], &at, user, &[], None).unwrap().unwrap();
            assert_eq!((identity.uid, identity.gid, volumes), (1, 2, Vec::new()));
            assert_eq!(fs::read_dir(&at).unwrap().count(), 0, "unmounted");
        }
    }

    #[test]
    fn a_volume_is_made_in_the_instances_own_layer_and_not_in_the_images() {
        let base = tempfile::tempdir().unwrap();
        let at = base.path().join("root");
        let (mounts, paths) = ([overlay(base.path(), 2)], [PathBuf::from("data")]);
        let (_, volumes) = prepare(&mounts, &at, UserText::new(Some("5:6")), &paths, None).unwrap().unwrap();
        assert_eq!((volumes[0].uid, volumes[0].gid, volumes[0].empty), (5, 6, true));
        assert!(base.path().join("upper/data").is_dir());
        assert_eq!(fs::read_dir(&at).unwrap().count(), 0, "unmounted");
    }

    #[test]
    fn a_link_in_the_image_is_followed_inside_the_image_only() {
        let base = tempfile::tempdir().unwrap();
        let at = base.path().join("root");
        fs::create_dir_all(&at).unwrap();
        let root = Mounted::new(&[overlay(base.path(), 2)], &at, MountFlags::RDONLY).unwrap();
        assert_eq!(root.read("etc/shadow").unwrap(), "low:x:1:1::/:\n");
    }
}
