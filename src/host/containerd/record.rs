//! Image records: containerd's names for images. What a record refers to, through labels, is never collected.

use std::collections::HashMap;

use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{
    CreateImageRequest, DeleteImageRequest, GetImageRequest, Image as Record, ListImagesRequest, UpdateImageRequest,
};
use containerd_client::types::Descriptor as Target;
use jiff::Timestamp;
use prost_types::FieldMask;
use tonic::Code;

use super::channel::{Containerd, OWNER_LABEL, host_error};
use super::content::{CALL_DEADLINE, Found, find_manifest, label_blob, read_config, within};
use super::lease::Lease;
use super::locks::Locks;
use super::manifest;
use super::unpack::unpack;
use crate::host::HostError;

/// The label of an image that came from a registry: its name. A copy under another name, which takes the labels along,
/// is thereby told apart.
const PULLED_AS: &str = "actord.dev/pulled-as";

/// The label that says since when no function wants the image. Empty is as good as none.
const UNWANTED_SINCE: &str = "actord.dev/unwanted-since";

/// An image's record.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// What its name refers to.
    pub(crate) target: Target,
    /// Since when no function wants it, if that was noted.
    pub(crate) unwanted_since: Option<Timestamp>,
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
pub(crate) async fn look_up(containerd: &Containerd, name: &str) -> Result<Option<Recorded>, HostError> {
    let what = format!("look up image {name}");
    let request = containerd.request(GetImageRequest { name: name.to_owned() });
    within(&what, CALL_DEADLINE, async {
        match ImagesClient::new(containerd.channel.clone()).get(request).await {
            Ok(response) => Ok(response.into_inner().image.and_then(|record| {
                let unwanted_since = record.labels.get(UNWANTED_SINCE).and_then(|time| time.parse().ok());
                Some(Recorded { target: record.target?, unwanted_since })
            })),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(host_error(&what, &status)),
        }
    })
    .await
}

/// Makes what is in the content store ready to be run: unpacks it, and labels it for the garbage collector. Returns the
/// digest of this platform's manifest.
pub(crate) async fn prepare(
    lease: &Lease,
    snapshotter: &str,
    locks: &Locks,
    target: &Target,
) -> Result<String, HostError> {
    let containerd = lease.containerd();
    let found = find_manifest(containerd, &target.digest).await?;
    manifest::check_layers(&found.manifest).map_err(|why| manifest::wrong_document(&found.digest, &why))?;
    let config = read_config(containerd, &found.manifest).await?;
    let chain_id = unpack(lease, snapshotter, locks, &found.manifest, &config).await?;
    refer(containerd, &found, snapshotter, &chain_id).await?;
    Ok(found.digest)
}

/// Labels every blob with what it needs: index -> manifest -> config and layers; config -> snapshot.
async fn refer(containerd: &Containerd, found: &Found, snapshotter: &str, chain_id: &str) -> Result<(), HostError> {
    let manifest = &found.manifest;
    let mut below = HashMap::from([content_label("config", manifest.config().digest())]);
    below.extend(
        manifest.layers().iter().enumerate().map(|(at, layer)| content_label(&format!("l.{at}"), layer.digest())),
    );
    let snapshot = (format!("containerd.io/gc.ref.snapshot.{snapshotter}"), chain_id.to_owned());
    label_blob(containerd, manifest.config().digest().as_ref(), HashMap::from([snapshot])).await?;
    label_blob(containerd, &found.digest, below).await?;
    for (index, entry) in &found.indices {
        label_blob(containerd, index, HashMap::from([content_label("m.0", entry.digest())])).await?;
    }
    Ok(())
}

fn content_label(name: &str, digest: &oci_spec::image::Digest) -> (String, String) {
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
        labels.extend([(PULLED_AS.to_owned(), pulled_as), (UNWANTED_SINCE.to_owned(), String::new())]);
    }
    let mut paths = vec!["target".to_owned()];
    paths.extend(labels.keys().map(|label| format!("labels.{label}")));
    let record = Record { name: name.to_owned(), labels, target: Some(target.clone()), ..Record::default() };
    let mut client = ImagesClient::new(containerd.channel.clone());
    within(&what, CALL_DEADLINE, async {
        let create = CreateImageRequest { image: Some(record.clone()), ..CreateImageRequest::default() };
        match client.create(lease.request(create)).await {
            Ok(_) => return Ok(()),
            Err(status) if status.code() == Code::AlreadyExists => {}
            Err(status) => return Err(host_error(&what, &status)),
        }
        let update = UpdateImageRequest {
            image: Some(record),
            update_mask: Some(FieldMask { paths }),
            ..UpdateImageRequest::default()
        };
        client.update(lease.request(update)).await.map(drop).map_err(|status| host_error(&what, &status))
    })
    .await
}

/// The names of the images that this installation pulled.
pub(crate) async fn pulled(containerd: &Containerd) -> Result<Vec<String>, HostError> {
    let what = "list images";
    let filters = vec![format!("labels.\"{OWNER_LABEL}\"==\"{}\"", containerd.owner)];
    let request = containerd.request(ListImagesRequest { filters });
    within(what, CALL_DEADLINE, async {
        let listed = ImagesClient::new(containerd.channel.clone()).list(request).await;
        let images = listed.map_err(|status| host_error(what, &status))?.into_inner().images;
        let pulled = images.into_iter().filter(|image| image.labels.get(PULLED_AS) == Some(&image.name));
        Ok(pulled.map(|image| image.name).collect())
    })
    .await
}

/// Notes since when no function wants an image; None: one does.
pub(crate) async fn note_unwanted(
    containerd: &Containerd,
    name: &str,
    since: Option<Timestamp>,
) -> Result<(), HostError> {
    let what = format!("label image {name}");
    let time = since.map(|time| time.to_string()).unwrap_or_default();
    let image = Record {
        name: name.to_owned(),
        labels: HashMap::from([(UNWANTED_SINCE.to_owned(), time)]),
        ..Record::default()
    };
    let update_mask = Some(FieldMask { paths: vec![format!("labels.{UNWANTED_SINCE}")] });
    let update = UpdateImageRequest { image: Some(image), update_mask, ..UpdateImageRequest::default() };
    let request = containerd.request(update);
    within(&what, CALL_DEADLINE, async {
        let updated = ImagesClient::new(containerd.channel.clone()).update(request).await;
        updated.map(drop).map_err(|status| host_error(&what, &status))
    })
    .await
}

/// Removes a record. What no other image refers to goes with the next garbage collection.
pub(crate) async fn remove(containerd: &Containerd, name: &str) -> Result<(), HostError> {
    let what = format!("remove image {name}");
    let request =
        containerd.request(DeleteImageRequest { name: name.to_owned(), sync: false, ..DeleteImageRequest::default() });
    within(&what, CALL_DEADLINE, async {
        match ImagesClient::new(containerd.channel.clone()).delete(request).await {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(host_error(&what, &status)),
        }
    })
    .await
}
