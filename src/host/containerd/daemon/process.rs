//! The containerd process itself: who it is, starting it apart from us, its end.
//!
//! A process id alone proves nothing: it may have been given to another process, and an orphan that is not reaped answers
//! `kill -0` after its death. So a process is held by its pidfd, and is ours when its command line names our
//! configuration file.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use crate::process::{has_ended, keep_nothing_open, stat};

/// A living process that is known to be our containerd, or was when it was looked at.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// When it started, in clock ticks since boot: with the pid it names one process of this boot.
    pub(super) started: u64,
    pidfd: OwnedFd,
}

impl Process {
    /// The process with this pid, if it lives and its command line names `config`.
    pub(super) fn ours(pid: i32, config: &Path) -> Option<Self> {
        let pid = Pid::from_raw(pid)?;
        // The pidfd comes first: what is read of /proc afterwards, while the process lives, is of the same process.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let (state, started) = stat(pid)?;
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let ours = arguments.split(|byte| *byte == 0).any(|argument| OsStr::from_bytes(argument) == config);
        (ours && !has_ended(state)).then_some(Self { pid, started, pidfd })
    }

    /// Starts containerd in a session of its own, with nothing of ours but its log and `PATH`.
    pub(super) fn start(binary: &Path, config: &Path, log: fs::File) -> io::Result<Self> {
        let mut command = Command::new(binary);
        command
            .arg("--config")
            .arg(config)
            // The shims and every function's process descend from it: no NOTIFY_SOCKET, LISTEN_*, WATCHDOG_* or
            // credential of ours goes down that way.
            .env_clear()
            .env("PATH", search_path())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // SAFETY: between fork and exec only two system calls are made, both async-signal-safe; nothing allocates.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(detach);
        }
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        // A child that has died already still has its pid: only we reap it.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let started = stat(pid).map_or(0, |(_, started)| started);
        Ok(Self { pid, started, pidfd })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Returns when the process has ended, and reaps it if it is our child.
    pub(super) async fn ended(&self) -> io::Result<()> {
        readable(self.pidfd.try_clone()?).await?;
        // ECHILD: adopted, so another process's child.
        let _ = waitpid(Some(self.pid), WaitOptions::NOHANG);
        Ok(())
    }

    /// Ends the process without asking, and does not wait for its end. It is held by its pidfd: no other process is hit.
    pub(super) fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the process: asks, waits, insists.
    pub(super) async fn end(&self, grace: Duration) -> io::Result<()> {
        for signal in [Signal::TERM, Signal::KILL] {
            match pidfd_send_signal(&self.pidfd, signal) {
                Ok(()) => {}
                Err(rustix::io::Errno::SRCH) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if let Ok(ended) = timeout(grace, self.ended()).await {
                return ended;
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {} did not end after SIGKILL", self.pid())))
    }
}

/// Where containerd is looked for, and looks for runc and its shim.
fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into())
}

/// Where a program is that is given as a path, or as a name to be found in `PATH`.
#[must_use]
pub fn find_program(name: &Path) -> Option<PathBuf> {
    let runs = |path: &PathBuf| rustix::fs::access(path, Access::EXEC_OK).is_ok() && path.is_file();
    match name.components().count() {
        1 => std::env::split_paths(&search_path()).map(|dir| dir.join(name)).find(runs),
        _ => Some(name.to_owned()).filter(runs),
    }
}

/// Returns when a pidfd's process has ended, reaped or not.
pub(in crate::host::containerd) async fn readable(pidfd: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is owned by the `AsyncFd` and stays open until that is dropped, deregistered first.
    #[allow(unsafe_code)]
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE)? };
    watched.readable().await?.retain_ready();
    Ok(())
}

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// In the child: leaves our session, so that no signal meant for us reaches it, and keeps no file of ours open. What
/// the standard library opens is closed on exec anyway; sockets that were handed to us at start are not.
fn detach() -> io::Result<()> {
    rustix::process::setsid()?;
    keep_nothing_open();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_command_line_does_not_name_our_configuration_is_not_ours() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(Process::ours(pid, Path::new("/nowhere/containerd.toml")).is_none());
        let own = std::env::args_os().next().unwrap();
        assert!(Process::ours(pid, Path::new(&own)).is_some(), "this process names itself on its command line");
    }

    #[tokio::test]
    async fn a_child_that_ended_is_seen_and_reaped() {
        let log = tempfile::tempfile().unwrap();
        let process = Process::start(Path::new("true"), Path::new("/nowhere"), log).unwrap();
        process.ended().await.unwrap();
        assert!(!Path::new(&format!("/proc/{}", process.pid())).exists(), "reaped");
    }

    #[tokio::test]
    async fn a_dead_child_that_nobody_reaped_is_not_taken_for_a_living_one() {
        // `sh --config PATH` fails at once, and stays a zombie until it is reaped.
        let path = Path::new("/nowhere/a.toml");
        let process = Process::start(Path::new("sh"), path, tempfile::tempfile().unwrap()).unwrap();
        readable(process.pidfd.try_clone().unwrap()).await.unwrap();
        assert_eq!(stat(process.pid).unwrap().0, b'Z');
        assert!(Process::ours(process.pid(), path).is_none());
        process.ended().await.unwrap();
    }

    #[tokio::test]
    async fn a_started_process_inherits_no_environment_of_ours_and_leads_a_session() {
        let directory = tempfile::tempdir().unwrap();
        let (script, out) = (directory.path().join("run"), directory.path().join("out"));
        fs::write(
            &script,
            format!("#!/bin/sh\nenv > {0}; ls /proc/self/fd >> {0}; ps -o sid= -p $$ >> {0}\n", out.display()),
        )
        .unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        // A descriptor without close-on-exec, as a socket of systemd's is.
        let inherited = tempfile::tempfile().unwrap();
        rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
        let process = Process::start(&script, Path::new("x"), tempfile::tempfile().unwrap()).unwrap();
        process.ended().await.unwrap();
        let seen = fs::read_to_string(out).unwrap();
        let names: Vec<_> = seen.lines().filter_map(|line| line.split_once('=').map(|(name, _)| name)).collect();
        assert!(names.iter().all(|name| ["PATH", "PWD", "_", "SHLVL", "OLDPWD"].contains(name)), "{seen}");
        let descriptors = seen.lines().filter(|line| line.parse::<u32>().is_ok_and(|n| n < 100)).count();
        assert!(descriptors <= 4, "stdin, stdout, stderr and the directory that ls reads: {seen}");
        assert_eq!(seen.lines().last().unwrap().trim(), process.pid().to_string());
    }
}
