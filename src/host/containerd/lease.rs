//! Leases: what is made under one is safe from containerd's garbage collector until the lease ends.
//!
//! An image is nobody's until its record exists, so a pull holds a lease from its first blob to the record. The lease
//! ends with the pull: released, dropped (the caller gave up) or, should actord die, expired.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::{AddResourceRequest, CreateRequest, DeleteRequest, ListRequest, Resource};
use tonic::{Code, Request};

use super::channel::{Containerd, OWNER_LABEL, host_error};
use super::content::{CALL_DEADLINE, within};
use crate::host::HostError;

/// When a lease that nobody ended is void: longer than any pull takes.
const EXPIRY: Duration = Duration::from_secs(24 * 3600);

/// What a lease's id begins with, so that an operator can tell what it is for.
const PREFIX: &str = "actord-image-";

/// A lease that is ended when it is released or dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    containerd: Containerd,
    id: String,
    held: bool,
}

impl Lease {
    /// Takes a lease.
    pub(crate) async fn take(containerd: &Containerd) -> Result<Self, HostError> {
        let id = format!("{PREFIX}{:032x}", rand::random::<u128>());
        let what = format!("take lease {id}");
        // From here on it may exist, so that it is ended even if the answer never comes.
        let lease = Self { containerd: containerd.clone(), id, held: true };
        let expiry = jiff::Timestamp::now() + EXPIRY;
        let request = containerd.request(CreateRequest {
            id: lease.id.clone(),
            labels: HashMap::from([
                ("containerd.io/gc.expire".to_owned(), format!("{expiry:.0}")),
                (OWNER_LABEL.to_owned(), containerd.owner.clone()),
            ]),
        });
        within(&what, CALL_DEADLINE, async {
            let mut client = LeasesClient::new(containerd.channel.clone());
            client.create(request).await.map_err(|status| host_error(&what, &status))
        })
        .await?;
        Ok(lease)
    }

    /// The containerd that the lease is of.
    pub(crate) fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    /// `message` as a request under this lease.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        self.containerd.leased(&self.id, message)
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
        let what = format!("keep {id} under lease {}", self.id);
        let resource = Resource { id: id.to_owned(), r#type: kind.to_owned() };
        let request = self.containerd.request(AddResourceRequest { id: self.id.clone(), resource: Some(resource) });
        within(&what, CALL_DEADLINE, async {
            match LeasesClient::new(self.containerd.channel.clone()).add_resource(request).await {
                Ok(_) => Ok(()),
                Err(status) if status.code() == Code::AlreadyExists => Ok(()),
                Err(status) => Err(host_error(&what, &status)),
            }
        })
        .await
    }

    /// Ends the lease after what was done under it. Nothing that a failure made stays.
    pub(crate) async fn settle<T>(self, done: Result<T, HostError>) -> Result<T, HostError> {
        self.release(done.is_err()).await;
        done
    }

    /// Ends the lease. What no image refers to goes at once where `collect` is set, else with the next collection.
    async fn release(mut self, collect: bool) {
        self.held = false;
        if let Err(error) = end(&self.containerd, &self.id, collect).await {
            tracing::warn!(lease = self.id, %error, "a lease could not be ended; it expires within a day");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        let (containerd, id) = (self.containerd.clone(), std::mem::take(&mut self.id));
        // Outside of a runtime there is nobody to ask; the lease expires.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = end(&containerd, &id, true).await {
                    tracing::warn!(lease = id, %error, "a lease could not be ended; it expires within a day");
                }
            });
        }
    }
}

async fn end(containerd: &Containerd, id: &str, collect: bool) -> Result<(), HostError> {
    let what = format!("end lease {id}");
    let request = containerd.request(DeleteRequest { id: id.to_owned(), sync: collect });
    within(&what, CALL_DEADLINE, async {
        match LeasesClient::new(containerd.channel.clone()).delete(request).await {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(host_error(&what, &status)),
        }
    })
    .await
}

/// Ends every lease that an earlier run of this installation left behind.
pub(crate) async fn end_stale(containerd: &Containerd) -> Result<usize, HostError> {
    let what = "list leases";
    let request = containerd.request(ListRequest { filters: Vec::new() });
    let leases = within(what, CALL_DEADLINE, async {
        let mut client = LeasesClient::new(containerd.channel.clone());
        client.list(request).await.map_err(|status| host_error(what, &status))
    })
    .await?
    .into_inner()
    .leases;
    let stale = leases
        .into_iter()
        .filter(|lease| lease.id.starts_with(PREFIX) && lease.labels.get(OWNER_LABEL) == Some(&containerd.owner));
    let mut ended = 0;
    for lease in stale {
        end(containerd, &lease.id, false).await?;
        ended += 1;
    }
    Ok(ended)
}
