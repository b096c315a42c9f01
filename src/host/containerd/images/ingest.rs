//! Writing one blob into containerd's content store: open (or resume) -> write -> commit.
//!
//! containerd keeps what was written under the ingest's `ref` when the connection is cut, so that the next writer goes
//! on from there, and compares the digest when it is committed.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::{AbortRequest, WriteAction, WriteContentRequest, WriteContentResponse};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

use super::digest::sha256;
use crate::host::HostError;
use crate::host::containerd::connection::{CALL_DEADLINE, Containerd, Lease, host_error};

/// How much is sent at once. containerd takes up to 16 MiB.
pub(crate) const CHUNK: usize = 512 << 10;

/// The longest that a write or a commit (it syncs to disk) may take.
const WRITE_DEADLINE: Duration = Duration::from_secs(120);

/// The longest that ending a write may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// How often, and how long between, an ingest that another writer still holds is asked for again.
const LOCKED_RETRIES: u32 = 50;
const LOCKED_PAUSE: Duration = Duration::from_millis(100);

/// What to write: its digest where that is known, and its size.
#[derive(Debug, Clone)]
pub(crate) struct Blob<'a> {
    /// The digest that it must have, or None: containerd says which it has.
    pub(crate) digest: Option<&'a str>,
    /// Bytes.
    pub(crate) size: u64,
}

/// A blob that is being written.
pub(crate) struct Ingest {
    containerd: Containerd,
    target: Target,
    offset: i64,
    requests: mpsc::Sender<WriteContentRequest>,
    responses: Streaming<WriteContentResponse>,
}

impl Ingest {
    /// Opens the ingest `name`, where an earlier writer left it. None when the blob is there already.
    pub(crate) async fn open(lease: &Lease, name: &str, blob: &Blob<'_>) -> Result<Option<Self>, HostError> {
        let what = format!("write blob {name}");
        let mut tries = 0;
        loop {
            match Self::try_open(lease, name, blob).await {
                Ok(ingest) => return Ok(Some(ingest)),
                Err(status) if status.code() == Code::AlreadyExists => return Ok(None),
                // A writer that was just dropped lets go when containerd notices; one that hangs loses what it wrote.
                Err(status) if is_locked(&status) && tries <= LOCKED_RETRIES => {
                    if tries == LOCKED_RETRIES {
                        abort(lease.containerd(), name).await?;
                    }
                    tries += 1;
                    sleep(LOCKED_PAUSE).await;
                }
                Err(status) => return Err(host_error(&what, &status)),
            }
        }
    }

    async fn try_open(lease: &Lease, name: &str, blob: &Blob<'_>) -> Result<Self, Status> {
        let (requests, queue) = mpsc::channel(1);
        let target = Target {
            name: name.to_owned(),
            expected: blob.digest.unwrap_or_default().to_owned(),
            total: i64::try_from(blob.size).map_err(|_| Status::out_of_range("the blob is too big"))?,
        };
        // Queued before the call: containerd answers the call only after the first message.
        let _ = requests.send(target.message(WriteAction::Stat, 0, Vec::new())).await;
        let messages = stream::unfold(queue, |mut queue| async { queue.recv().await.map(|message| (message, queue)) });
        let mut client = ContentClient::new(lease.containerd().channel.clone());
        let opened = timeout(CALL_DEADLINE, async {
            let mut responses = client.write(lease.request(messages)).await?.into_inner();
            let status = responses.message().await?.ok_or_else(|| Status::aborted("containerd ended the write"))?;
            Ok::<_, Status>((responses, status.offset))
        });
        let (responses, offset) = opened.await.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        Ok(Self { containerd: lease.containerd().clone(), target, offset, requests, responses })
    }

    /// How many bytes are written.
    pub(crate) fn offset(&self) -> u64 {
        u64::try_from(self.offset).unwrap_or(0)
    }

    /// Forgets what was written: the next write is the first.
    pub(crate) fn restart(&mut self) {
        // containerd truncates when it sees a write at 0.
        self.offset = 0;
    }

    /// Writes the next bytes, at most [`CHUNK`] of them.
    pub(crate) async fn write(&mut self, data: Vec<u8>) -> Result<(), HostError> {
        if data.is_empty() {
            return Ok(());
        }
        let end = self.offset.saturating_add(i64::try_from(data.len()).unwrap_or(i64::MAX));
        let message = self.target.message(WriteAction::Write, self.offset, data);
        let what = format!("write blob {}", self.target.name);
        let response = self.exchange(message).await.map_err(|status| host_error(&what, &status))?;
        if response.offset != end {
            return Err(HostError::Failed(format!("{what}: containerd is at {}, not at {end}", response.offset)));
        }
        self.offset = end;
        Ok(())
    }

