//! Leases: what is made under one is safe from containerd's garbage collector until the lease ends.
//!
//! The parts of an image refer to nothing that lasts until its record exists: so it is made under a lease, which ends with
//! the work: settled, dropped (the caller gave up) or, should actord die, expired. An instance needs none: its one part that
//! nothing refers to at first, its snapshot, is kept by a label of its own.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::{AddResourceRequest, CreateRequest, DeleteRequest, ListRequest, Resource};
use containerd_client::tonic::Request;
use jiff::Timestamp;

use super::{Containerd, OWNER_LABEL};
use crate::host::HostError;

/// What the id of an image's lease begins with, so that an operator can tell what it is for.
const IMAGE: &str = "actord-image-";
/// When a lease that was not ended is void: longer than any pull takes.
const EXPIRY: Duration = Duration::from_secs(24 * 3600);

/// A lease that something is made under.
#[derive(Debug)]
pub(crate) struct Lease {
    containerd: Containerd,
    id: String,
    held: bool,
}

impl Lease {
    /// Takes a lease to make an image under.
    pub(crate) async fn for_image(containerd: &Containerd) -> Result<Self, HostError> {
        let id = format!("{IMAGE}{:032x}", rand::random::<u128>());
        // From here on it may exist, so that it is ended even if the answer never comes.
        let lease = Self { containerd: containerd.clone(), id, held: true };
        // Without fractions of a second: RFC 3339 as every reader takes it.
        let expires = format!("{:.0}", Timestamp::now() + EXPIRY);
        let labels = HashMap::from([
            ("containerd.io/gc.expire".to_owned(), expires),
            (OWNER_LABEL.to_owned(), containerd.owner.clone()),
        ]);
        let message = CreateRequest { id: lease.id.clone(), labels };
        let create = async |channel, request| LeasesClient::new(channel).create(request).await;
        containerd.call(format!("take lease {}", lease.id), message).send(create).await?;
        Ok(lease)
    }

    /// The containerd that the lease is of.
    pub(crate) fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    /// Makes a request one under this lease.
    pub(super) fn mark<T>(&self, request: &mut Request<T>) {
        if let Ok(value) = self.id.parse() {
            request.metadata_mut().insert("containerd-lease", value);
        }
    }

    /// `message` as a request under this lease, for what is no single call.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.containerd.request(message);
        self.mark(&mut request);
        request
    }

    /// Keeps a blob that may exist already. Kept first and looked up then, it can't vanish in between.
    pub(crate) async fn keep_blob(&self, digest: &str) -> Result<(), HostError> {
        self.keep(digest, "content").await
    }

    /// Keeps a snapshot, and those below it, that may exist already.
    pub(crate) async fn keep_snapshot(&self, snapshotter: &str, key: &str) -> Result<(), HostError> {
        self.keep(key, &format!("snapshots/{snapshotter}")).await
    }

    async fn keep(&self, id: &str, kind: &str) -> Result<(), HostError> {
        let resource = Resource { id: id.to_owned(), r#type: kind.to_owned() };
        let message = AddResourceRequest { id: self.id.clone(), resource: Some(resource) };
        let add = async |channel, request| LeasesClient::new(channel).add_resource(request).await;
        self.containerd.call(format!("keep {id} under lease {}", self.id), message).make(add).await.map(drop)
    }

    /// Ends the lease after what was done under it. Nothing that the failure of a pull or an import made stays.
    pub(crate) async fn settle<T>(mut self, done: Result<T, HostError>) -> Result<T, HostError> {
        self.held = false;
        end_or_warn(&self.containerd, &self.id, done.is_err()).await;
        done
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        let (containerd, id) = (self.containerd.clone(), std::mem::take(&mut self.id));
        // Outside of a runtime nothing can be asked; the lease expires.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { end_or_warn(&containerd, &id, true).await });
        }
    }
}

async fn end_or_warn(containerd: &Containerd, id: &str, collect: bool) {
    if let Err(error) = end(containerd, id, collect).await {
        tracing::warn!(lease = id, %error, "a lease could not be ended; it expires within a day");
    }
}

/// Ends a lease; none is fine. What nothing else refers to goes at once where `collect` is set, else with the next
/// collection.
async fn end(containerd: &Containerd, id: &str, collect: bool) -> Result<(), HostError> {
    let message = DeleteRequest { id: id.to_owned(), sync: collect };
    let delete = async |channel, request| LeasesClient::new(channel).delete(request).await;
    containerd.call(format!("end lease {id}"), message).find(delete).await.map(drop)
}

/// Ends every lease that pulls and imports of an earlier run of this installation left behind. Returns how many.
pub(crate) async fn end_stale(containerd: &Containerd) -> Result<usize, HostError> {
    let list = async |channel, request| LeasesClient::new(channel).list(request).await;
    let leases = containerd.call("list leases", ListRequest::default()).send(list).await?.leases;
    let stale = leases
        .into_iter()
        .filter(|lease| lease.id.starts_with(IMAGE) && lease.labels.get(OWNER_LABEL) == Some(&containerd.owner));
    let mut ended = 0;
    for lease in stale {
        end(containerd, &lease.id, false).await?;
        ended += 1;
    }
    Ok(ended)
}
