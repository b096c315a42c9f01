//! Removing an instance, whole or half-made: every step is tried, and what failed is told together.
//!
//! First what containerd knows (task, container, snapshot), then what it, our own shim or runc may have left behind:
//! control groups, runc's state, the bundle with its mounts, the shim and its socket; last our own files.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use super::{Inner, containers, own_shim, tasks};
use crate::function::InstanceId;
use crate::host::HostError;
use crate::host::containerd::gone::gone;
use crate::host::containerd::mounts::unmount_all;

/// Where every containerd's shims have their sockets, whatever its own directories are.
const SHIM_SOCKETS: &str = "/run/containerd/s";
/// Where containerd keeps bundles and their working directories, under its state and its root.
const BUNDLES: &str = "io.containerd.runtime.v2.task";

impl Inner {
    /// Removes all there is of an instance.
    pub(super) async fn remove(self: &Arc<Self>, id: &InstanceId) -> Result<(), HostError> {
        let containerd = &self.containerd;
        drop(self.prepared.take(id));
        let mut faults = Vec::new();
        self.thaw_to_end(id).await;
        let mut task = tasks::end(containerd, id).await;
        if task.is_err() {
            // Its shim may hang, or containerd: the kernel ends its processes all the same.
            self.cgroups.kill(id);
            task = tasks::end(containerd, id).await;
            if task.is_err() && self.remove_from_own_shim(id).await == Ok(true) {
                task = tasks::end(containerd, id).await;
            }
        }
        // Without its container record a task can't be reached any more.
        let reachable = match task {
            Ok(()) => containers::delete_container(containerd, id).await,
            Err(error) => Err(error),
        };
        let remains = reachable.is_ok();
        faults.extend(reachable.err().map(|error| error.to_string()));
        let snapshot = containers::remove_snapshot(containerd, &self.options.snapshotter, id).await;
        faults.extend(snapshot.err().map(|error| error.to_string()));
        faults.extend(self.cgroups.remove(id).await);
        if remains {
            faults.extend(self.remove_remains(id).await.err().map(|error| error.to_string()));
        }
        let files = id.clone();
        let remove = move |inner: &Self| Ok([inner.dirs.remove(&files), inner.logs.retire(&files)].concat());
        match self.blocking(format!("remove the files of {id}"), remove).await {
            Ok(failed) => faults.extend(failed),
            Err(error) => faults.push(error.to_string()),
        }
        if faults.is_empty() {
            self.first.forget(id);
            self.shards.release(id);
            return Ok(());
        }
        Err(HostError::Failed(format!("remove instance {id}: {}", faults.join("; "))))
    }

    fn bundle(&self, id: &InstanceId) -> PathBuf {
        self.options.containerd_state.join(BUNDLES).join(&self.containerd.namespace).join(id.as_str())
    }

    /// Has our own shim remove an instance that it made and containerd can't end. Whether there was such a thing.
    async fn remove_from_own_shim(self: &Arc<Self>, id: &InstanceId) -> Result<bool, String> {
        let bundle = self.bundle(id);
        if own_shim::socket_of(&self.containerd, &bundle).is_none() {
            return Ok(false);
        }
        let program = &self.options.runtimes.builtin_shim;
        own_shim::remove(program, &self.containerd, id, &bundle).await.map(|()| true)
    }

    /// Removes what a shim, runc or containerd left behind when one of them died at the wrong moment.
    async fn remove_remains(self: &Arc<Self>, id: &InstanceId) -> Result<(), HostError> {
        // As long as the bundle is there, containerd has not deleted what was made in it.
        self.remove_from_own_shim(id).await.map_err(HostError::Failed)?;
        let socket = self.shim_socket(id);
        // A shim goes a moment after its task was deleted.
        let mut lives = listens(&socket);
        for _ in 0..50 {
            if !lives {
                break;
            }
            sleep(Duration::from_millis(20)).await;
            lives = listens(&socket);
        }
        let id = id.clone();
        self.blocking(format!("remove what is left of {id}"), move |inner| {
            if lives {
                kill_shims(&id)?;
            }
            gone(fs::remove_file(&socket))?;
            let namespace = &inner.containerd.namespace;
            remove_states(&inner.options.runc_root.join(namespace), &id)?;
            for directory in [&inner.options.containerd_state, &inner.options.containerd_root] {
                // containerd renames a bundle before it removes it, and never looks at the new name again.
                for name in [id.as_str().to_owned(), format!(".{id}")] {
                    let bundle = directory.join(BUNDLES).join(namespace).join(name);
                    unmount_all(&bundle.join("rootfs"))?;
                    remove_tree(&bundle)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// The socket of an instance's shim: named by the hash of what makes it unique on the machine.
    fn shim_socket(&self, id: &InstanceId) -> PathBuf {
        use std::fmt::Write as _;
        use std::os::unix::ffi::OsStrExt;
        let name = self.containerd.socket.join(&self.containerd.namespace).join(id.as_str());
        let hash = Sha256::digest(name.as_os_str().as_bytes());
        let hex = hash.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Path::new(SHIM_SOCKETS).join(hex)
    }
}

fn listens(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// Kills the shims of an instance. Its id stands on their command line and on no other program's.
fn kill_shims(id: &InstanceId) -> io::Result<()> {
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| Pid::from_raw(name.parse().ok()?)) else { continue };
        let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        let is_shim = words.first().is_some_and(|program| program.ends_with(b"containerd-shim-runc-v2"));
        if is_shim && words.windows(2).any(|pair| pair == [b"-id".as_slice(), id.as_str().as_bytes()]) {
            tracing::warn!(%id, pid = pid.as_raw_nonzero().get(), "killing a shim that has no task any more");
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Ok(())
}

/// Removes what a runtime keeps of an instance: runc a directory, gVisor files that are named after it and its sandbox.
fn remove_states(directory: &Path, id: &InstanceId) -> io::Result<()> {
    remove_tree(&directory.join(id.as_str()))?;
    let of_sandbox = format!("{id}_sandbox:");
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&of_sandbox)) {
            gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Removes a directory with all in it. A shim that is just ending, or containerd after it, may still put a file there.
fn remove_tree(path: &Path) -> io::Result<()> {
    const TRIES: usize = 20;
    for _ in 1..TRIES {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            removed => return gone(removed),
        }
    }
    gone(fs::remove_dir_all(path))
}
