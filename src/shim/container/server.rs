//! The server's side: it asks the zygote for containers, holds the channel to each that waits for its start, and removes
//! them by itself.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use super::cgroup::Hierarchies;
use super::channel::{self, Order, Word};
use super::fault::{Fault, Stage};
use super::kernel::{self, Process};
use super::{state, zygote};

/// How long making a container may take. It takes milliseconds, but for a copy of a great volume into memory.
const MADE_WITHIN: Duration = Duration::from_secs(45);
/// How long a zygote that has orders before this one may take to read it.
const PAUSE: Duration = Duration::from_millis(1);

/// A container to be made.
#[derive(Debug)]
pub struct Creation {
    /// Its id.
    pub id: String,
    /// Where its `config.json` is.
    pub bundle: PathBuf,
    /// Where what is needed to remove it is written.
    pub state_root: PathBuf,
    /// What it reads.
    pub stdin: OwnedFd,
    /// Where it writes.
    pub stdout: OwnedFd,
    /// Where it tells of errors.
    pub stderr: OwnedFd,
}

/// What makes containers.
pub struct Zygote {
    socket: OwnedFd,
    pid: Pid,
    pidfd: OwnedFd,
    hierarchies: Arc<Hierarchies>,
    /// The channels of those that wait for their start.
    waiting: Mutex<HashMap<String, OwnedFd>>,
}

impl fmt::Debug for Zygote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zygote").field("pid", &self.pid.as_raw_pid()).finish_non_exhaustive()
    }
}

impl Zygote {
    /// Makes it, of a process that has one thread. While the server gets ready, it compiles the filter of the bundle that it
    /// will be asked for first.
    ///
    /// # Errors
    /// As the kernel has them.
    pub fn spawn(first: Option<&Path>) -> io::Result<Self> {
        let hierarchies = Arc::new(Hierarchies::of_this_machine()?);
        let (socket, theirs) = channel::pair()?;
        match kernel::fork()? {
            Process::Child => zygote::live(&theirs, first),
            Process::Parent(pid) => {
                let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
                Ok(Self { socket, pid, pidfd, hierarchies, waiting: Mutex::default() })
            }
        }
    }

    /// Its process. When that has ended, nothing is made any more; what was made is not touched by it.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, OwnedFd>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a container, whose first process waits to be started and is a child of this one. What fails leaves nothing
    /// behind.
    ///
    /// # Errors
    /// [`Fault`], in runc's words.
    pub async fn create(&self, creation: Creation) -> Result<Pid, Fault> {
        let (id, state_root) = (creation.id.clone(), creation.state_root.clone());
        let (ours, theirs) = channel::pair().map_err(|errno| Fault::request(format!("open a channel: {errno}")))?;
        self.order(creation, theirs).await?;
        let failed = |error| Fault::request(format!("watch a channel: {error}"));
        rustix::io::ioctl_fionbio(&ours, true).map_err(|errno| failed(errno.into()))?;
        let channel = kernel::watch(ours).map_err(failed)?;
        let mut pid = None;
        let told = timeout(MADE_WITHIN, conversation(&channel, &mut pid)).await;
        let late = |_| Err(Fault::request(format!("it was not made within {MADE_WITHIN:?}")));
        match (told.unwrap_or_else(late), pid) {
            (Ok(()), Some(pid)) => {
                self.waiting().insert(id, channel.into_inner());
                Ok(pid)
            }
            (told, pid) => {
                let said = told.err().filter(|fault| !fault.text.is_empty());
                let fault = said.unwrap_or_else(|| self.why_it_ended(&id, &state_root, pid));
                drop(channel);
                if let Some(pid) = pid {
                    end(pid).await;
                }
                // One that was there before this order is not this order's to remove.
                if !fault.text.starts_with("container with given ID already exists") {
                    let _ = self.delete(&id, &state_root).await;
                }
                Err(fault)
            }
        }
    }

