//! Makes containers: what the server asks for it. Until that part is here, it says so.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid};

/// What makes containers: a process with one thread, which a server with several can't be.
#[derive(Debug)]
pub(super) struct Zygote(());

/// A container to be made.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) id: String,
    /// Where its `config.json` is.
    pub(super) bundle: PathBuf,
    /// Where what is needed to remove it is written.
    pub(super) state_root: PathBuf,
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Why one can't be made, started or removed.
#[derive(Debug)]
pub(super) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OCI runtime create failed: {}", self.0)
    }
}

#[allow(clippy::unused_async, reason = "it will wait for an answer")]
impl Zygote {
    /// Makes it, of a process that has one thread.
    #[allow(clippy::unnecessary_wraps, reason = "it will fork")]
    pub(super) fn spawn() -> std::io::Result<Self> {
        Ok(Self(()))
    }

    /// Its process. When that has ended, nothing is made any more.
    pub(super) fn pid(&self) -> Pid {
        let Self(()) = self;
        getpid()
    }

    /// Makes a container, whose first process waits to be started, and is a child of this one.
    pub(super) async fn create(&self, creation: Creation) -> Result<Pid, Fault> {
        let Creation { id, bundle, state_root, stdin, stdout, stderr } = creation;
        drop((stdin, stdout, stderr));
        let (bundle, state) = (bundle.display(), state_root.display());
        Err(Fault(format!("actord's own runtime can't make {id} of {bundle} with {state} yet: choose runc")))
    }

    /// Has the first process execute its program.
    pub(super) async fn start(&self, id: &str, _state_root: &Path) -> Result<(), Fault> {
        Err(Fault(format!("{id} was not made")))
    }

    /// Removes all there is of a container, with what still runs in it. None is fine.
    pub(super) async fn delete(&self, id: &str, state_root: &Path) -> Result<(), Fault> {
        remove(id, state_root)
    }
}

/// Removes what is left of a container whose server is gone.
#[allow(clippy::unnecessary_wraps, reason = "it can fail when there is something to remove")]
pub(super) fn remove(_id: &str, _state_root: &Path) -> Result<(), Fault> {
    Ok(())
}

/// Has this program go on from a read-only mount of its file, where it does not already.
#[allow(clippy::unnecessary_wraps, reason = "it will execute")]
pub(super) fn seal() -> std::io::Result<()> {
    Ok(())
}
