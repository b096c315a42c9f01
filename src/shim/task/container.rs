//! A container of this server: what is known of it from its create to its delete.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, pidfd_send_signal};
use tokio::sync::watch;

use crate::shim::cgroup::Cgroup;
use crate::shim::exits::Exit;
use crate::shim::logs::Copying;

/// The names of its streams, as they were given.
#[derive(Debug)]
pub(in crate::shim) struct StreamNames {
    pub(super) stdin: String,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

#[derive(Debug)]
pub(in crate::shim) struct Container {
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) names: StreamNames,
    pub(super) pid: Pid,
    pub(super) pidfd: Arc<OwnedFd>,
    /// None if its process had ended before it was looked at.
    pub(super) cgroup: Option<Cgroup>,
    pub(super) copies: Vec<Copying>,
    /// What keeps its standard input from ending.
    pub(super) input: Mutex<Option<OwnedFd>>,
    pub(super) started: AtomicBool,
    pub(super) paused: AtomicBool,
    /// How it ended, once everything that it wrote is in its log.
    pub(super) exit: watch::Sender<Option<Exit>>,
    /// Held by a start, so that nothing is told of an end before it was told of the start.
    pub(super) starting: tokio::sync::Mutex<()>,
    /// Held by a delete: a second one waits, and then finds nothing.
    pub(super) deleting: tokio::sync::Mutex<()>,
}

impl Container {
    /// The number of its first process.
    pub(in crate::shim) fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// The number as protobuf has it.
    pub(super) fn pid_told(&self) -> u32 {
        self.pid().unsigned_abs()
    }

    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        loop {
            if let Some(exit) = *exit.borrow_and_update() {
                return exit;
            }
            // This container holds the sender: it can't be gone.
            let _ = exit.changed().await;
        }
    }

    /// Signals its first process, or all of it. `NotFound` where it has ended.
    ///
    /// What was not started yet is our own code, the first of its namespace: the kernel keeps every signal that it does not
    /// handle away from it but KILL. So whatever would end a program ends it by that one.
    pub(super) fn signal(&self, number: u32, all: bool) -> io::Result<()> {
        if self.exit().is_some() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let signal = match signal(number)? {
            asked if ends_by_default(asked) && self.waits_for_its_start() => Signal::KILL,
            asked => asked,
        };
        let sent = pidfd_send_signal(&self.pidfd, signal);
        if all {
            for pid in self.cgroup.iter().flat_map(Cgroup::processes).filter(|pid| *pid != self.pid()) {
                if let Some(pid) = Pid::from_raw(pid) {
                    let _ = kill_process(pid, signal);
                }
            }
        }
        // A frozen process of a group of version 1 dies of nothing.
        if signal == Signal::KILL
            && let Some(cgroup) = &self.cgroup
        {
            let _ = cgroup.thaw();
            self.paused.store(false, Ordering::Release);
        }
        match sent {
            Err(Errno::SRCH) => Err(io::ErrorKind::NotFound.into()),
            sent => Ok(sent?),
        }
    }

    /// Whether it was made, and no start has begun.
    fn waits_for_its_start(&self) -> bool {
        !self.started.load(Ordering::Acquire) && self.starting.try_lock().is_ok()
    }

    /// Closes its standard input, which then ends when all that wrote to it are gone.
    pub(super) fn close_input(&self) {
        self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Whether a process ends by this signal that does not handle it: signal(7) lists those by which it does not.
fn ends_by_default(signal: Signal) -> bool {
    ![Signal::CHILD, Signal::CONT, Signal::STOP, Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::URG, Signal::WINCH]
        .contains(&signal)
}

/// A signal by its number.
fn signal(number: u32) -> io::Result<Signal> {
    let raw = i32::try_from(number).ok().filter(|number| (1..=64).contains(number) && !matches!(number, 32 | 33));
    let raw = raw.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("there is no signal {number}")))?;
    // SAFETY: the number is a signal of the kernel's, and none of the two that the C library keeps for itself.
    #[allow(unsafe_code)]
    Ok(unsafe { Signal::from_raw_unchecked(raw) })
}
