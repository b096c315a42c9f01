//! Indices: their entries -> those that may be run here, or words for what there is instead. Pure.

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, ImageIndex, MediaType};

use super::platform::Platform;

/// The annotation that tells what an entry says of another one: `attestation-manifest`.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What an index has that can't be run here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Offer {
    /// An image for another platform.
    Platform(String),
    /// What is no image, by its kind.
    Artifact(String),
}

/// What of an index is worth a look.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    /// The entry of this platform; or those that don't say theirs, in their order.
    pub(crate) entries: Vec<&'a Descriptor>,
    /// Whether the entries don't say their platform.
    pub(crate) untold: bool,
    /// What the others are.
    pub(crate) offers: BTreeSet<Offer>,
}

/// What an entry says that it is.
enum Entry {
    Image(Platform),
    /// An image or an index, for it does not say which platform.
    Untold,
    /// An image of no known platform, or, far more often, none.
    Unknown,
    Artifact(String),
}

impl Entry {
    fn of(entry: &Descriptor) -> Self {
        let reference = entry.annotations().as_ref().and_then(|annotations| annotations.get(REFERENCE_TYPE));
        if let Some(kind) = reference {
            return Self::Artifact(kind.clone());
        }
        // An image may say its config's kind here.
        if let Some(kind) = entry.artifact_type().as_ref().filter(|kind| !is_image_config(kind)) {
            return Self::Artifact(kind.to_string());
        }
        let is_index = |kind: &str| kind == "application/vnd.docker.distribution.manifest.list.v2+json";
        match entry.media_type() {
            MediaType::ImageManifest | MediaType::ImageIndex => {}
            MediaType::Other(kind) if kind.is_empty() || is_index(kind) => {}
            MediaType::Other(kind) if kind == "application/vnd.docker.distribution.manifest.v2+json" => {}
            other => return Self::Artifact(other.to_string()),
        }
        match entry.platform().as_ref().map(Platform::of_entry) {
            None => Self::Untold,
            Some(platform) if platform.is_unknown() => Self::Unknown,
            Some(platform) => Self::Image(platform),
        }
    }
}

impl Platform {
    /// The entries of an index that may be run here: the best one of this platform, or else those that don't say theirs.
    pub(crate) fn choices<'a>(&self, index: &'a ImageIndex) -> Choice<'a> {
        let entries: Vec<_> = index.manifests().iter().map(|entry| (entry, Entry::of(entry))).collect();
        let ranked = entries.iter().filter_map(|(entry, kind)| match kind {
            Entry::Image(platform) => Some((self.rank(platform)?, *entry)),
            _ => None,
        });
        let best = ranked.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry);
        let tells = entries.iter().any(|(_, kind)| matches!(kind, Entry::Image(_)));
        let (mut untold, mut offers) = (Vec::new(), BTreeSet::new());
        for (entry, kind) in entries {
            match kind {
                Entry::Untold => untold.push(entry),
                Entry::Unknown if !tells => untold.push(entry),
                Entry::Unknown => {
                    offers.insert(Offer::Artifact("unknown/unknown".to_owned()));
                }
                Entry::Image(platform) => {
                    let version = entry.platform().as_ref().and_then(|platform| platform.os_version().clone());
                    let version = version.map(|version| format!(" ({version})")).unwrap_or_default();
                    offers.insert(Offer::Platform(format!("{platform}{version}")));
                }
                Entry::Artifact(kind) => {
                    offers.insert(Offer::Artifact(kind));
                }
            }
        }
        match best {
            Some(best) => Choice { entries: vec![best], untold: false, offers },
            None => Choice { entries: untold, untold: true, offers },
        }
    }

    /// The entry of an index to run here, as far as the index alone tells.
    pub(crate) fn choose<'a>(&self, index: &'a ImageIndex) -> Result<&'a Descriptor, String> {
        let Choice { entries, offers, .. } = self.choices(index);
        entries.first().copied().ok_or_else(|| Offer::refusal(self, &offers))
    }
}

impl Offer {
    /// Why nothing of what there is can be run on a platform.
    pub(crate) fn refusal(platform: &Platform, offers: &BTreeSet<Self>) -> String {
        let (mut platforms, mut artifacts) = (Vec::new(), Vec::new());
        for offer in offers {
            match offer {
                Self::Platform(name) => platforms.push(name.as_str()),
                Self::Artifact(kind) => artifacts.push(kind.as_str()),
            }
        }
        let (platforms, artifacts) = (platforms.join(", "), artifacts.join(", "));
        match (platforms.is_empty(), artifacts.is_empty()) {
            (false, _) => format!("it has no image for {platform}, only for {platforms}: build it for {platform}"),
            (true, false) => format!("it is no container image: its index names only {artifacts}"),
            (true, true) => "its index is empty: it names no image: push the image again".to_owned(),
        }
    }
}

/// Whether a config of this kind is an image's. Old registries kept them without a kind of their own.
pub(crate) fn is_image_config(kind: &MediaType) -> bool {
    matches!(
        kind.to_string().as_str(),
        "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
            | "application/octet-stream"
            | "application/json"
            | ""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[&str]) -> ImageIndex {
        let manifests: Vec<serde_json::Value> = platforms
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
        Platform::new("linux", architecture, variant)
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
}
