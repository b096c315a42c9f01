//! Watching the private containerd: its death is logged, and it is restarted until somebody stops it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Daemon;
use crate::host::HostError;

/// The first and the longest wait before a restart; it doubles between them.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// After living this long a death is taken for the first one again.
const STABLE: Duration = Duration::from_secs(60);

/// The watch over a private containerd. Dropping it ends the watch; containerd lives on.
#[derive(Debug)]
pub struct Watch {
    task: JoinHandle<Option<Daemon>>,
    cancelled: CancellationToken,
    pid: watch::Receiver<i32>,
}

impl Watch {
    pub(super) fn over(daemon: Daemon) -> Self {
        let cancelled = CancellationToken::new();
        let (tell, pid) = watch::channel(daemon.pid());
        let task = tokio::spawn(keep_alive(daemon, cancelled.clone(), tell));
        Self { task, cancelled, pid }
    }

    /// The process id that containerd has now, or had last.
    #[must_use]
    pub fn pid(&self) -> i32 {
        *self.pid.borrow()
    }

    /// Ends the watch and containerd itself, for good.
    ///
    /// # Errors
    /// [`HostError::Failed`] when it does not end.
    pub async fn stop(mut self) -> Result<(), HostError> {
        self.cancelled.cancel();
        match (&mut self.task).await {
            Ok(Some(daemon)) => daemon.stop().await,
            Ok(None) => Ok(()),
            Err(error) => Err(HostError::Failed(format!("stop containerd: its watch failed: {error}"))),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the living daemon, or none if it was down, once it is cancelled.
async fn keep_alive(mut daemon: Daemon, cancelled: CancellationToken, tell: watch::Sender<i32>) -> Option<Daemon> {
    let mut pause = FIRST;
    loop {
        let since = Instant::now();
        let ended = tokio::select! {
            ended = daemon.process.ended() => ended,
            () = cancelled.cancelled() => return Some(daemon),
        };
        let how = ended.map_or_else(|error| format!("can't be watched ({error})"), |()| "ended".to_owned());
        tracing::error!(pid = daemon.pid(), "containerd {how}; functions go on, it is restarted");
        if since.elapsed() >= STABLE {
            pause = FIRST;
        }
        let options = daemon.options;
        daemon = loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = cancelled.cancelled() => return None,
            }
            pause = (pause * 2).min(LONGEST);
            // Not cut short by a cancellation: a containerd that was just started must not be forgotten.
            match Daemon::adopt_or_start(options.clone()).await {
                Ok(daemon) => break daemon,
                Err(error) => tracing::error!(%error, next = ?pause, "containerd could not be restarted"),
            }
        };
        let _ = tell.send(daemon.pid());
    }
}
