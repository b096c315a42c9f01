//! Resolving: what a name or digest stands for -> the manifest that this machine runs.
//!
//! ```text
//! manifest                                     -> that one
//! index -> the entry of this platform          -> its manifest
//!       -> entries that do not say theirs: each -> its manifest -> its config -> the first for this platform
//! ```
//!
//! Documents come from a registry, or from the content store. An index may name indices.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use containerd_client::types::Descriptor as Target;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};

use super::digest::sha256;
use super::index::Offer;
use super::manifest::{self, Document, MAX_NESTING};
use super::platform::Platform;
use crate::host::HostError;

/// How many documents of one image are looked into: an index of more entries that don't say their platform is not
/// searched to its end.
const MOST_DOCUMENTS: usize = 32;

/// Where documents come from.
#[async_trait]
pub(crate) trait Documents: Sync {
    /// The manifest or index of a digest; of what was asked for where there is none.
    async fn manifest(&self, digest: Option<&str>) -> Result<Vec<u8>, HostError>;

    /// A manifest's config.
    async fn config(&self, manifest: &ImageManifest) -> Result<ImageConfiguration, HostError>;

    /// The error that a document is not what it should be.
    fn wrong(&self, digest: &str, why: &str) -> HostError;
}

/// This platform's manifest of an image, and how the image's digest leads to it.
#[derive(Debug, Clone)]
pub(crate) struct PlatformManifest {
    /// The indices on the way, outermost first, each with the entry that was followed.
    pub(crate) indices: Vec<(String, Descriptor)>,
    /// The manifest's digest.
    pub(crate) digest: String,
    /// The manifest.
    pub(crate) manifest: ImageManifest,
}

/// What was asked for, and what to run of it.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The index or manifest that was asked for.
    pub(crate) target: Target,
    /// The manifest for this platform.
    pub(crate) platform: PlatformManifest,
}

/// A document to look into.
struct Step {
    /// Its digest; None: what was asked for.
    digest: Option<String>,
    /// The indices on the way to it, with the entry that was followed in each.
    indices: Vec<(String, Descriptor)>,
    /// Whether an index names it without its platform, so that its config has to tell.
    untold: bool,
}

/// Follows what was asked for to this platform's manifest.
///
/// # Errors
/// As its documents do; [`HostError::Image`] says what there is instead of an image for this platform.
pub(crate) async fn resolve(
    documents: &dyn Documents,
    digest: Option<&str>,
    platform: &Platform,
) -> Result<Resolved, HostError> {
    let mut search = Search { platform, offers: BTreeSet::new(), failed: None };
    let mut target: Option<Target> = None;
    let mut steps = vec![Step { digest: digest.map(str::to_owned), indices: Vec::new(), untold: false }];
    for _ in 0..MOST_DOCUMENTS {
        let Some(step) = steps.pop() else { break };
        let Some(bytes) = search.unless_untold(&step, documents.manifest(step.digest.as_deref()).await)? else {
            continue;
        };
        let digest = step.digest.clone().unwrap_or_else(|| sha256(&bytes));
        let parsed = manifest::parse(&bytes).map_err(|why| documents.wrong(&digest, &why));
        let Some(document) = search.unless_untold(&step, parsed)? else { continue };
        let described = || Target {
            media_type: manifest::media_type(&document),
            digest: digest.clone(),
            size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            annotations: HashMap::new(),
        };
        let target = target.get_or_insert_with(described).clone();
        match document {
            Document::Manifest(manifest) => {
                if !step.untold || search.runs_here(documents, &step, &manifest).await? {
                    let platform = PlatformManifest { indices: step.indices, digest, manifest: *manifest };
                    return Ok(Resolved { target, platform });
                }
            }
            Document::Index(_) if step.indices.len() >= MAX_NESTING => {
                return Err(documents.wrong(&digest, "its indices are nested too deep"));
            }
            Document::Index(index) => {
                let choice = platform.choices(&index);
                search.offers.extend(choice.offers);
                let untold = choice.untold;
                // The last that is added is the first that is looked into.
                steps.extend(choice.entries.into_iter().rev().map(|entry| {
                    let (digest, mut indices) = (Some(entry.digest().to_string()), step.indices.clone());
                    indices.push((sha256(&bytes), entry.clone()));
                    Step { digest, indices, untold: untold || step.untold }
                }));
            }
        }
    }
    let asked_for = target.map(|target| target.digest).unwrap_or_default();
    Err(search.failed.unwrap_or_else(|| documents.wrong(&asked_for, &Offer::refusal(platform, &search.offers))))
}

/// What came of the entries that were looked into.
struct Search<'a> {
    platform: &'a Platform,
    /// What there is instead of an image for this platform.
    offers: BTreeSet<Offer>,
    /// Why an entry that may have been the right one could not be looked into.
    failed: Option<HostError>,
}

impl Search<'_> {
    /// What was read; None where that failed and another entry may be the right one.
    fn unless_untold<T>(&mut self, step: &Step, read: Result<T, HostError>) -> Result<Option<T>, HostError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error @ (HostError::Image(_) | HostError::NotFound(_))) if step.untold => {
                self.failed.get_or_insert(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a manifest that does not say its platform is an image for this one.
    async fn runs_here(
        &mut self,
        documents: &dyn Documents,
        step: &Step,
        manifest: &ImageManifest,
    ) -> Result<bool, HostError> {
        if let Some(kind) = manifest::foreign_kind(manifest) {
            self.offers.insert(Offer::Artifact(kind));
            return Ok(false);
        }
        let Some(config) = self.unless_untold(step, documents.config(manifest).await)? else { return Ok(false) };
        match Platform::of_config(&config) {
            Some(offered) if self.platform.rank(&offered).is_none() => {
                self.offers.insert(Offer::Platform(offered.to_string()));
                Ok(false)
            }
            _ => Ok(true),
        }
    }
}
