//! Image records: containerd's names for images. What a record refers to, through labels, is never collected.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{
    CreateImageRequest, DeleteImageRequest, GetImageRequest, Image as Record, ListImagesRequest, UpdateImageRequest,
};
use containerd_client::types::Descriptor as Target;
use prost_types::FieldMask;

use super::content::{StoredImage, label_blob, labelled};
use super::unpack::unpack;
use super::{manifest, remap};
use crate::host::containerd::connection::{Containerd, Lease, OWNER_LABEL};
use crate::host::keyed_lock::KeyedLock;
use crate::host::{HostError, IdMapping};

/// The label of an image that came from a registry: its name. A copy under another name, which takes the labels along,
/// is thereby told apart.
const PULLED_AS: &str = "actord.dev/pulled-as";

/// The label that says for how many seconds no function needed the image. Empty is as good as none. It is counted up while
/// actord runs, and is no time of a clock: one that is set forward by years makes no image old.
const UNNEEDED_FOR: &str = "actord.dev/unneeded-seconds";

/// An image's record.
#[derive(Debug)]
pub(crate) struct ImageRecord {
    /// What its name refers to.
    pub(crate) target: Target,
    /// For how long no function needed it, if that was noted.
    pub(crate) unneeded: Option<Duration>,
}

fn unneeded(labels: &HashMap<String, String>) -> Option<Duration> {
    labels.get(UNNEEDED_FOR).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs)
}

/// Where an image that is recorded came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Registry,
    Archive,
    /// It was here, under this name or another.
    Here,
}

/// The record of this name; None when there is no such image.
pub(crate) async fn look_up(containerd: &Containerd, name: &str) -> Result<Option<ImageRecord>, HostError> {
    let get = async |channel, request| ImagesClient::new(channel).get(request).await;
    let call = containerd.call(format!("look up image {name}"), GetImageRequest { name: name.to_owned() });
    Ok(call.find(get).await?.and_then(|found| {
        let record = found.image?;
        let unneeded = unneeded(&record.labels);
        Some(ImageRecord { target: record.target?, unneeded })
    }))
}

/// Makes what is in the content store ready to be run: unpacks it, and labels it for the garbage collector.
pub(crate) async fn prepare(
    lease: &Lease,
    snapshotter: &str,
    locks: &KeyedLock<String>,
    image: &StoredImage,
    ids: Option<IdMapping>,
) -> Result<(), HostError> {
    let platform = &image.platform;
    manifest::check_layers(&platform.manifest).map_err(|why| manifest::wrong_document(&platform.digest, &why))?;
    unpack(lease, snapshotter, locks, image).await?;
    if let Some(ids) = ids {
        remap::make(lease, snapshotter, locks, &platform.digest, &image.chain_id, ids).await?;
    }
    refer(lease.containerd(), image, snapshotter, ids).await
}

/// Labels every blob with what it needs: index -> manifest -> config and layers; config -> snapshots. A mapping that is not the
/// last one is not needed any more.
async fn refer(
    containerd: &Containerd,
    image: &StoredImage,
    snapshotter: &str,
    ids: Option<IdMapping>,
) -> Result<(), HostError> {
    let manifest = &image.platform.manifest;
    let mut below = HashMap::from([content_label("config", manifest.config().digest())]);
    below.extend(
        manifest.layers().iter().enumerate().map(|(at, layer)| content_label(&format!("l.{at}"), layer.digest())),
    );
    let snapshot = (format!("containerd.io/gc.ref.snapshot.{snapshotter}"), image.chain_id.clone());
    label_blob(containerd, manifest.config().digest().as_ref(), HashMap::from([snapshot])).await?;
    refer_to_copy(containerd, image, snapshotter, ids).await?;
    label_blob(containerd, &image.platform.digest, below).await?;
    for (index, entry) in &image.platform.indices {
        label_blob(containerd, index, HashMap::from([content_label("m.0", entry.digest())])).await?;
    }
    Ok(())
}

/// Has an image's config refer to its copy for user namespaces, be it there or not.
pub(crate) async fn refer_to_copy(
    containerd: &Containerd,
    image: &StoredImage,
    snapshotter: &str,
    ids: Option<IdMapping>,
) -> Result<(), HostError> {
    let copy = ids.map(|ids| (copy_label(snapshotter), remap::of(&image.chain_id, ids).snapshot));
    label_blob(containerd, image.platform.manifest.config().digest().as_ref(), copy.into_iter().collect()).await
}

/// The label by which a config refers to the copy of its image for user namespaces. What follows the stroke is a name of ours.
fn copy_label(snapshotter: &str) -> String {
    format!("containerd.io/gc.ref.snapshot.{snapshotter}/user-namespaces")
}

