//! What a function's instances wrote, as lines in the order of their times: [`engine::Logs`] over the host's logs.
//!
//! ```text
//! LogQuery -> places, from the logs' ends -> Reader: a Cursor a log, merged by time -> batches of lines
//!                                             ^------ host::Logs::changed, while a reader follows ------+
//! ```
//! Everything is pulled: one that reads slowly is read for slowly, one that leaves ends the reading.

mod cursor;
mod reader;
mod start;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::time::{sleep, timeout};

use self::reader::Reader;
use crate::engine::{self, LogLine, LogLines, LogQuery, LogsRefused, LogsUnreadable};
use crate::function::FunctionId;
use crate::host::{self, HostError};

/// How long the host may take to answer a question.
const HOST_WITHIN: Duration = Duration::from_secs(30);

/// A follower that hears of nothing looks by itself now and then: whether the function is still there.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A host that can't be asked is not asked at once again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Tells functions of one name apart: of one that is deployed, when it was created.
type Deployed = Arc<dyn Fn(&FunctionId) -> Option<String> + Send + Sync>;

/// The logs of this machine's functions.
#[derive(Clone)]
pub struct LocalLogs {
    logs: Arc<dyn host::Logs>,
    deployed: Deployed,
}

impl LocalLogs {
    /// Reads the host's logs. `deployed` tells when a function was created, if it is deployed: a reader that follows one that
    /// is no longer, or is another one by now, and of which nothing runs, has come to the end.
    pub fn new(
        logs: Arc<dyn host::Logs>,
        deployed: impl Fn(&FunctionId) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { logs, deployed: Arc::new(deployed) }
    }
}

#[async_trait]
impl engine::Logs for LocalLogs {
    async fn read(&self, query: LogQuery) -> Result<LogLines, LogsRefused> {
        let (follow, deployed) = (query.follow, self.deployed.clone());
        // First: what is kept under this name after it is this function's, or a later one's.
        let Some(created) = deployed(&query.function) else { return Err(LogsRefused::NotFound(query.function)) };
        let still = move |id: &FunctionId| deployed(id).as_ref() == Some(&created);
        let unreadable = |error: HostError| LogsRefused::Unreadable(error.into());
        let mut reader = Reader::open(self.logs.clone(), query).await.map_err(unreadable)?;
        if !still(reader.function()) {
            return Err(LogsRefused::NotFound(reader.function().clone()));
        }
        let first = reader.batch().await.map_err(unreadable)?;
        let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
        let rest = stream::unfold(
            Some(Following { reader, follow, still: Box::new(still), over: false }),
            |following| async {
                let mut following = following?;
                match following.next().await {
                    Ok(Some(lines)) => Some((Ok(lines), Some(following))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error.into()), None)),
                }
            },
        );
        Ok(first.chain(rest).boxed())
    }
}

impl From<HostError> for LogsUnreadable {
    fn from(error: HostError) -> Self {
        Self(error.to_string())
    }
}

/// What is left of a reading.
struct Following {
    reader: Reader,
    follow: bool,
    /// Whether the function of this name is still the one whose logs are read.
    still: Box<dyn Fn(&FunctionId) -> bool + Send + Sync>,
    /// Whether it was seen that it is not: its instances may have last words, and there are no new ones.
    over: bool,
}

impl Following {
    /// The next lines; none at the end.
    async fn next(&mut self) -> Result<Option<Vec<LogLine>>, HostError> {
        loop {
            let lines = self.reader.batch().await?;
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            self.over |= !(self.still)(self.reader.function());
            if !self.follow || (!self.reader.grows && self.over) {
                return Ok(None);
            }
            self.wait().await;
            let kept = self.reader.look().await?;
            // After the look: a log in it that is another function's was begun when that was deployed already.
            self.over |= !(self.still)(self.reader.function());
            self.reader.update(&kept, !self.over);
        }
    }

    /// Waits until there may be more.
    async fn wait(&self) {
        tokio::select! {
            () = sleep(LOOK_AGAIN) => {}
            changed = caught(self.reader.changed()) => {
                if let Err(error) = changed {
                    tracing::warn!(function = %self.reader.function(), %error, "following its logs");
                    sleep(ASK_AGAIN).await;
                }
            }
        }
    }
}

/// A question to the host, with its deadline and with its panics caught.
async fn asked<T>(question: impl Future<Output = Result<T, HostError>>) -> Result<T, HostError> {
    let late = |_| HostError::Deadline(format!("reading logs ({} s)", HOST_WITHIN.as_secs()));
    timeout(HOST_WITHIN, caught(question)).await.map_err(late)?
}

async fn caught<T>(question: impl Future<Output = Result<T, HostError>>) -> Result<T, HostError> {
    let panicked = |_| Err(HostError::Failed("reading logs panicked".to_owned()));
    AssertUnwindSafe(question).catch_unwind().await.unwrap_or_else(panicked)
}
