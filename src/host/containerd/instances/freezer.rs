//! Freezing an instance: the switch of its control group, a file. No process is started, and containerd is not asked.
//!
//! | | version 1 | version 2 |
//! | --- | --- | --- |
//! | switch | `freezer.state`: `FROZEN`, `THAWED` | `cgroup.freeze`: `1`, `0` |
//! | done | `freezer.state` says `FROZEN`, and `FREEZING` before | `cgroup.events` has `frozen 1` |
//! | SIGKILL while frozen | comes when it is thawed | ends it |
//!
//! Groups that its processes made in the group are frozen with it. A task freezes when it next comes back from the
//! kernel: one that waits there for a disk that does not answer never does, so there is an end to the waiting.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::Inner;
use crate::function::InstanceId;
use crate::host::HostError;

/// How long the processes of an instance may take to freeze. Those of an idle one take less than a millisecond.
const FREEZES_WITHIN: Duration = Duration::from_secs(1);
/// How long between two looks at whether they are: at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(20);

impl Inner {
    /// Freezes all of an instance, or nothing: where it takes too long, or its caller goes away meanwhile, what is frozen
    /// already goes on.
    pub(super) async fn freeze(
        self: &Arc<Self>,
        id: &InstanceId,
        mut caller_left: oneshot::Receiver<Infallible>,
    ) -> Result<(), HostError> {
        let begun = Instant::now();
        let freezer = self.freezer(id)?;
        let mut pause = FIRST_PAUSE;
        let failed = loop {
            let one = freezer.clone();
            match self.blocking(format!("freeze {id}"), move |_| one.try_to_freeze()).await {
                Ok(Some(true)) => return Ok(()),
                Ok(None) => return Err(no_process(id)),
                Err(error) => break error,
                Ok(Some(false)) if begun.elapsed() >= FREEZES_WITHIN => {
                    break HostError::Failed(format!(
                        "freeze {id}: not all of its processes stopped within {FREEZES_WITHIN:?}: one of them waits in the \
                         kernel, for a disk for example (state D in ps)"
                    ));
                }
                Ok(Some(false)) => {}
            }
            tokio::select! {
                () = sleep(pause) => pause = LAST_PAUSE.min(pause * 2),
                _ = &mut caller_left => break HostError::Failed(format!("freeze {id}: given up by its caller")),
            }
        };
        match self.thaw(id).await {
            Ok(()) | Err(HostError::NotFound(_)) => Err(failed),
            Err(worse) => Err(HostError::Failed(format!("{failed}; then {worse}: it may be frozen"))),
        }
    }

    /// Lets all of an instance go on.
    pub(super) async fn thaw(self: &Arc<Self>, id: &InstanceId) -> Result<(), HostError> {
        let freezer = self.freezer(id)?;
        let thaw = move |_: &Self| {
            freezer.thaw()?;
            freezer.has_process()
        };
        match self.blocking(format!("thaw {id}"), thaw).await? {
            true => Ok(()),
            false => Err(no_process(id)),
        }
    }

    fn freezer(&self, id: &InstanceId) -> Result<Freezer, HostError> {
        let none =
            || HostError::Failed(format!("{id} can't be frozen: this machine has no control groups that freeze"));
        self.cgroups.freezer(id).ok_or_else(none)
    }
}

fn no_process(id: &InstanceId) -> HostError {
    HostError::NotFound(format!("process of {id}"))
}

/// The switch of one group, and the version that its files are written in.
#[derive(Debug, Clone)]
pub(super) enum Freezer {
    One(PathBuf),
    Two(PathBuf),
}

impl Freezer {
    fn group(&self) -> &Path {
        let (Self::One(group) | Self::Two(group)) = self;
        group
    }

    /// Asks for the group's processes to freeze, or reminds those that are not yet, and tells whether all are; none where
    /// there is no process.
    fn try_to_freeze(&self) -> io::Result<Option<bool>> {
        if !self.has_process()? {
            return Ok(None);
        }
        match self.write(true).and_then(|()| self.is_frozen()) {
            Err(error) if is_gone(&error) && !self.has_process()? => Ok(None),
            frozen => frozen.map(Some),
        }
    }

    /// Lets the group's processes go on. No group is fine.
    fn thaw(&self) -> io::Result<()> {
        match self.write(false) {
            Err(error) if is_gone(&error) => Ok(()),
            written => written,
        }
    }

    /// Whether all processes are frozen that are in the group, or in one below it.
    fn is_frozen(&self) -> io::Result<bool> {
        Ok(match self {
            Self::One(group) => fs::read_to_string(group.join("freezer.state"))?.trim() == "FROZEN",
            Self::Two(group) => fs::read_to_string(group.join("cgroup.events"))?.lines().any(|line| line == "frozen 1"),
        })
    }

    /// Whether there is a process in the group, or in one below it.
    fn has_process(&self) -> io::Result<bool> {
        match has_process(self.group()) {
            Err(error) if is_gone(&error) => Ok(false),
            read => read,
        }
    }

    fn write(&self, frozen: bool) -> io::Result<()> {
        let (group, file, text) = match (self, frozen) {
            (Self::One(group), true) => (group, "freezer.state", "FROZEN"),
            (Self::One(group), false) => (group, "freezer.state", "THAWED"),
            (Self::Two(group), true) => (group, "cgroup.freeze", "1"),
            (Self::Two(group), false) => (group, "cgroup.freeze", "0"),
        };
        fs::OpenOptions::new().write(true).open(group.join(file))?.write_all(text.as_bytes())
    }
}

/// Thaws a group that is to end, of whichever version it is and whatever froze it.
pub(super) fn thaw_group(group: &Path) {
    for freezer in [Freezer::One(group.to_owned()), Freezer::Two(group.to_owned())] {
        let _ = freezer.write(false);
    }
}

/// Whether an error says that the group went, before a file of it was opened or while it was being read.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV)
}

const ENODEV: i32 = rustix::io::Errno::NODEV.raw_os_error();

fn has_process(group: &Path) -> io::Result<bool> {
    if !fs::read_to_string(group.join("cgroup.procs"))?.is_empty() {
        return Ok(true);
    }
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && has_process(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}
