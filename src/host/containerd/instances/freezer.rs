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
use std::time::Duration;

use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::{Instant, sleep};

use super::blocking;
use crate::function::InstanceId;
use crate::host::HostError;

/// How long the processes of an instance may take to freeze. Those of an idle one take less than a millisecond.
const FREEZES_WITHIN: Duration = Duration::from_secs(1);
/// How long between two looks at whether they are: at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(20);

/// The switch of an instance's group, and the version that its files are written in.
#[derive(Debug, Clone)]
pub(super) enum Freezer {
    One(PathBuf),
    Two(PathBuf),
}

/// Freezes all of an instance, or nothing: where it takes too long, or its caller goes away meanwhile, what is frozen
/// already goes on.
pub(super) async fn freeze(
    id: &InstanceId,
    freezer: &Freezer,
    mut caller_left: oneshot::Receiver<Infallible>,
) -> Result<(), HostError> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let failed = loop {
        let one = freezer.clone();
        match blocking(format!("freeze {id}"), move || one.try_to_freeze()).await {
            Ok(Some(true)) if is_waited_for(&mut caller_left) => return Ok(()),
            Ok(Some(true)) => break given_up(id),
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
            _ = &mut caller_left => break given_up(id),
        }
    };
    match thaw(id, freezer) {
        Ok(()) | Err(HostError::NotFound(_)) => Err(failed),
        Err(worse) => Err(HostError::Failed(format!("{failed}; then {worse}: it may be frozen"))),
    }
}

/// Lets all of an instance go on. On this thread: a request waits for it, and the few microseconds that the write takes are
/// much less than handing it to another thread and back.
pub(super) fn thaw(id: &InstanceId, freezer: &Freezer) -> Result<(), HostError> {
    match freezer.thaw().and_then(|()| freezer.has_process()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(no_process(id)),
        Err(error) => Err(HostError::Failed(format!("thaw {id}: {error}"))),
    }
}

/// A caller that went away before it was told has thawed the instance by then, perhaps, and would not again.
fn is_waited_for(caller_left: &mut oneshot::Receiver<Infallible>) -> bool {
    matches!(caller_left.try_recv(), Err(TryRecvError::Empty))
}

fn given_up(id: &InstanceId) -> HostError {
    HostError::Failed(format!("freeze {id}: given up by its caller"))
}

