//! The end of a container's first process: waited for by its pidfd, so that no other process of the same number is meant.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep};

/// What is added to a signal's number, for a process that it ended.
const SIGNALLED: u32 = 128;
/// The status of a process that ended, nobody knows how.
const UNKNOWN: u32 = 255;
/// How long the process that made a container may take to end, and to leave its children to this one.
const INHERITED_WITHIN: Duration = Duration::from_secs(2);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    /// Its exit status, or 128 and the number of the signal that ended it.
    pub(super) status: u32,
    pub(super) at: SystemTime,
}

/// Opens a process that this one will be the parent of, if it is not yet. It may have ended.
pub(super) fn open(pid: Pid) -> io::Result<Arc<OwnedFd>> {
    Ok(Arc::new(pidfd_open(pid, PidfdFlags::empty())?))
}

/// Waits for the end of a process, and reaps it.
pub(super) async fn of(pidfd: Arc<OwnedFd>) -> Exit {
    // Where a descriptor can't be watched, it is looked at now and then.
    let pause = match readable(Arc::clone(&pidfd)).await {
        Ok(()) => Duration::from_millis(1),
        Err(_) => Duration::from_millis(100),
    };
    let status = status(&pidfd, pause).await;
    Exit { status, at: SystemTime::now() }
}

async fn readable(pidfd: Arc<OwnedFd>) -> io::Result<()> {
    // SAFETY: the descriptor is owned by the `AsyncFd` and stays open until that is dropped, deregistered first.
    #[allow(unsafe_code)]
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE)? };
    watched.readable().await?.retain_ready();
    Ok(())
}

async fn status(pidfd: &OwnedFd, pause: Duration) -> u32 {
    let begun = Instant::now();
    loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(ended)) => {
                let number = |number: i32| u32::try_from(number).unwrap_or(UNKNOWN);
                let signalled = || ended.terminating_signal().map(|signal| SIGNALLED + number(signal));
                return ended.exit_status().map(number).or_else(signalled).unwrap_or(UNKNOWN);
            }
            Ok(None) | Err(Errno::INTR) => {}
            // It is still the child of the process that made it, which ends presently.
            Err(Errno::CHILD) if begun.elapsed() < INHERITED_WITHIN => {}
            Err(_) => return UNKNOWN,
        }
        sleep(pause).await;
    }
}

/// Reaps children that have ended and are no container's first process: what making one has left behind. `known` tells
/// which those are; they keep their status for [`of`].
pub(super) fn reap_others(known: impl Fn(i32) -> bool) {
    while let Some(pid) = ended_child().filter(|pid| !known(*pid)).and_then(Pid::from_raw) {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// A child that has ended and was not reaped. It stays so.
fn ended_child() -> Option<i32> {
    // SAFETY: a siginfo of zeroes is a valid one, waitid writes nothing else, and `si_pid` is what it writes for a child.
    #[allow(unsafe_code)]
    unsafe {
        let mut about: libc::siginfo_t = std::mem::zeroed();
        let peek = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        (libc::waitid(libc::P_ALL, 0, &raw mut about, peek) == 0).then(|| about.si_pid()).filter(|pid| *pid > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[allow(clippy::zombie_processes, reason = "it is what is tested")]
    fn spawn(script: &str) -> Pid {
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_process_ends_with_its_status_or_its_signal() {
        for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
            assert_eq!(of(open(spawn(script)).unwrap()).await.status, status, "{script}");
        }
    }

    #[tokio::test]
    async fn a_process_that_ended_before_it_was_waited_for_has_its_status_still() {
        let pidfd = open(spawn("exit 3")).unwrap();
        readable(Arc::clone(&pidfd)).await.unwrap();
        assert_eq!(of(Arc::clone(&pidfd)).await.status, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_of_another_parent_ends_with_a_status_that_says_so() {
        let output = Command::new("sh").args(["-c", "sleep 0.2 >/dev/null 2>&1 & echo $!"]).output().unwrap();
        let pid = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        assert_eq!(of(open(Pid::from_raw(pid).unwrap()).unwrap()).await.status, UNKNOWN);
    }
}
