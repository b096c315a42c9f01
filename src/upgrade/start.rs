//! The watcher's start: by whoever finds that there is none. It descends from nobody who may end with a session, and nothing of
//! who starts it is left open in it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::home::{HOME, Home, PATH, named};
use super::marker::Marker;
use super::service;
use crate::process;

/// Starts the watcher, also after a boot of the machine with a program that can't even be executed.
const UNIT: &str = "actord-upgrade.service";

/// Starts the watcher: the old program as it is kept, or this one where that can't be executed.
///
/// # Errors
/// What the system said of both.
pub fn start_watcher(home: &Home) -> io::Result<()> {
    let kept = home.kept();
    start(home, &kept).or_else(|error| {
        tracing::warn!(%error, "the program that was kept can't be executed: this one watches");
        start(home, Path::new("/proc/self/exe"))
    })
}

/// Has an upgrade that was prepared begin: by the unit that is there for it, where systemd starts what runs.
///
/// # Errors
/// When no watcher can be started; nothing is changed then, and nothing is under way.
pub async fn begin(home: &Home, marker: &Marker) -> io::Result<()> {
    if marker.unit.is_some() && home.path() == Path::new(HOME) && service::start_unit(UNIT).await {
        return Ok(());
    }
    start_watcher(home).inspect_err(|_| {
        if let Err(error) = home.unmark() {
            tracing::error!(%error, "the next start of actord ends this upgrade");
        }
    })
}

fn start(home: &Home, program: &Path) -> io::Result<()> {
    let log = log(home)?;
    let mut command = Command::new(program);
    command.arg0("actord").args(["upgrade", "--watch", "--config", "/dev/null", "--upgrade-dir"]).arg(home.path());
    command.env_clear().env("PATH", PATH).current_dir("/");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // It is nobody's child: who starts it may become another program meanwhile, and would never wait for its end.
    let apart = || {
        process::keep_nothing_open();
        rustix::process::setsid()?;
        // SAFETY: the process has one thread, and what is left between here and exec makes no use of anything else; who
        // stays behind ends without a look at what it shares.
        #[allow(unsafe_code)]
        match unsafe { libc::fork() } {
            0 => Ok(()),
            child if child > 0 => unsafe { libc::_exit(0) },
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec only system calls are made; nothing allocates.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(apart);
    }
    command.spawn().and_then(|mut child| child.wait()).map(drop).map_err(|error| named(program, &error))
}

/// What the watcher says.
fn log(home: &Home) -> io::Result<File> {
    let path = home.log();
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(&path).map_err(|error| named(&path, &error))
}
