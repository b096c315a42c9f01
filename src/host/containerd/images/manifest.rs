//! Manifests: bytes -> index or manifest -> the entry that this machine runs. Pure.

use std::fmt;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde_json::Value;

use crate::host::HostError;

/// The most bytes that a manifest, an index or a config may have: registries agree on 4 MiB.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;

/// How deep indices may be nested: an index of indices is rare but legal, more is not worth following.
pub(crate) const MAX_NESTING: usize = 2;

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
    let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("its manifest is not JSON: {error}"))?;
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

/// The media type to keep a manifest under, where its descriptor has none.
pub(crate) fn media_type(document: &Document) -> String {
    let (declared, default) = match document {
        Document::Index(index) => (index.media_type(), MediaType::ImageIndex),
        Document::Manifest(manifest) => (manifest.media_type(), MediaType::ImageManifest),
    };
    declared.as_ref().unwrap_or(&default).to_string()
}

/// Refuses layers that can't be fetched or unpacked, before anything is.
pub(crate) fn check_layers(manifest: &ImageManifest) -> Result<(), String> {
    if manifest.layers().is_empty() {
        return Err("it has no layers".to_owned());
    }
    for layer in manifest.layers() {
        let kind = layer.media_type().to_string();
        if kind.contains(".nondistributable.") || kind.contains(".foreign.") {
            return Err(format!(
                "its layer {} may not be distributed by registries ({kind}): rebuild it on a base without such layers",
                layer.digest()
            ));
        }
        let form = kind
            .strip_prefix("application/vnd.oci.image.layer.v1.tar")
            .or_else(|| kind.strip_prefix("application/vnd.docker.image.rootfs.diff.tar"));
        if !matches!(form, Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd")) {
            return Err(format!("its layer {} is of the kind {kind}: that is no container image", layer.digest()));
        }
        if layer.digest().algorithm().as_ref() != "sha256" {
            return Err(format!("its layer {} is not named by a sha256, which containerd needs", layer.digest()));
        }
    }
    Ok(())
}

/// An operating system, an architecture and its variant: `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

impl Platform {
    /// The platform that this program was built for, and runs on.
    pub(crate) fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", "v8"),
            "arm" => ("arm", "v7"),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", ""),
            other => (other, ""),
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    fn of(platform: &oci_spec::image::Platform) -> Self {
        Self {
            os: platform.os().to_string(),
            architecture: platform.architecture().to_string(),
            variant: platform.variant().clone().unwrap_or_default(),
        }
    }

    /// How well an image for `offered` runs here; less is better, None is not at all.
    ///
    /// 32-bit arm runs its older variants too; an image that leaves the variant out means the common one.
    fn rank(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let version = |variant: &str| variant.trim_start_matches('v').parse::<u32>().ok();
        let common = match self.architecture.as_str() {
            "arm" => 7,
            "arm64" => 8,
            _ => 1,
        };
        let own = version(&self.variant).unwrap_or(common);
        let theirs = if offered.variant.is_empty() { common } else { version(&offered.variant)? };
        match self.architecture.as_str() {
            "arm" => own.checked_sub(theirs),
            _ => (own == theirs).then_some(0),
        }
    }

    /// The entry of an index to run here: the best platform, or a sole entry that doesn't say its platform.
    pub(crate) fn choose<'a>(&self, index: &'a ImageIndex) -> Result<&'a Descriptor, String> {
        let entries = index.manifests();
        let ranked = entries.iter().filter_map(|entry| {
            let rank = self.rank(&Self::of(entry.platform().as_ref()?))?;
            Some((rank, entry))
        });
        if let Some((_, entry)) = ranked.min_by_key(|(rank, _)| *rank) {
            return Ok(entry);
        }
        if let [only] = entries.as_slice()
            && only.platform().is_none()
        {
            return Ok(only);
        }
        let mut offered: Vec<String> = entries
            .iter()
            .filter_map(|entry| entry.platform().as_ref().map(|platform| Self::of(platform).to_string()))
            .filter(|platform| !platform.starts_with("unknown/"))
            .collect();
        offered.sort();
        offered.dedup();
        Err(format!("it has no image for {self}, only for {}: build it for {self}", offered.join(", ")))
    }

    /// Refuses a config that is for another platform than this one.
    pub(crate) fn check(&self, config: &ImageConfiguration) -> Result<(), String> {
        let offered = Self {
            os: config.os().to_string(),
            architecture: config.architecture().to_string(),
            variant: config.variant().clone().unwrap_or_default(),
        };
        // Some builders leave the platform out of the config altogether.
        if offered.os.is_empty() || offered.architecture.is_empty() || self.rank(&offered).is_some() {
            return Ok(());
        }
        Err(format!("it is for {offered}, this machine is {self}: build it for {self}"))
    }
}

/// [`HostError::Image`] about a document of the content store.
pub(crate) fn wrong_document(digest: &str, why: &str) -> HostError {
    HostError::Image(format!("image {digest}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[&str]) -> ImageIndex {
        let manifests: Vec<Value> = platforms
            .iter()
            .enumerate()
            .map(|(at, platform)| {
                let mut parts = platform.split('/');
                serde_json::json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": format!("sha256:{at:064}"),
                    "size": at,
                    "platform": {
                        "os": parts.next(), "architecture": parts.next(), "variant": parts.next(),
                    },
                })
            })
            .collect();
        serde_json::from_value(serde_json::json!({"schemaVersion": 2, "manifests": manifests})).unwrap()
    }

    fn platform(architecture: &str, variant: &str) -> Platform {
        Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    fn chosen(host: &Platform, offers: &[&str]) -> Option<usize> {
        host.choose(&index(offers)).ok().map(|entry| usize::try_from(entry.size()).unwrap())
    }

    #[test]
    fn the_entry_of_this_architecture_is_chosen() {
        let offers = ["linux/arm64/v8", "unknown/unknown", "linux/amd64", "windows/amd64"];
        assert_eq!(chosen(&platform("amd64", ""), &offers), Some(2));
        assert_eq!(chosen(&platform("arm64", "v8"), &offers), Some(0));
    }

    #[test]
    fn arm_takes_the_newest_variant_that_it_can_run() {
        let offers = ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"];
        assert_eq!(chosen(&platform("arm", "v7"), &offers), Some(2));
        assert_eq!(chosen(&platform("arm", "v6"), &offers), Some(1));
        assert_eq!(chosen(&platform("arm", "v6"), &["linux/arm/v7"]), None);
    }

    #[test]
    fn a_variant_that_is_left_out_means_the_common_one() {
        assert_eq!(chosen(&platform("arm64", "v8"), &["linux/arm64"]), Some(0));
        assert_eq!(chosen(&platform("amd64", ""), &["linux/amd64/v3", "linux/amd64/v1"]), Some(1));
    }

    #[test]
    fn an_index_without_this_platform_says_what_it_has() {
        let why = platform("amd64", "").choose(&index(&["linux/arm64/v8", "unknown/unknown"])).unwrap_err();
        assert_eq!(why, "it has no image for linux/amd64, only for linux/arm64/v8: build it for linux/amd64");
    }

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
