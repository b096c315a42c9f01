//! Reading containerd's content store: digest -> bytes, and image digest -> what this platform runs of it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::{Info, InfoRequest, ListContentRequest, ReadContentRequest, UpdateRequest};
use containerd_client::tonic::Response;
use oci_spec::image::{ImageConfiguration, ImageManifest};
use prost_types::FieldMask;

use super::digest::sha256;
use super::manifest::{DOCUMENT_LIMIT, wrong_document};
use super::platform::Platform;
use super::resolve::{Documents, PlatformManifest, resolve};
use crate::host::HostError;
use crate::host::containerd::connection::Containerd;

/// Reads a whole blob: a manifest or a config. Blobs of more than 4 MiB are refused.
///
/// # Errors
/// [`HostError::NotFound`] when the content store does not have it; [`HostError::Image`] when it is too big.
pub(crate) async fn read_blob(containerd: &Containerd, digest: &str) -> Result<Vec<u8>, HostError> {
    let message = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
    let read = async |channel, request| {
        let mut stream = ContentClient::new(channel).read(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.message().await? {
            bytes.extend_from_slice(&chunk.data);
            if bytes.len() as u64 > DOCUMENT_LIMIT {
                break;
            }
        }
        Ok(Response::new(bytes))
    };
    let bytes = containerd.call(format!("read blob {digest}"), message).send(read).await?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(wrong_document(digest, "it is too big for a manifest or config"));
    }
    Ok(bytes)
}

/// What the content store knows of a blob; None when it does not have it.
pub(crate) async fn stat_blob(containerd: &Containerd, digest: &str) -> Result<Option<Info>, HostError> {
    let info = async |channel, request| ContentClient::new(channel).info(request).await;
    let call = containerd.call(format!("look up blob {digest}"), InfoRequest { digest: digest.to_owned() });
    Ok(call.find(info).await?.and_then(|found| found.info))
}

/// Adds labels to a blob; those that it has stay.
pub(crate) async fn label_blob(
    containerd: &Containerd,
    digest: &str,
    labels: HashMap<String, String>,
) -> Result<(), HostError> {
    if labels.is_empty() {
        return Ok(());
    }
    let paths = labels.keys().map(|label| format!("labels.{label}")).collect();
    let info = Info { digest: digest.to_owned(), labels, ..Info::default() };
    let message = UpdateRequest { info: Some(info), update_mask: Some(FieldMask { paths }) };
    let update = async |channel, request| ContentClient::new(channel).update(request).await;
    containerd.call(format!("label blob {digest}"), message).send(update).await.map(drop)
}

/// The blobs that have a label, with its value.
pub(crate) async fn labelled(containerd: &Containerd, label: &str) -> Result<Vec<(String, String)>, HostError> {
    let list = async |channel, request| {
        let mut stream = ContentClient::new(channel).list(request).await?.into_inner();
        let mut found = Vec::new();
        while let Some(message) = stream.message().await? {
            let with_label =
                message.info.into_iter().filter_map(|mut info| Some((info.digest, info.labels.remove(label)?)));
            found.extend(with_label.filter(|(_, value)| !value.is_empty()));
        }
        Ok(Response::new(found))
    };
    let message = ListContentRequest { filters: vec![format!("labels.\"{label}\"")] };
    containerd.call(format!("list blobs with {label}"), message).send(list).await
}

/// How many bytes all blobs have together.
pub(crate) async fn size(containerd: &Containerd) -> Result<u64, HostError> {
    let list = async |channel, request| {
        let mut stream = ContentClient::new(channel).list(request).await?.into_inner();
        let mut bytes = 0_u64;
        while let Some(message) = stream.message().await? {
            bytes += message.info.iter().filter_map(|info| u64::try_from(info.size).ok()).sum::<u64>();
        }
        Ok(Response::new(bytes))
    };
    containerd.call("add up blobs", ListContentRequest { filters: Vec::new() }).send(list).await
}

/// An image in the content store, as this platform runs it.
#[derive(Debug, Clone)]
pub struct StoredImage {
    pub(crate) platform: PlatformManifest,
    /// Its config: entrypoint, environment, user ...
    pub config: Arc<ImageConfiguration>,
    /// The snapshot of its topmost layer: the parent of an instance's own snapshot. Empty where the config tells of none.
    pub chain_id: String,
}

impl StoredImage {
    pub(crate) fn new(platform: PlatformManifest, config: ImageConfiguration) -> Self {
        let chain_id = chain_ids(config.rootfs().diff_ids()).pop().unwrap_or_default();
        Self { platform, config: Arc::new(config), chain_id }
    }
}

/// Reads what to run for an image's digest, be it a manifest's or an index's.
///
/// # Errors
/// [`HostError::NotFound`] when a blob is missing; [`HostError::Image`] when one can't be read or is for another
/// platform.
pub async fn read_image(containerd: &Containerd, digest: &str) -> Result<StoredImage, HostError> {
    let platform = find_manifest(containerd, digest).await?;
    let config = read_config(containerd, &platform.manifest).await?;
    Ok(StoredImage::new(platform, config))
}

/// What the content store has, as [`resolve`] reads it.
struct Stored<'a>(&'a Containerd);

#[async_trait]
impl Documents for Stored<'_> {
    async fn manifest(&self, digest: Option<&str>) -> Result<Vec<u8>, HostError> {
        read_blob(self.0, digest.unwrap_or_default()).await
    }

    async fn config(&self, manifest: &ImageManifest) -> Result<ImageConfiguration, HostError> {
        read_any_config(self.0, manifest).await
    }

    fn wrong(&self, digest: &str, why: &str) -> HostError {
        wrong_document(digest, why)
    }
}

/// Follows an index to this platform's manifest.
pub(crate) async fn find_manifest(containerd: &Containerd, digest: &str) -> Result<PlatformManifest, HostError> {
    Ok(resolve(&Stored(containerd), Some(digest), &Platform::host()).await?.platform)
}

/// Reads a manifest's config and checks that it is for this platform.
pub(crate) async fn read_config(
    containerd: &Containerd,
    manifest: &ImageManifest,
) -> Result<ImageConfiguration, HostError> {
    let config = read_any_config(containerd, manifest).await?;
    let digest = manifest.config().digest().as_ref();
    Platform::host().check(&config).map_err(|why| wrong_document(digest, &why))?;
    Ok(config)
}

/// Reads a manifest's config, whatever platform it is for.
pub(crate) async fn read_any_config(
    containerd: &Containerd,
    manifest: &ImageManifest,
) -> Result<ImageConfiguration, HostError> {
    let digest = manifest.config().digest().to_string();
    let bytes = read_blob(containerd, &digest).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| wrong_document(&digest, &format!("its config can't be read: {error}")))
}

/// The chain ids of an image's layers, bottom first: what snapshots are called.
pub(crate) fn chain_ids(diff_ids: &[String]) -> Vec<String> {
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id.clone(),
            Some(parent) => sha256(format!("{parent} {diff_id}").as_bytes()),
        });
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_id_of_one_layer_is_its_diff_id() {
        let only = sha256(b"layer");
        assert_eq!(chain_ids(std::slice::from_ref(&only)), [only]);
    }

    #[test]
    fn every_further_layer_hashes_the_chain_below_it() {
        let (first, second, third) = (sha256(b"1"), sha256(b"2"), sha256(b"3"));
        let chain = chain_ids(&[first.clone(), second.clone(), third.clone()]);
        let second_chain = sha256(format!("{first} {second}").as_bytes());
        assert_eq!(chain, [first, second_chain.clone(), sha256(format!("{second_chain} {third}").as_bytes())]);
    }
}
