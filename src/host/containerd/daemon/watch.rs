//! Watching the private containerd: it is restarted when it dies, until actord stops it, and killed when it hangs.
//!
//! A hung one is alive and answers nothing (a deadlock, a SIGSTOP): every call would wait for its deadline. Functions don't
//! need containerd in order to go on, so it is ended by the identity that it was adopted with, and restarted like a dead one.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Daemon, DaemonOptions, answers};
use crate::host::HostError;

/// The first and the longest wait before a restart; it doubles between them.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// Fewer unanswered questions than this prove nothing.
const UNANSWERED: u32 = 3;
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

/// Returns when containerd has left every question unanswered for as long as it may, with how long that was.
async fn hung(options: &DaemonOptions) -> Duration {
    let hang_policy = options.hang_policy;
    let mut silent_since: Option<Instant> = None;
    let mut unanswered = 0;
    loop {
        sleep(hang_policy.period).await;
        let asked = Instant::now();
        if answers(&options.socket, hang_policy.limit).await.is_ok() {
            silent_since = None;
            unanswered = 0;
            continue;
        }
        // Counted from the first question without an answer, and in questions as well: after a sleep of the whole
        // machine, time alone says nothing.
        let since = *silent_since.get_or_insert(asked);
        unanswered += 1;
        if unanswered >= UNANSWERED && since.elapsed() >= hang_policy.limit {
            return since.elapsed();
        }
    }
}

/// Returns the living daemon, or none if it was down, once it is cancelled.
async fn keep_alive(mut daemon: Daemon, cancelled: CancellationToken, tell: watch::Sender<i32>) -> Option<Daemon> {
    let mut pause = FIRST;
    loop {
        let since = Instant::now();
        let ended = loop {
            tokio::select! {
                ended = daemon.process.ended() => break ended,
                () = cancelled.cancelled() => return Some(daemon),
                silent = hung(&daemon.options) => {
                    tracing::error!(pid = daemon.pid(), "containerd has answered nothing for {silent:?}: killing it");
                    if let Err(error) = daemon.process.kill() {
                        tracing::error!(pid = daemon.pid(), %error, "containerd can't be killed");
                    }
                }
            }
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