    async fn order(&self, creation: Creation, theirs: OwnedFd) -> Result<(), Fault> {
        let Creation { id, bundle, state_root, stdin, stdout, stderr } = creation;
        let order = Order { id, bundle, state_root };
        let descriptors = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), theirs.as_fd()];
        loop {
            match channel::send_order(self.socket.as_fd(), &order, descriptors) {
                Ok(()) => return Ok(()),
                Err(Errno::AGAIN | Errno::INTR) => sleep(PAUSE).await,
                Err(Errno::PIPE | Errno::CONNRESET) => {
                    return Err(without_zygote());
                }
                Err(errno) => return Err(Fault::request(format!("ask for a container: {errno}"))),
            }
        }
    }

    /// Why a first process ended without a word.
    fn why_it_ended(&self, id: &str, state_root: &Path, pid: Option<Pid>) -> Fault {
        let killed = || {
            let path = state::cgroups(id, state_root).ok()??;
            self.hierarchies.ran_out_of_memory(&path).then_some(())
        };
        match (pid, killed()) {
            (_, Some(())) => {
                let text = "container init was OOM-killed (memory limit too low?)".to_owned();
                Fault { stage: Stage::Process, errno: Some(libc::ENOMEM), text }
            }
            (Some(_), None) => Fault::request("its first process ended before it was made"),
            (None, None) => without_zygote(),
        }
    }

    /// Has the first process execute its program. If it can't, it ends with 126 or 127 and says why on its own stream.
    ///
    /// # Errors
    /// [`Fault`] when it is not waiting for that.
    #[allow(clippy::unused_async)]
    pub async fn start(&self, id: &str, _state_root: &Path) -> Result<(), Fault> {
        let channel = self.waiting().remove(id);
        let channel = channel.ok_or_else(|| Fault::request(format!("cannot start {id}: it does not wait for that")))?;
        channel::send_byte(channel.as_fd(), channel::GO)
            .map_err(|_| Fault::request("cannot start a container that has stopped"))
    }

    /// Removes all there is of a container, with what still runs in it. None is fine.
    ///
    /// # Errors
    /// [`Fault`] when something of it stays.
    pub async fn delete(&self, id: &str, state_root: &Path) -> Result<(), Fault> {
        // Where it waits for its start, that never comes.
        self.waiting().remove(id);
        let (id, state_root, hierarchies) = (id.to_owned(), state_root.to_owned(), Arc::clone(&self.hierarchies));
        let removed = tokio::task::spawn_blocking(move || state::remove(&id, &state_root, &hierarchies)).await;
        removed.unwrap_or_else(|error| Err(Fault::request(format!("remove a container: {error}"))))
    }

    /// Kills all that runs in a container.
    ///
    /// # Errors
    /// [`Fault`] when it can't be read where that is.
    pub fn kill_all(&self, id: &str, state_root: &Path) -> Result<(), Fault> {
        let path = state::cgroups(id, state_root)?;
        path.iter().for_each(|path| self.hierarchies.kill(path));
        Ok(())
    }
}

/// Nothing is to be done by a person: the server ends as well, and the next `start` begins another.
fn without_zygote() -> Fault {
    Fault::request("the process that makes containers has ended, and its shim ends with it: the next try gets another")
}

/// Removes what is left of a container whose server is gone.
///
/// # Errors
/// [`Fault`] when something of it stays.
pub fn remove(id: &str, state_root: &Path) -> Result<(), Fault> {
    let hierarchies = Hierarchies::of_this_machine();
    let hierarchies = hierarchies.map_err(|error| Fault::request(format!("read the control groups: {error}")))?;
    state::remove(id, state_root, &hierarchies)
}

/// Listens until a container is ready, and gives it its numbers where it waits for them; what ends without a word leaves that
/// to be found out.
async fn conversation(channel: &AsyncFd<OwnedFd>, pid: &mut Option<Pid>) -> Result<(), Fault> {
    let (mut ready, mut unmapped) = (false, None);
    while !(ready && pid.is_some()) {
        let read = channel.async_io(Interest::READABLE, |channel| Ok(channel::receive(channel.as_fd())?)).await;
        match read.map_err(|error| Fault::request(format!("read a channel: {error}")))? {
            Some(Word::Pid(number)) => *pid = Some(number),
            Some(Word::Unmapped(ids)) => unmapped = Some(ids),
            Some(Word::Ready) => ready = true,
            Some(Word::Fault(fault)) => return Err(fault),
            None => return Err(ended()),
        }
        // Its word may come before the zygote's, which says who it is.
        if let (Some(pid), Some(ids)) = (*pid, unmapped) {
            unmapped = None;
            ids.write_for(pid)?;
            channel::send_byte(channel.get_ref().as_fd(), channel::MAPPED).map_err(|_| ended())?;
        }
    }
    Ok(())
}

/// Stands for an end without a word.
fn ended() -> Fault {
    Fault::request("")
}

/// Ends a first process that is not wanted, and takes its status, unless that was taken already.
async fn end(pid: Pid) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::NONBLOCK) else { return };
    // One that was reaped meanwhile may have left its number to another process, which is no child of this one.
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if waitid(WaitId::PidFd(pidfd.as_fd()), peek).is_err() {
        return;
    }
    let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    if let Ok(pidfd) = kernel::watch(pidfd)
        && timeout(MADE_WITHIN, pidfd.readable()).await.is_ok()
    {
        let _ = waitid(WaitId::PidFd(pidfd.get_ref().as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

impl Drop for Zygote {
    /// Ends it, and takes its status, unless that was taken already.
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}
