//! What registries and their images say, as fuzz targets: references, manifests, indices and configs.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use oci_spec::distribution::Reference;
use oci_spec::image::{ImageConfiguration, ImageManifest};

use super::content::chain_ids;
use super::digest::sha256;
use super::manifest::{self, Document, MAX_NESTING};
use super::platform::Platform;
use super::reference;
pub(crate) use super::registry::fuzzed::challenges;
use super::resolve::{Documents, resolve};
pub(crate) use super::signatures::fuzzed::signers_claims;
use crate::function::{Spec, SpecDraft};
use crate::host::{HostError, Termination, effective_environment, stop_signal};

pub(crate) fn references(bytes: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(bytes);
    let read = reference::parse(text).ok();
    // The parser of the field, with what is refused here besides.
    let theirs = text.parse::<Reference>().ok().filter(|reference| {
        let digest = reference
            .digest()
            .is_none_or(|digest| digest.starts_with("sha256:") && !digest.contains(char::is_uppercase));
        text.is_ascii() && digest && !reference.repository().contains(char::is_uppercase)
    });
    assert_eq!(read, theirs, "{text:?} is read otherwise than by the parser that comes with the type");
    let named = reference::parse_name(text).ok();
    assert!(named.is_none() || named == read, "a name of an archive is another image");
    let Some(read) = read else { return false };
    let whole = read.whole();
    assert_eq!(reference::parse(&whole).ok().as_ref(), Some(&read), "what is printed of {text:?} is another image");
    assert!(whole.bytes().all(|byte| byte.is_ascii_graphic()), "{whole:?} is no word");
    let parts = read.repository().split('/').chain([read.registry(), read.tag().unwrap_or("latest")]);
    // Each becomes a part of an address or of a path.
    assert!(parts.clone().all(|part| !part.is_empty() && part != "." && part != ".."), "{whole:?} climbs");
    assert!(read.repository().len() <= 255 + "library/".len() && read.tag().is_none_or(|tag| tag.len() <= 128));
    true
}

pub(crate) fn manifests(bytes: &[u8]) -> bool {
    let Ok(document) = manifest::parse(bytes) else { return false };
    assert!(!manifest::media_type(&document).is_empty() || declares_nothing(&document));
    match &document {
        Document::Manifest(image) => {
            let text = serde_json::to_vec(image).expect("it has a JSON form");
            assert_eq!(manifest::parse(&text).as_ref(), Ok(&document), "written and read as another");
            if manifest::check_layers(image).is_ok() {
                assert!(!image.layers().is_empty() && manifest::foreign_kind(image).is_none());
                let digests = image.layers().iter().map(|layer| layer.digest().to_string());
                for digest in digests {
                    let hex = digest.strip_prefix("sha256:").expect("containerd needs a sha256");
                    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                    assert!(hex.len() == 64 && hex.bytes().all(is_hex), "{digest:?} is the name of no blob");
                }
            }
        }
        Document::Index(index) => {
            for platform in [Platform::host(), Platform::new("linux", "arm", "v7")] {
                let choice = platform.choices(index);
                assert!(choice.untold || choice.entries.len() == 1, "one entry is the best");
                assert_eq!(platform.choose(index).ok(), choice.entries.first().copied());
            }
        }
    }
    true
}

/// An empty media type is kept where a document says so.
fn declares_nothing(document: &Document) -> bool {
    match document {
        Document::Index(index) => index.media_type().is_some(),
        Document::Manifest(image) => image.media_type().is_some(),
    }
}

/// A registry whose documents are the parts of the input, whichever is asked for.
struct Registry<'a> {
    documents: Vec<&'a [u8]>,
    asked: AtomicUsize,
}

impl Registry<'_> {
    fn next(&self) -> Vec<u8> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        self.documents[asked % self.documents.len()].to_vec()
    }
}

#[async_trait]
impl Documents for Registry<'_> {
    async fn manifest(&self, _: Option<&str>) -> Result<Vec<u8>, HostError> {
        Ok(self.next())
    }

    async fn config(&self, _: &ImageManifest) -> Result<ImageConfiguration, HostError> {
        serde_json::from_slice(&self.next()).map_err(|error| HostError::Image(error.to_string()))
    }

    fn wrong(&self, digest: &str, why: &str) -> HostError {
        HostError::Image(format!("{digest}: {why}"))
    }
}

/// However documents name each other, the search for a manifest comes to an end.
pub(crate) fn resolving(bytes: &[u8]) -> bool {
    let registry = Registry { documents: bytes.split(|byte| *byte == b'\n').collect(), asked: AtomicUsize::new(0) };
    let resolved = resolve(&registry, None, &Platform::host()).now_or_never().expect("nothing is waited for");
    // At most 32 documents, each with its config.
    assert!(registry.asked.load(Ordering::Relaxed) <= 2 * 32, "the search goes on and on");
    let Ok(resolved) = resolved else { return false };
    assert!(resolved.platform.indices.len() <= MAX_NESTING, "nested deeper than is followed");
    assert_eq!(resolved.target.digest, sha256(registry.documents[0]), "what was asked for is what came first");
    true
}

pub(crate) fn configs(bytes: &[u8]) -> bool {
    let Ok(config) = serde_json::from_slice::<ImageConfiguration>(bytes) else { return false };
    if let Some(platform) = Platform::of_config(&config) {
        assert_eq!(Platform::host().check(&config).is_ok(), Platform::host().rank(&platform).is_some());
    }
    let layers = config.rootfs().diff_ids();
    let chain = chain_ids(layers);
    assert_eq!(chain.len(), layers.len());
    assert!(chain.iter().skip(1).all(|id| id.len() == "sha256:".len() + 64), "a snapshot is called by a digest");
    let own = BTreeMap::from([("OWN".to_owned(), "1".to_owned())]);
    let draft = SpecDraft { image: "i".into(), env_vars: own, ..SpecDraft::default() };
    let spec = Spec::try_from(draft).expect("a plain spec");
    let environment = effective_environment(&config, &spec);
    for (at, (name, value)) in environment.iter().enumerate() {
        assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'), "{name:?} fails each start");
        assert!(environment[..at].iter().all(|(other, _)| other != name), "{name:?} is there twice");
    }
    assert!(environment.contains(&("OWN".to_owned(), "1".to_owned())), "the function's own goes before the image's");
    let termination = Termination::of(stop_signal(&config), &environment.into_iter().collect());
    assert!(termination.grace.or(std::time::Duration::from_secs(10)).as_secs() <= 3_610);
    true
}
