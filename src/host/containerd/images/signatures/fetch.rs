//! The signatures that a registry has of an image: those of either form, one manifest of them after the other, until one
//! will do.

use bytes::Bytes;
use oci_spec::image::ImageManifest;

use super::{Demand, bundle, keep, read_manifest, signatures, simple};
use crate::host::HostError;
use crate::host::containerd::images::attempts::Attempts;
use crate::host::containerd::images::fault::Fault;
use crate::host::containerd::images::ingest::write_blob;
use crate::host::containerd::images::manifest::{self, Document};
use crate::host::containerd::images::part::Part;
use crate::host::containerd::images::pull::Pull;

/// The most that refers to one image and is looked at.
const MOST_REFERRERS: usize = 32;

impl Pull<'_> {
    /// Looks for a signature of an image: first here, where an earlier pull may have kept it.
    pub(in super::super) async fn check_signature(&self, demand: &Demand, digest: &str) -> Result<(), HostError> {
        match demand.met_here(self.terms.lease.containerd(), digest).await {
            // Others may have been added since.
            Err(HostError::Image(_) | HostError::NotFound(_)) => {}
            met => return met,
        }
        let mut why = None;
        let tag = simple::tag(digest);
        if let Some(bytes) = self.ask(Asked::Manifest(&tag)).await? {
            match self.try_signatures(demand, digest, &bytes).await {
                Err(HostError::Image(wrong)) => why = Some(wrong),
                met => return met,
            }
        }
        for manifest in self.bundles(digest).await? {
            let Some(bytes) = self.ask(Asked::Manifest(&manifest)).await? else { continue };
            match self.try_signatures(demand, digest, &bytes).await {
                Err(HostError::Image(wrong)) => why = Some(wrong),
                met => return met,
            }
        }
        Err(self.failure(&why.unwrap_or_else(|| {
            format!("{digest} has no signature there, and it must be signed (image-signature-key): cosign sign --key does it")
        })))
    }

    /// The manifests that may have bundles of an image.
    async fn bundles(&self, digest: &str) -> Result<Vec<String>, HostError> {
        let index = match self.ask(Asked::Referrers(digest)).await? {
            Some(index) => Some(index),
            None => self.ask(Asked::Manifest(&bundle::referrers_tag(digest))).await?,
        };
        let Some(bytes) = index else { return Ok(Vec::new()) };
        let Ok(Document::Index(index)) = manifest::parse(&bytes) else { return Ok(Vec::new()) };
        let bundles = index.manifests().iter().filter(|entry| bundle::may_be_one(entry));
        Ok(bundles.take(MOST_REFERRERS).map(|entry| entry.digest().to_string()).collect())
    }

    /// Whether the signatures of a manifest will do. If so, they are kept.
    async fn try_signatures(&self, demand: &Demand, digest: &str, bytes: &[u8]) -> Result<(), HostError> {
        let containerd = self.terms.lease.containerd();
        let manifest: ImageManifest = read_manifest(bytes).map_err(HostError::Image)?;
        let found = signatures(&manifest);
        for signature in &found {
            let digest = signature.blob.digest().to_string();
            self.fetch_blob(&signature.blob, Part::Signature(&digest)).await?;
        }
        demand.met_by(containerd, digest, &found).await?;
        let manifest = write_blob(self.terms.lease, bytes).await?;
        keep(containerd, digest, &manifest, &found).await
    }

    /// What the registry has of it, if it has that.
    async fn ask(&self, asked: Asked<'_>) -> Result<Option<Bytes>, HostError> {
        let mut attempts = Attempts::new(self.attempts);
        loop {
            let (name, answer) = match asked {
                Asked::Manifest(name) => (name, self.registry.manifest(Some(name)).await),
                Asked::Referrers(digest) => (digest, self.registry.referrers(digest).await),
            };
            match answer {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Fault::NotFound) => return Ok(None),
                Err(fault) => self.after(fault, &mut attempts, Part::Signature(name)).await?,
            }
        }
    }
}

/// What a registry is asked for.
#[derive(Debug, Clone, Copy)]
enum Asked<'a> {
    /// A manifest or index, by its digest or tag.
    Manifest(&'a str),
    /// What refers to a digest.
    Referrers(&'a str),
}
