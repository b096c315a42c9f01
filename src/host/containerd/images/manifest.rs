//! Manifests: bytes -> an index or a manifest, and whether it is a container image's. Pure.

use oci_spec::image::{ImageIndex, ImageManifest, MediaType};
use serde_json::Value;

use super::index::is_image_config;
use crate::host::HostError;

/// The most bytes that a manifest, an index or a config may have: registries agree on 4 MiB.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;

/// How deep indices may be nested: an index of indices is rare but legal, more is not worth following.
pub(crate) const MAX_NESTING: usize = 4;

/// What a manifest's digest or a tag may point at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Document {
    /// Several platforms' manifests.
    Index(Box<ImageIndex>),
    /// One platform's image.
    Manifest(Box<ImageManifest>),
}

/// Reads a manifest or an index, docker's or OCI's.
///
/// A document that can be read as both is refused: two readers would take it for two different images.
pub(crate) fn parse(bytes: &[u8]) -> Result<Document, String> {
    let mut value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("its manifest is not JSON: {error}"))?;
    complete(&mut value);
    match value.get("schemaVersion").and_then(Value::as_u64) {
        Some(2) => {}
        Some(version) => {
            return Err(format!("its manifest has schema version {version}, which is too old: push the image again"));
        }
        None => return Err("its manifest has no schemaVersion: that is no image manifest".to_owned()),
    }
    let (index, image) = (value.get("manifests").is_some(), value.get("layers").is_some());
    let unreadable = |error: serde_json::Error| format!("its manifest can't be read: {error}");
    match (index, image) {
        (true, true) => Err("its manifest is an index and an image at once".to_owned()),
        (true, false) => {
            serde_json::from_value(value).map(|index| Document::Index(Box::new(index))).map_err(unreadable)
        }
        (false, true) => {
            serde_json::from_value(value).map(|image| Document::Manifest(Box::new(image))).map_err(unreadable)
        }
        (false, false) => Err("its manifest names neither layers nor manifests".to_owned()),
    }
}

/// Puts in what writers leave out: lists that are null, and in the entries of an index what only their manifests tell.
fn complete(document: &mut Value) {
    for list in ["manifests", "layers"] {
        if document.get(list).is_some_and(Value::is_null) {
            document[list] = Value::Array(Vec::new());
        }
    }
    let entries = document.get_mut("manifests").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
        entry.entry("mediaType").or_insert_with(|| MediaType::ImageManifest.to_string().into());
        let Some(platform) = entry.get_mut("platform").and_then(Value::as_object_mut) else { continue };
        let says = |platform: &serde_json::Map<String, Value>, key: &str| {
            platform.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
        };
        // The crate that reads it has another name for it.
        if let Some(version) = platform.remove("os.version") {
            platform.insert("os_version".to_owned(), version);
        }
        if !says(platform, "architecture") {
            entry.remove("platform");
        } else if !says(platform, "os") {
            platform.insert("os".to_owned(), "linux".into());
        }
    }
}

/// The media type to keep a manifest under, where its descriptor has none.
pub(crate) fn media_type(document: &Document) -> String {
    let (declared, default) = match document {
        Document::Index(index) => (index.media_type(), MediaType::ImageIndex),
        Document::Manifest(manifest) => (manifest.media_type(), MediaType::ImageManifest),
    };
    declared.as_ref().unwrap_or(&default).to_string()
}

/// What a manifest is where it is no container image: the kind of its config, or of a layer.
pub(crate) fn foreign_kind(manifest: &ImageManifest) -> Option<String> {
    let config = manifest.config().media_type();
    if !is_image_config(config) {
        // What has no config says its kind beside it.
        let kind = manifest.artifact_type().as_ref().unwrap_or(config);
        return Some(kind.to_string());
    }
    let kinds = manifest.layers().iter().map(|layer| layer.media_type().to_string());
    kinds.into_iter().find(|kind| layer_form(kind).is_none() && !is_withheld(kind))
}

/// How a layer of an image is compressed: empty, `+gzip`, `.gzip` and so on. None: it is no image's layer.
fn layer_form(kind: &str) -> Option<&str> {
    let form = kind
        .strip_prefix("application/vnd.oci.image.layer.v1.tar")
        .or_else(|| kind.strip_prefix("application/vnd.docker.image.rootfs.diff.tar"));
    form.filter(|form| matches!(*form, "" | "+gzip" | "+zstd" | ".gzip" | ".zstd"))
}

/// Whether registries may not hand a layer out.
fn is_withheld(kind: &str) -> bool {
    kind.contains(".nondistributable.") || kind.contains(".foreign.")
}

/// Refuses what is no container image, and layers that can't be fetched or unpacked, before anything is.
pub(crate) fn check_layers(manifest: &ImageManifest) -> Result<(), String> {
    if let Some(kind) = foreign_kind(manifest) {
        return Err(format!("it is of the kind {kind}: that is no container image"));
    }
    if manifest.layers().is_empty() {
        return Err("it has no layers".to_owned());
    }
    for layer in manifest.layers() {
        let kind = layer.media_type().to_string();
        if is_withheld(&kind) {
            return Err(format!(
                "its layer {} may not be distributed by registries ({kind}): rebuild it on a base without such layers",
                layer.digest()
            ));
        }
        if layer.digest().algorithm().as_ref() != "sha256" {
            return Err(format!("its layer {} is not named by a sha256, which containerd needs", layer.digest()));
        }
    }
    Ok(())
}

/// [`HostError::Image`] about a document of the content store.
pub(crate) fn wrong_document(digest: &str, why: &str) -> HostError {
    HostError::Image(format!("image {digest}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_can_not_be_had_or_unpacked_are_refused() {
        let with_layer = |kind: &str| {
            let descriptor =
                |kind: &str| serde_json::json!({"mediaType": kind, "size": 1, "digest": format!("sha256:{:064}", 1)});
            let config = descriptor("application/vnd.oci.image.config.v1+json");
            let json = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [descriptor(kind)]});
            check_layers(&serde_json::from_value(json).unwrap())
        };
        for good in [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ] {
            with_layer(good).unwrap();
        }
        let foreign = with_layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip").unwrap_err();
        assert!(foreign.contains("may not be distributed"), "{foreign}");
        with_layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip").unwrap_err();
        with_layer("application/vnd.cncf.helm.chart.content.v1.tar+gzip").unwrap_err();
        with_layer("application/vnd.oci.image.layer.v1.tar+gzip+encrypted").unwrap_err();
    }

    #[test]
    fn a_document_that_is_two_things_at_once_is_refused() {
        let why = parse(br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#).unwrap_err();
        assert!(why.contains("at once"), "{why}");
    }

    #[test]
    fn garbage_and_old_schemas_are_refused_with_their_reason() {
        for (bytes, part) in [
            (&b"<html>"[..], "not JSON"),
            (br#"{"schemaVersion":1,"fsLayers":[]}"#, "schema version 1"),
            (br#"{"schemaVersion":2}"#, "neither layers nor manifests"),
            (br#"{"schemaVersion":2,"layers":[{}]}"#, "can't be read"),
            (b"{}", "no schemaVersion"),
        ] {
            let why = parse(bytes).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