/// Has no config refer to a copy of its image for another mapping than this one: such a copy goes with the next garbage
/// collection, unless instances run on it. Returns how many there were.
pub(crate) async fn let_go_of_copies(
    containerd: &Containerd,
    snapshotter: &str,
    ids: Option<IdMapping>,
) -> Result<usize, HostError> {
    let label = copy_label(snapshotter);
    let current = ids.map(|ids| format!("@{ids}"));
    let mut found = 0;
    for (digest, snapshot) in labelled(containerd, &label).await? {
        if current.as_ref().is_none_or(|current| !snapshot.ends_with(current)) {
            label_blob(containerd, &digest, HashMap::from([(label.clone(), String::new())])).await?;
            found += 1;
        }
    }
    Ok(found)
}

pub(super) fn content_label(name: &str, digest: &oci_spec::image::Digest) -> (String, String) {
    (format!("containerd.io/gc.ref.content.{name}"), digest.to_string())
}

/// Creates the record, or makes an existing one refer to `target`.
pub(crate) async fn put(lease: &Lease, name: &str, target: &Target, origin: Origin) -> Result<(), HostError> {
    let what = format!("record image {name}");
    let containerd = lease.containerd();
    let mut labels = HashMap::from([(OWNER_LABEL.to_owned(), containerd.owner.clone())]);
    let pulled_as = match origin {
        Origin::Registry => Some(name.to_owned()),
        // An archive that brings what was pulled makes it the operator's.
        Origin::Archive => Some(String::new()),
        Origin::Here => None,
    };
    if let Some(pulled_as) = pulled_as {
        labels.extend([(PULLED_AS.to_owned(), pulled_as), (UNNEEDED_FOR.to_owned(), String::new())]);
    }
    let mut paths = vec!["target".to_owned()];
    paths.extend(labels.keys().map(|label| format!("labels.{label}")));
    let record = Record { name: name.to_owned(), labels, target: Some(target.clone()), ..Record::default() };
    let message = CreateImageRequest { image: Some(record.clone()), ..CreateImageRequest::default() };
    let create = async |channel, request| ImagesClient::new(channel).create(request).await;
    if containerd.call(what.clone(), message).under(lease).make(create).await?.is_some() {
        return Ok(());
    }
    let update_mask = Some(FieldMask { paths });
    let message = UpdateImageRequest { image: Some(record), update_mask, ..UpdateImageRequest::default() };
    let update = async |channel, request| ImagesClient::new(channel).update(request).await;
    containerd.call(what, message).under(lease).send(update).await.map(drop)
}

/// How many images this installation has, however they came.
pub(crate) async fn count(containerd: &Containerd) -> Result<usize, HostError> {
    let message = ListImagesRequest { filters: vec![containerd.owned_filter()] };
    let list = async |channel, request| ImagesClient::new(channel).list(request).await;
    Ok(containerd.call("count images", message).send(list).await?.images.len())
}

/// The images that this installation pulled: their names, and for how long no function needed them, if that was noted.
pub(crate) async fn pulled(containerd: &Containerd) -> Result<Vec<(String, Option<Duration>)>, HostError> {
    let message = ListImagesRequest { filters: vec![containerd.owned_filter()] };
    let list = async |channel, request| ImagesClient::new(channel).list(request).await;
    let images = containerd.call("list images", message).send(list).await?.images;
    let pulled = images.into_iter().filter(|image| image.labels.get(PULLED_AS) == Some(&image.name));
    Ok(pulled.map(|image| (image.name, unneeded(&image.labels))).collect())
}

/// Notes for how long no function needed an image; None: one does.
pub(crate) async fn note_unneeded(
    containerd: &Containerd,
    name: &str,
    unneeded: Option<Duration>,
) -> Result<(), HostError> {
    let seconds = unneeded.map(|time| time.as_secs().to_string()).unwrap_or_default();
    let image = Record {
        name: name.to_owned(),
        labels: HashMap::from([(UNNEEDED_FOR.to_owned(), seconds)]),
        ..Record::default()
    };
    let update_mask = Some(FieldMask { paths: vec![format!("labels.{UNNEEDED_FOR}")] });
    let message = UpdateImageRequest { image: Some(image), update_mask, ..UpdateImageRequest::default() };
    let update = async |channel, request| ImagesClient::new(channel).update(request).await;
    containerd.call(format!("label image {name}"), message).send(update).await.map(drop)
}

/// Removes a record. What no other image refers to goes with the next garbage collection: by the time this returns, if that
/// is waited for.
pub(crate) async fn remove(containerd: &Containerd, name: &str, wait: bool) -> Result<(), HostError> {
    let message = DeleteImageRequest { name: name.to_owned(), sync: wait, ..DeleteImageRequest::default() };
    let delete = async |channel, request| ImagesClient::new(channel).delete(request).await;
    containerd.call(format!("remove image {name}"), message).find(delete).await.map(drop)
}