fn no_process(id: &InstanceId) -> HostError {
    HostError::NotFound(format!("process of {id}"))
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

/// Thaws a group, of whichever version it is, and tells whether it was frozen.
pub(super) fn thaw_group(group: &Path) -> bool {
    let group = group.to_owned();
    [Freezer::One(group.clone()), Freezer::Two(group)].iter().any(|freezer| {
        let frozen = freezer.is_frozen().unwrap_or_default();
        freezer.write(false).is_ok() && frozen
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Directories in the place of a group of each version, with a process. Nothing in them freezes by itself: what is
    /// read is what stands there, with the words of a switch written over its beginning.
    struct Groups {
        base: tempfile::TempDir,
        id: InstanceId,
    }

    impl Groups {
        fn with(files: &[(&str, &str)]) -> Self {
            let groups = Self { base: tempfile::tempdir().unwrap(), id: "f-1".parse().unwrap() };
            for (file, text) in [&[("cgroup.procs", "7\n")], files].concat() {
                let path = groups.base.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            groups
        }

        fn read(&self, file: &str) -> String {
            fs::read_to_string(self.base.path().join(file)).unwrap()
        }

        fn one(&self) -> Freezer {
            Freezer::One(self.base.path().to_owned())
        }

        fn two(&self) -> Freezer {
            Freezer::Two(self.base.path().to_owned())
        }

        async fn freeze(&self, freezer: &Freezer) -> Result<(), HostError> {
            let (_waits, caller_left) = oneshot::channel();
            freeze(&self.id, freezer, caller_left).await
        }
    }

    #[tokio::test]
    async fn either_version_is_switched_by_a_file_and_tells_that_it_is_frozen() {
        let groups = Groups::with(&[
            ("freezer.state", "THAWED"),
            ("cgroup.freeze", "0\n"),
            ("cgroup.events", "populated 1\nfrozen 1\n"),
        ]);
        groups.freeze(&groups.one()).await.unwrap();
        assert_eq!((groups.read("freezer.state"), groups.read("cgroup.freeze")), ("FROZEN".into(), "0\n".into()));
        thaw(&groups.id, &groups.one()).unwrap();
        groups.freeze(&groups.two()).await.unwrap();
        assert_eq!((groups.read("freezer.state"), groups.read("cgroup.freeze")), ("THAWED".into(), "1\n".into()));
        thaw(&groups.id, &groups.two()).unwrap();
        assert_eq!(groups.read("cgroup.freeze"), "0\n");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_freeze_is_given_up_in_words_and_thawed() {
        let groups = Groups::with(&[
            ("freezer.state", "THAWED, all but one"),
            ("cgroup.freeze", "0\n"),
            ("cgroup.events", "populated 1\nfrozen 0\n"),
        ]);
        for freezer in [groups.one(), groups.two()] {
            let error = groups.freeze(&freezer).await.unwrap_err();
            assert!(error.to_string().starts_with("freeze f-1: not all of its processes stopped within 1s"), "{error}");
        }
        assert_eq!(groups.read("freezer.state"), "THAWED, all but one");
        assert_eq!(groups.read("cgroup.freeze"), "0\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_leaves_nothing_frozen_behind() {
        let groups = Groups::with(&[("freezer.state", "THAWED, all but one")]);
        let (begun, (waits, caller_left)) = (Instant::now(), oneshot::channel());
        let (freezer, goes) = (groups.one(), async {
            sleep(10 * FIRST_PAUSE).await;
            drop(waits);
        });
        let (frozen, ()) = tokio::join!(freeze(&groups.id, &freezer, caller_left), goes);
        assert!(frozen.unwrap_err().to_string().contains("given up by its caller"));
        assert!(begun.elapsed() < FREEZES_WITHIN, "at once");
        assert_eq!(groups.read("freezer.state"), "THAWED, all but one");
    }

    #[tokio::test]
    async fn a_caller_that_went_away_before_it_could_be_told_leaves_nothing_frozen_behind_either() {
        let groups = Groups::with(&[("cgroup.freeze", "0\n"), ("cgroup.events", "populated 1\nfrozen 1\n")]);
        let (waits, caller_left) = oneshot::channel();
        drop(waits);
        freeze(&groups.id, &groups.two(), caller_left).await.unwrap_err();
        assert_eq!(groups.read("cgroup.freeze"), "0\n");
    }

    #[tokio::test]
    async fn a_group_that_is_gone_or_empty_has_no_process_and_one_that_can_not_be_switched_is_an_error() {
        let groups = Groups::with(&[]);
        for freezer in [groups.one(), groups.two()] {
            let error = groups.freeze(&freezer).await.unwrap_err();
            assert!(matches!(&error, HostError::Failed(text) if text.starts_with("freeze f-1: ")), "{error:?}");
        }
        fs::write(groups.base.path().join("cgroup.procs"), "").unwrap();
        let gone = Freezer::One(groups.base.path().join("gone"));
        for freezer in [groups.one(), groups.two(), gone] {
            let (frozen, thawed) = (groups.freeze(&freezer).await, thaw(&groups.id, &freezer));
            assert!(matches!((&frozen, &thawed), (Err(HostError::NotFound(_)), Err(HostError::NotFound(_)))));
        }
        let nested = Groups::with(&[("cgroup.procs", ""), ("own/cgroup.procs", "8\n"), ("freezer.state", "THAWED")]);
        nested.freeze(&nested.one()).await.expect("the process is in a group that it made itself");
    }
}