    /// Makes the blob one of the content store's, and returns its digest.
    pub(crate) async fn commit(mut self) -> Result<String, Uncommitted> {
        let message = self.target.message(WriteAction::Commit, self.offset, Vec::new());
        match self.exchange(message).await {
            Ok(response) => Ok(response.digest),
            Err(status) if status.code() == Code::AlreadyExists => Ok(self.target.expected),
            Err(status) if status.code() == Code::FailedPrecondition => {
                let why = status.message().to_owned();
                self.abort().await.map_err(Uncommitted::Host)?;
                Err(Uncommitted::Wrong(why))
            }
            Err(status) => Err(Uncommitted::Host(host_error(&format!("commit blob {}", self.target.name), &status))),
        }
    }

    /// Drops what was written.
    pub(crate) async fn abort(self) -> Result<(), HostError> {
        let (containerd, name) = (self.containerd.clone(), self.target.name.clone());
        self.close().await;
        abort(&containerd, &name).await
    }

    /// Ends the write, and returns when containerd has let go of the ingest. Its writer notes how far it came as the
    /// last thing it does: an ingest that is removed before then, by an abort or with its lease, may not go wholly.
    pub(crate) async fn close(self) {
        let Self { requests, mut responses, target, .. } = self;
        drop(requests);
        // An error ends the call as well as the last message does.
        let ended = async { while let Ok(Some(_)) = responses.message().await {} };
        if timeout(CLOSE_DEADLINE, ended).await.is_err() {
            tracing::debug!(ingest = target.name, "containerd does not end a write");
        }
    }

    async fn exchange(&mut self, message: WriteContentRequest) -> Result<WriteContentResponse, Status> {
        timeout(WRITE_DEADLINE, async {
            // A closed queue means that the call has ended; its answer says why.
            let _ = self.requests.send(message).await;
            self.responses.message().await?.ok_or_else(|| Status::aborted("containerd ended the write"))
        })
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
    }
}

/// Which blob an ingest is for, as every message repeats it.
struct Target {
    name: String,
    expected: String,
    total: i64,
}

impl Target {
    fn message(&self, action: WriteAction, offset: i64, data: Vec<u8>) -> WriteContentRequest {
        WriteContentRequest {
            action: action.into(),
            r#ref: self.name.clone(),
            total: self.total,
            expected: self.expected.clone(),
            offset,
            data,
            labels: HashMap::new(),
        }
    }
}

/// Why a blob could not be committed.
#[derive(Debug)]
pub(crate) enum Uncommitted {
    /// Its bytes are not what was expected: another size or digest. They are dropped.
    Wrong(String),
    /// containerd failed.
    Host(HostError),
}

/// Whether another writer holds the ingest.
fn is_locked(status: &Status) -> bool {
    status.code() == Code::Unavailable && status.message().contains("locked")
}

async fn abort(containerd: &Containerd, name: &str) -> Result<(), HostError> {
    let message = AbortRequest { r#ref: name.to_owned() };
    let abort = async |channel, request| ContentClient::new(channel).abort(request).await;
    containerd.call(format!("drop the unfinished blob {name}"), message).find(abort).await.map(drop)
}

/// Writes a small blob (a manifest or a config) and returns its digest.
pub(crate) async fn write_blob(lease: &Lease, bytes: &[u8]) -> Result<String, HostError> {
    let digest = sha256(bytes);
    lease.keep_blob(&digest).await?;
    let blob = Blob { digest: Some(&digest), size: bytes.len() as u64 };
    let Some(mut ingest) = Ingest::open(lease, &ingest_name(&digest), &blob).await? else { return Ok(digest) };
    if ingest.offset() < bytes.len() as u64 {
        ingest.restart();
        for chunk in bytes.chunks(CHUNK) {
            if let Err(error) = ingest.write(chunk.to_vec()).await {
                ingest.close().await;
                return Err(error);
            }
        }
    }
    match ingest.commit().await {
        Ok(_) => Ok(digest),
        Err(Uncommitted::Host(error)) => Err(error),
        Err(Uncommitted::Wrong(why)) => Err(HostError::Failed(format!("commit blob {digest}: {why}"))),
    }
}

/// The name of a blob's ingest: one per digest, so that an interrupted write is found again.
pub(crate) fn ingest_name(digest: &str) -> String {
    format!("actord-{digest}")
}
