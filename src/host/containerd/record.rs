//! Image records: containerd's names for images. What a record refers to, through labels, is never collected.

use std::collections::HashMap;

use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{CreateImageRequest, GetImageRequest, Image as Record, UpdateImageRequest};
use containerd_client::types::Descriptor as Target;
use prost_types::FieldMask;
use tonic::Code;

use super::channel::{Containerd, OWNER_LABEL, host_error};
use super::content::{CALL_DEADLINE, Found, find_manifest, label_blob, read_config, within};
use super::lease::Lease;
use super::locks::Locks;
use super::manifest;
use super::unpack::unpack;
use crate::host::HostError;

/// What the name refers to; None when there is no such image.
pub(crate) async fn look_up(containerd: &Containerd, name: &str) -> Result<Option<Target>, HostError> {
    let what = format!("look up image {name}");
    let request = containerd.request(GetImageRequest { name: name.to_owned() });
    within(&what, CALL_DEADLINE, async {
        match ImagesClient::new(containerd.channel.clone()).get(request).await {
            Ok(response) => Ok(response.into_inner().image.and_then(|record| record.target)),
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
pub(crate) async fn put(lease: &Lease, name: &str, target: &Target) -> Result<(), HostError> {
    let what = format!("record image {name}");
    let containerd = lease.containerd();
    let record = Record {
        name: name.to_owned(),
        labels: HashMap::from([(OWNER_LABEL.to_owned(), containerd.owner.clone())]),
        target: Some(target.clone()),
        ..Record::default()
    };
    let mut client = ImagesClient::new(containerd.channel.clone());
    within(&what, CALL_DEADLINE, async {
        let create = CreateImageRequest { image: Some(record.clone()), ..CreateImageRequest::default() };
        match client.create(lease.request(create)).await {
            Ok(_) => return Ok(()),
            Err(status) if status.code() == Code::AlreadyExists => {}
            Err(status) => return Err(host_error(&what, &status)),
        }
        let paths = vec!["target".to_owned(), format!("labels.{OWNER_LABEL}")];
        let update = UpdateImageRequest {
            image: Some(record),
            update_mask: Some(FieldMask { paths }),
            ..UpdateImageRequest::default()
        };
        client.update(lease.request(update)).await.map(drop).map_err(|status| host_error(&what, &status))
    })
    .await
}
