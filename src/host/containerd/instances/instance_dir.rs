//! An instance's own files on the host: resolv.conf, hosts and secrets.
//!
//! They lie in `<instances>/<id>/`, which a reboot may empty (and should, for the secrets).

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::user::Identity;
use crate::function::{InstanceId, SecretName};
use crate::host::containerd::gone::gone;
use crate::host::containerd::mounts::unmount_all;
use crate::host::containerd::of_path::of_path;

/// Where the files of all instances lie.
#[derive(Debug, Clone)]
pub(super) struct InstanceDirs {
    pub(super) instances: PathBuf,
}

/// The files of one instance.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) resolv_conf: PathBuf,
    pub(super) hosts: PathBuf,
    pub(super) secrets: PathBuf,
}

/// What an instance knows of its own name.
#[derive(Debug)]
pub(super) struct HostName<'a> {
    pub(super) hostname: &'a str,
    /// The instance's own address: where its name leads, as it does for every other program.
    pub(super) address: IpAddr,
}

impl HostName<'_> {
    fn hosts(&self) -> String {
        let Self { hostname, address } = self;
        format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{hostname}\n")
    }
}

impl InstanceDirs {
    fn directory(&self, id: &InstanceId) -> PathBuf {
        self.instances.join(id.as_str())
    }

    /// Where an instance's root file system is mounted while it is looked into.
    pub(super) fn rootfs(&self, id: &InstanceId) -> PathBuf {
        self.directory(id).join("rootfs")
    }

    /// Where the kernel's view of its devices is mounted for a runtime that can't do that, while it makes the instance.
    pub(super) fn sys(&self, id: &InstanceId) -> PathBuf {
        self.directory(id).join("sys")
    }

    pub(super) fn files(&self, id: &InstanceId) -> Files {
        let directory = self.directory(id);
        Files {
            resolv_conf: directory.join("resolv.conf"),
            hosts: directory.join("hosts"),
            secrets: directory.join("secrets"),
        }
    }

    /// Writes an instance's files that do not depend on its address; its secrets belong to `owner` alone.
    pub(super) fn create(
        &self,
        id: &InstanceId,
        resolv_conf: &str,
        owner: &Identity,
        secrets: &BTreeMap<SecretName, Vec<u8>>,
    ) -> io::Result<()> {
        let files = self.files(id);
        let directory = self.directory(id);
        let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        make(&directory).map_err(|error| of_path(&directory, &error))?;
        write(&files.resolv_conf, resolv_conf.as_bytes(), 0o644)?;
        make(&files.secrets).map_err(|error| of_path(&files.secrets, &error))?;
        for (name, value) in secrets {
            let path = files.secrets.join(name.as_str());
            write(&path, value, 0o400)?;
            chown(&path, Some(owner.uid), Some(owner.gid))?;
        }
        fs::set_permissions(&files.secrets, Permissions::from_mode(0o500))?;
        chown(&files.secrets, Some(owner.uid), Some(owner.gid))
    }

    /// Writes where an instance's own name leads.
    pub(super) fn write_hosts(&self, id: &InstanceId, name: &HostName<'_>) -> io::Result<()> {
        write(&self.files(id).hosts, name.hosts().as_bytes(), 0o644)
    }

    /// Replaces secrets of an instance, each in one step. Its process sees the directory: drafts lie beside it.
    pub(super) fn update_secrets(&self, id: &InstanceId, secrets: &BTreeMap<SecretName, Vec<u8>>) -> io::Result<()> {
        let directory = self.files(id).secrets;
        let owner = fs::metadata(&directory)?;
        let draft = self.directory(id).join("secret.new");
        for (name, value) in secrets {
            let path = directory.join(name.as_str());
            // A process that watches the file is not woken for nothing.
            if fs::read(&path)? == *value {
                continue;
            }
            write(&draft, value, 0o400)?;
            chown(&draft, Some(owner.uid()), Some(owner.gid()))?;
            fs::rename(&draft, &path)?;
        }
        Ok(())
    }

    /// Removes an instance's files; none there is fine. Returns what could not be removed.
    pub(super) fn remove(&self, id: &InstanceId) -> Vec<String> {
        let directory = self.directory(id);
        let failed = |path: &Path, error: io::Error| format!("remove {}: {error}", path.display());
        let mut faults = Vec::new();
        // What is still mounted in there is the image's or the kernel's, and must not be removed with it.
        let unmounted = unmount_all(&self.rootfs(id)).and_then(|()| unmount_all(&self.sys(id)));
        match unmounted.and_then(|()| gone(fs::remove_dir_all(&directory))) {
            Ok(()) => {}
            Err(error) => faults.push(failed(&directory, error)),
        }
        faults
    }

