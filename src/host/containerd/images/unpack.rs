//! Unpacking: layers in the content store -> a chain of snapshots, the topmost of which instances start from.
//!
//! Each layer: prepare a snapshot on the one below -> let containerd apply the layer to it -> compare the diff id ->
//! commit it under its chain id. Images that share layers share snapshots.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1::ApplyRequest;
use containerd_client::services::v1::diff_client::DiffClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{Kind, StatSnapshotRequest};
use containerd_client::types::{Descriptor as Applied, Mount};
use oci_spec::image::Descriptor;

use super::content::{StoredImage, chain_ids, label_blob};
use super::snapshots::Snapshots;
use crate::host::HostError;
use crate::host::containerd::connection::{Containerd, Lease};
use crate::host::keyed_lock::KeyedLock;

/// The longest that unpacking one layer may take.
const APPLY_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Whether a committed snapshot is there.
pub(crate) async fn has_snapshot(containerd: &Containerd, snapshotter: &str, name: &str) -> Result<bool, HostError> {
    let message = StatSnapshotRequest { snapshotter: snapshotter.to_owned(), key: name.to_owned() };
    let stat = async |channel, request| SnapshotsClient::new(channel).stat(request).await;
    let found = containerd.call(format!("look up snapshot {name}"), message).find(stat).await?;
    Ok(found.and_then(|found| found.info).is_some_and(|info| info.kind == i32::from(Kind::Committed)))
}

/// Unpacks an image's layers, those that are not yet.
///
/// # Errors
/// [`HostError::Image`] when a layer is not what the config says, or can't be unpacked.
pub(crate) async fn unpack(
    lease: &Lease,
    snapshotter: &str,
    locks: &KeyedLock<String>,
    image: &StoredImage,
) -> Result<(), HostError> {
    let manifest = &image.platform.manifest;
    let (layers, diff_ids) = (manifest.layers(), image.config.rootfs().diff_ids());
    if layers.len() != diff_ids.len() {
        return Err(HostError::Image(format!(
            "image config {}: it describes {} layers, the manifest has {}: build the image again",
            manifest.config().digest(),
            diff_ids.len(),
            layers.len()
        )));
    }
    let mut parent = String::new();
    let of = layers.len();
    for (((layer, diff_id), chain_id), number) in layers.iter().zip(diff_ids).zip(chain_ids(diff_ids)).zip(1..) {
        // Two images that share a layer unpack it once.
        let _locked = locks.lock(format!("{snapshotter}/{chain_id}")).await;
        lease.keep_snapshot(snapshotter, &chain_id).await?;
        if !has_snapshot(lease.containerd(), snapshotter, &chain_id).await? {
            let place = (number, of);
            Layer { snapshots: Snapshots { lease, snapshotter }, layer, place, diff_id, chain_id: &chain_id }
                .unpack_on(&parent)
                .await?;
        }
        parent = chain_id;
    }
    Ok(())
}

/// One layer on its way to be a snapshot.
struct Layer<'a> {
    snapshots: Snapshots<'a>,
    layer: &'a Descriptor,
    /// Which one of how many it is.
    place: (usize, usize),
    diff_id: &'a str,
    chain_id: &'a str,
}

impl Layer<'_> {
    async fn unpack_on(&self, parent: &str) -> Result<(), HostError> {
        // Never the same twice, so that what an interrupted attempt left can't be in the way.
        let key = format!("extract-{:016x} {}", rand::random::<u64>(), self.chain_id);
        let done = async {
            let what = format!("prepare a snapshot for layer {}", self.layer.digest());
            let mounts = self.snapshots.prepare(what, &key, parent).await?;
            self.apply(mounts).await?;
            self.snapshots.commit(&key, self.chain_id).await
        }
        .await;
        if done.is_err() {
            self.snapshots.remove(&key).await;
        }
        done
    }

    async fn apply(&self, mounts: Vec<Mount>) -> Result<(), HostError> {
        let (lease, digest) = (self.snapshots.lease, self.layer.digest().to_string());
        let diff = Applied {
            media_type: self.layer.media_type().to_string(),
            digest: digest.clone(),
            size: i64::try_from(self.layer.size()).unwrap_or(i64::MAX),
            annotations: HashMap::new(),
        };
        let message = ApplyRequest { diff: Some(diff), mounts, ..ApplyRequest::default() };
        let apply = async |channel, request| DiffClient::new(channel).apply(request).await;
        let call =
            lease.containerd().call(format!("unpack layer {digest}"), message).under(lease).within(APPLY_DEADLINE);
        let applied = call.try_send(apply).await.map_err(|failure| match failure.status.message() {
            // Anything but a refused stream of bytes is the machine's fault: a full disk, a lost containerd.
            message if is_bad_archive(message) => {
                HostError::Image(format!("its {} can't be unpacked: {message}: build the image again", self.name()))
            }
            _ => failure.into(),
        })?;
        let applied = applied.applied.unwrap_or_default();
        if applied.digest != self.diff_id {
            return Err(HostError::Image(format!(
                "its {} holds {}, the image's config says {}: build the image again",
                self.name(),
                applied.digest,
                self.diff_id
            )));
        }
        let uncompressed = HashMap::from([("containerd.io/uncompressed".to_owned(), self.diff_id.to_owned())]);
        label_blob(lease.containerd(), &digest, uncompressed).await
    }

    /// What an error calls it.
    fn name(&self) -> String {
        format!("layer {} ({} of {})", self.layer.digest(), self.place.0, self.place.1)
    }
}

/// Whether containerd could not read a layer for what it is. It says so in words only.
fn is_bad_archive(message: &str) -> bool {
    [
        "archive/tar",
        "gzip:",
        "flate:",
        "igzip",
        "unpigz",
        "zstd",
        "unexpected EOF",
        "magic number",
        "invalid header",
        "breakout",
    ]
    .iter()
    .any(|part| message.contains(part))
}
