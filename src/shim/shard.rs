//! A shard: the name of a server, where it listens, and the lock that its beginning and end are done under.
//!
//! The socket's name holds the shard, so that people find it, and a hash of everything that must not be shared: the
//! containerd that is served, its namespace, and the version of this program, so that what is made after an update is
//! made by the new one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{GROUP, SOCKETS};

/// How much of a shard's name is in its socket's. The path of a unix socket has room for 107 bytes.
const NAME_MAX: usize = 24;

/// A shard of one containerd and namespace.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    socket: PathBuf,
}

/// Held from before a server is looked for until it knows what it is wanted for, and by a server from before it looks
/// whether it is wanted until its socket is gone. The kernel lets go of it when its holder dies.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Shard {
    /// The shard of this name, of the containerd that listens at `address`.
    pub(super) fn new(address: &str, namespace: &str, name: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [address, namespace, name, env!("CARGO_PKG_VERSION")] {
            hash.update(part);
            hash.update([0]);
        }
        let hash: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name: String = name.chars().map(plain).take(NAME_MAX).collect();
        let directory = Path::new(address).parent().unwrap_or(Path::new("/")).join(SOCKETS);
        Self { socket: directory.join(format!("{name}-{hash}.sock")) }
    }

    /// The shard of a server that listens there.
    pub(super) fn of_socket(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The socket as containerd wants to be told of it.
    pub(super) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Locks the shard, and waits for that.
    pub(super) fn lock(&self) -> io::Result<Lock> {
        self.acquire(FlockOperation::LockExclusive)
    }

    /// Locks the shard if it is not locked.
    pub(super) fn try_lock(&self) -> io::Result<Option<Lock>> {
        match self.acquire(FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            locked => locked.map(Some),
        }
    }

    fn acquire(&self, operation: FlockOperation) -> io::Result<Lock> {
        let path = self.socket.with_extension("lock");
        loop {
            let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
            let file = match open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let parent = path.parent().unwrap_or(Path::new("/"));
                    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
                    open()?
                }
                opened => opened?,
            };
            flock(&file, operation)?;
            // Its holder may have removed it since it was opened: then it is another file that has to be locked.
            match fs::metadata(&path) {
                Ok(now) if now.ino() == file.metadata()?.ino() => return Ok(Lock { path, _file: file }),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes the socket and, with the lock that is held, its file.
    pub(super) fn remove(&self, lock: Lock) {
        // Neither can be missing, and nothing can be done where they stay: the next server takes their place.
        let _ = fs::remove_file(&self.socket);
        let _ = fs::remove_file(&lock.path);
        drop(lock);
    }
}

/// The shard that a bundle's runtime spec names; without one, the container's own.
///
/// # Errors
/// When the spec can't be read.
pub(super) fn name_of(bundle: &Path, id: &str) -> io::Result<String> {
    #[derive(Deserialize)]
    struct Spec {
        #[serde(default)]
        annotations: Option<std::collections::HashMap<String, String>>,
    }
    let path = bundle.join("config.json");
    let words = |error: &dyn std::fmt::Display| io::Error::other(format!("read {}: {error}", path.display()));
    let text = fs::read(&path).map_err(|error| words(&error))?;
    let spec: Spec = serde_json::from_slice(&text).map_err(|error| words(&error))?;
    let named = spec.annotations.unwrap_or_default().remove(GROUP).filter(|name| !name.is_empty());
    Ok(named.unwrap_or_else(|| id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(directory: &Path, name: &str) -> Shard {
        Shard::new(directory.join("containerd.sock").to_str().unwrap(), "functions", name)
    }

    #[test]
    fn a_shards_socket_is_beside_containerds_and_named_after_it() {
        let one = Shard::new("/run/actord/containerd.sock", "functions", "shard 1/é");
        let path = one.socket().to_str().unwrap();
        assert!(path.starts_with("/run/actord/shims/shard_1__-"), "{path}");
        assert_eq!(one.address(), format!("unix://{path}"));
        for (address, namespace, name) in [
            ("/run/other/containerd.sock", "functions", "shard 1/é"),
            ("/run/actord/containerd.sock", "other", "shard 1/é"),
            ("/run/actord/containerd.sock", "functions", "shard 1/è"),
        ] {
            assert_ne!(Shard::new(address, namespace, name).socket().file_name(), one.socket().file_name());
        }
        let long = Shard::new("/run/actord/containerd.sock", "functions", &"x".repeat(200));
        assert!(long.socket().as_os_str().len() < 80);
    }

    #[test]
    fn a_shard_is_locked_once_and_free_again_when_its_lock_is_dropped_or_removed() {
        let directory = tempfile::tempdir().unwrap();
        let shard = shard(directory.path(), "a");
        let lock = shard.lock().unwrap();
        assert!(shard.try_lock().unwrap().is_none());
        assert!(self::shard(directory.path(), "b").try_lock().unwrap().is_some(), "another shard is not locked");
        drop(lock);
        let lock = shard.try_lock().unwrap().unwrap();
        let path = lock.path.clone();
        shard.remove(lock);
        assert!(!path.exists());
        assert!(shard.try_lock().unwrap().is_some());
    }

    #[test]
    fn who_waited_for_a_lock_that_was_removed_locks_the_one_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let shard = shard(directory.path(), "a");
        for _ in 0..50 {
            let lock = shard.lock().unwrap();
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| shard.lock().unwrap());
                shard.remove(lock);
                let lock = waits.join().unwrap();
                assert!(lock.path.exists());
                assert!(shard.try_lock().unwrap().is_none());
            });
        }
    }

    #[test]
    fn the_shard_is_the_specs_annotation_or_the_container() {
        let bundle = tempfile::tempdir().unwrap();
        let named = |spec: &str| {
            fs::write(bundle.path().join("config.json"), spec).unwrap();
            name_of(bundle.path(), "f-1")
        };
        assert_eq!(named(&format!(r#"{{"process":{{"args":[]}},"annotations":{{"{GROUP}":"s-3"}}}}"#)).unwrap(), "s-3");
        assert_eq!(named(r#"{"annotations":{"other":"s-3"}}"#).unwrap(), "f-1");
        assert_eq!(named(r#"{"annotations":null}"#).unwrap(), "f-1");
        assert_eq!(named("{}").unwrap(), "f-1");
        assert!(named("{").unwrap_err().to_string().contains("config.json"));
    }
}