    /// Every instance that has a directory here.
    pub(super) fn list(&self) -> io::Result<Vec<InstanceId>> {
        Ok(names(&self.instances)?.into_iter().filter_map(|name| name.parse().ok()).collect())
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path)?;
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)
    };
    write().map_err(|error: io::Error| of_path(path, &error))
}

/// The error with the path that it is about: which disk is full has to be known.
/// The names in a directory; none when there is no such directory.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOLV_CONF: &str = "nameserver 10.0.0.1\n";

    fn dirs(base: &Path) -> InstanceDirs {
        InstanceDirs { instances: base.join("instances") }
    }

    #[test]
    fn secrets_belong_to_the_process_alone() {
        let base = tempfile::tempdir().unwrap();
        let (dirs, id) = (dirs(base.path()), "f-1".parse().unwrap());
        let identity = Identity { uid: 1234, gid: 1235, groups: Vec::new() };
        let secrets = [("db".parse().unwrap(), b"\0\xff".to_vec())].into();
        dirs.create(&id, RESOLV_CONF, &identity, &secrets).unwrap();
        dirs.write_hosts(&id, &HostName { hostname: "f", address: [10, 62, 0, 9].into() }).unwrap();
        let files = dirs.files(&id);
        let about =
            |path: &Path| fs::metadata(path).map(|about| (about.mode() & 0o7777, about.uid(), about.gid())).unwrap();
        assert_eq!(about(&files.secrets), (0o500, 1234, 1235));
        assert_eq!(about(&files.secrets.join("db")), (0o400, 1234, 1235));
        assert_eq!(about(&files.hosts), (0o644, 0, 0));
        let hosts = fs::read_to_string(&files.hosts).unwrap();
        assert!(hosts.contains("\n10.62.0.9\tf\n") && !hosts.contains("127.0.1.1"), "{hosts}");
        assert_eq!(fs::read(files.secrets.join("db")).unwrap(), b"\0\xff");
    }

    #[test]
    fn a_secret_is_replaced_in_one_step_and_the_others_stay() {
        let base = tempfile::tempdir().unwrap();
        let (dirs, id) = (dirs(base.path()), "f-1".parse().unwrap());
        let identity = Identity { uid: 1234, gid: 1235, groups: Vec::new() };
        let secret = |name: &str, value: &str| (name.parse::<SecretName>().unwrap(), value.as_bytes().to_vec());
        dirs.create(&id, RESOLV_CONF, &identity, &[secret("a", "1"), secret("b", "2")].into()).unwrap();
        let files = dirs.files(&id);
        let inode = |name: &str| fs::metadata(files.secrets.join(name)).unwrap().ino();
        let (opened, same) = (fs::File::open(files.secrets.join("a")).unwrap(), inode("b"));
        for _ in 0..2 {
            dirs.update_secrets(&id, &[secret("a", "one"), secret("b", "2")].into()).unwrap();
        }
        let about = fs::metadata(files.secrets.join("a")).unwrap();
        assert_eq!((about.mode() & 0o7777, about.uid(), about.gid()), (0o400, 1234, 1235));
        assert_eq!(fs::read_to_string(files.secrets.join("a")).unwrap(), "one");
        assert_eq!(io::read_to_string(opened).unwrap(), "1", "who reads it reads on");
        assert_eq!(inode("b"), same, "what is the same is left alone");
        let mut left = names(&files.secrets).unwrap();
        left.sort();
        assert_eq!(left, ["a", "b"]);
        for (unknown, secret) in [("f-1", secret("c", "3")), ("f-2", secret("a", "3"))] {
            let refused = dirs.update_secrets(&unknown.parse().unwrap(), &[secret].into()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn removing_twice_is_fine() {
        let base = tempfile::tempdir().unwrap();
        let (dirs, id) = (dirs(base.path()), "f-1".parse().unwrap());
        assert_eq!(dirs.list().unwrap(), []);
        dirs.create(&id, RESOLV_CONF, &Identity::default(), &BTreeMap::new()).unwrap();
        assert_eq!(dirs.list().unwrap(), std::slice::from_ref(&id));
        for _ in 0..2 {
            assert_eq!(dirs.remove(&id), Vec::<String>::new());
        }
        assert_eq!(dirs.list().unwrap(), []);
    }
}
