//! The one task that notices when logs grow.
//!
//! inotify tells which. After each round it pauses, so that its work is bounded whatever is written: a line is recorded
//! at once after a quiet moment, and at the latest a pause after the one before it.

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Weak;
use std::time::Duration;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::{Inner, instance};
use crate::function::InstanceId;

/// The time between two rounds.
const PAUSE: Duration = Duration::from_millis(20);
/// How often all logs are looked at where the kernel doesn't tell which have grown.
const ROUNDS: Duration = Duration::from_millis(50);

/// Which logs to look at.
enum Grown {
    These(BTreeSet<InstanceId>),
    /// The kernel does not tell.
    Any,
}

/// What sees that logs grow.
pub(super) enum Watcher {
    Inotify(AsyncFd<OwnedFd>),
    /// The kernel gives no inotify instance, or no watch.
    Polling,
}

impl Watcher {
    pub(super) fn open(directory: &Path) -> Self {
        match Self::inotify(directory) {
            Ok(events) => Self::Inotify(events),
            Err(error) => {
                tracing::warn!(%error, "logs are looked at all the time: raise fs.inotify.max_user_instances");
                Self::Polling
            }
        }
    }

    #[expect(deprecated, reason = "sound for a descriptor that is owned; what replaces it can't be called safely")]
    fn inotify(directory: &Path) -> io::Result<AsyncFd<OwnedFd>> {
        let events = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        add_watch(&events, directory, WatchFlags::MODIFY)?;
        AsyncFd::with_interest(events, Interest::READABLE)
    }

    async fn grown(&self) -> Grown {
        let Self::Inotify(events) = self else {
            sleep(ROUNDS).await;
            return Grown::Any;
        };
        loop {
            match events.readable().await {
                Ok(mut ready) => {
                    if let Ok(grown) = ready.try_io(|events| names(events.get_ref())) {
                        return grown.unwrap_or(Grown::Any);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the watch over the logs");
                    sleep(ROUNDS).await;
                    return Grown::Any;
                }
            }
        }
    }
}

/// Everything that the kernel has to tell, until it would block.
fn names(events: &OwnedFd) -> io::Result<Grown> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 16 * 1024];
    let mut reader = Reader::new(events, &mut buffer);
    let (mut grown, mut lost, mut any) = (BTreeSet::new(), false, false);
    loop {
        match reader.next() {
            Ok(event) => {
                any = true;
                lost |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                grown.extend(instance(event.file_name().and_then(|name| name.to_str().ok())));
            }
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if any => return Ok(if lost { Grown::Any } else { Grown::These(grown) }),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Watches for as long as the logs are in use.
pub(super) async fn watch(logs: Weak<Inner>, watcher: Watcher) {
    loop {
        let grown = watcher.grown().await;
        if matches!(&grown, Grown::These(none) if none.is_empty()) {
            continue;
        }
        let Some(logs) = logs.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || match grown {
            Grown::These(ids) => ids.iter().for_each(|id| logs.look(id)),
            Grown::Any => logs.look_at_all(),
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "looking at the logs");
        }
        sleep(PAUSE).await;
    }
}
