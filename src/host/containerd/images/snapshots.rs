//! Snapshots that are made under the lease of an image: prepared, and committed under the name by which others find them.

use std::collections::HashMap;

use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, ViewSnapshotRequest,
};
use containerd_client::types::Mount;

use crate::host::HostError;
use crate::host::containerd::connection::{Call, Lease, OWNER_LABEL};

/// Those of one snapshotter, under one lease.
#[derive(Clone, Copy)]
pub(super) struct Snapshots<'a> {
    pub(super) lease: &'a Lease,
    pub(super) snapshotter: &'a str,
}

impl Snapshots<'_> {
    /// Prepares one to be written to. `what` says so in an error, as in the others.
    pub(super) async fn prepare(self, what: String, key: &str, parent: &str) -> Result<Vec<Mount>, HostError> {
        let message = PrepareSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: self.labels(),
        };
        let prepare = async |channel, request| SnapshotsClient::new(channel).prepare(request).await;
        Ok(self.call(what, message).send(prepare).await?.mounts)
    }

    /// Opens a view of one that is committed.
    pub(super) async fn view(self, key: &str, parent: &str) -> Result<Vec<Mount>, HostError> {
        let message = ViewSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: self.labels(),
        };
        let view = async |channel, request| SnapshotsClient::new(channel).view(request).await;
        Ok(self.call(format!("look into snapshot {parent}"), message).send(view).await?.mounts)
    }

    /// Commits one that was prepared, unless another client of this containerd made it meanwhile.
    pub(super) async fn commit(self, key: &str, name: &str) -> Result<(), HostError> {
        let message = CommitSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
            labels: self.labels(),
        };
        let commit = async |channel, request| SnapshotsClient::new(channel).commit(request).await;
        if self.call(format!("commit snapshot {name}"), message).make(commit).await?.is_none() {
            self.remove(key).await;
        }
        Ok(())
    }

    /// Removes what is not needed any more. Should that fail, it goes with the lease.
    pub(super) async fn remove(self, key: &str) {
        let message = RemoveSnapshotRequest { snapshotter: self.snapshotter.to_owned(), key: key.to_owned() };
        let remove = async |channel, request| SnapshotsClient::new(channel).remove(request).await;
        if let Err(error) = self.call(format!("remove snapshot {key}"), message).find(remove).await {
            tracing::debug!(key, %error, "an unfinished snapshot is left to the garbage collector");
        }
    }

    fn call<M>(self, what: String, message: M) -> Call<M> {
        self.lease.containerd().call(what, message).under(self.lease)
    }

    fn labels(self) -> HashMap<String, String> {
        HashMap::from([(OWNER_LABEL.to_owned(), self.lease.containerd().owner.clone())])
    }
}
