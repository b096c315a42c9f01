//! How an instance's first process ends: what containerd says, and beside it what the kernel does.
//!
//! ```text
//! containerd's Wait ----------------------------> its status ---> signal, code, out of memory, or never ran
//! pidfd of the first process: it has ended ---+-> the same, if containerd tells it soon
//!                                             +-> else it has vanished
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::{Inner, refusal, tasks};
use crate::function::{Exit, InstanceId};
use crate::host::HostError;

/// The exit status of a process that SIGKILL ended, as the kernel's out-of-memory killer sends it.
const KILLED: u32 = 128 + 9;

/// How long containerd may take to tell how a process ended that is known to have: longer than a busy machine needs.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// The wait before it is asked again where it can't be reached.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How much of a log is read to see whether its process ever ran: more than runc's words, which are one path long.
const LAST_WORDS_MAX: usize = 8 << 10;
/// How often and how long between a log is read that has nothing in it yet.
const LAST_WORDS_TRIES: u32 = 5;
const LAST_WORDS_PAUSE: Duration = Duration::from_millis(20);

impl Inner {
    /// Waits for the end of an instance's first process.
    ///
    /// # Errors
    /// [`HostError`] where containerd can't be asked.
    pub(super) async fn how_it_ends(self: &Arc<Self>, id: &InstanceId) -> Result<Exit, HostError> {
        match self.told(id).await {
            Some(Ok(KILLED)) | None if self.cgroups.ran_out_of_memory(id) => Ok(Exit::OutOfMemory),
            Some(Ok(status)) => Ok(self.exit(id, status).await),
            Some(Err(HostError::NotFound(_))) => Ok(Exit::Vanished),
            Some(Err(error)) => Err(error),
            None => {
                tracing::warn!(%id, "its process has ended, and containerd does not say how");
                Ok(Exit::Vanished)
            }
        }
    }

    /// Returns when the first process of an instance has ended, as the kernel tells; never where it can't be known.
    async fn first_process_ended(&self, id: &InstanceId) {
        if !self.first.holds(id) {
            // Made by an earlier actord.
            match tasks::process(&self.containerd, id).await {
                Ok(Some(pid)) if self.first.hold(id, pid) => {}
                _ => std::future::pending().await,
            }
        }
        self.first.ended(id).await;
    }

    /// Waits for what containerd says of the end of a process, for a while once it has ended. None: it said nothing.
    async fn told(&self, id: &InstanceId) -> Option<Result<u32, HostError>> {
        let mut waiting = Box::pin(tasks::wait(&self.containerd, id));
        tokio::select! {
            told = &mut waiting => return Some(told),
            () = self.first_process_ended(id) => {}
        }
        let status = async {
            loop {
                match waiting.await {
                    told @ (Ok(_) | Err(HostError::NotFound(_))) => break told,
                    Err(_) => tokio::time::sleep(ASK_AGAIN).await,
                }
                waiting = Box::pin(tasks::wait(&self.containerd, id));
            }
        };
        tokio::time::timeout(TOLD_WITHIN, status).await.ok()
    }

    /// How a process ended that was not killed for its memory.
    async fn exit(self: &Arc<Self>, id: &InstanceId, status: u32) -> Exit {
        if !refusal::may_not_have_run(status) {
            return Exit::from_status(status);
        }
        let mut log = String::new();
        // Its last words may come a moment after its end.
        for _ in 0..LAST_WORDS_TRIES {
            let one = id.clone();
            let read =
                self.blocking(format!("read the log of {id}"), move |inner| inner.logs.tail(&one, LAST_WORDS_MAX));
            log = read.await.unwrap_or_default();
            if !log.is_empty() {
                break;
            }
            tokio::time::sleep(LAST_WORDS_PAUSE).await;
        }
        refusal::never_ran(status, &log).map_or_else(|| Exit::from_status(status), Exit::Code)
    }
}
