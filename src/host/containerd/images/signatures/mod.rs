//! Which images must be signed, and whether one is: by keys of the operator's, without any server but the image's registry.
//!
//! ```text
//! reference -> the keys that apply to its name; none: it need not be signed
//! digest    -> the signatures that are kept with it on this machine, else those that its registry has (fetch)
//!           -> one (simple, bundle) by such a key, about this digest -> kept for as long as the image is here
//! ```
//! The digest is what the reference names, an index or a manifest: what `cosign sign` signs. It is looked at before a layer
//! is fetched, and again each time the image is taken for an instance: a key that the operator took away starts nothing more.

mod bundle;
mod fetch;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod key;
mod simple;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::distribution::Reference;
use oci_spec::image::{Descriptor, ImageManifest};

use self::key::PublicKey;
use super::content::{label_blob, read_blob, stat_blob};
use super::manifest::{self, Document};
use super::mirrors::docker_hub;
use super::record::content_label;
use crate::host::HostError;
use crate::host::containerd::connection::Containerd;

/// The label of what a reference names: the manifest of its signatures. Its prefix has containerd's garbage collector keep
/// that as long as the image.
const SIGNATURES: &str = "containerd.io/gc.ref.content.signatures";

/// How many findings are remembered.
const MOST_FOUND: usize = 1_024;

/// The most signatures of one manifest that are looked at, and the most bytes that one may have with what it signs.
const MOST_SIGNATURES: usize = 32;
const SIZE_LIMIT: u64 = 64 << 10;

/// A public key, and which images must be signed by its holder, or by that of another key that applies to them, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureKey {
    /// Images whose name begins with this, up to a slash: `registry.lan/team`. Empty: every image.
    pub prefix: String,
    /// Its file, in PEM. Read each time an image is looked at.
    pub file: PathBuf,
}

impl SignatureKey {
    fn applies_to(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.prefix.trim_end_matches('/'));
        self.prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The keys of the operator's.
#[derive(Debug, Clone)]
pub(crate) struct Signers {
    keys: Vec<SignatureKey>,
    /// Digests, and the key whose signature of it was found.
    found: Arc<Mutex<HashSet<(String, String)>>>,
}

impl Signers {
    pub(crate) fn new(keys: Vec<SignatureKey>) -> Self {
        Self { keys, found: Arc::default() }
    }

    /// What an image of this name must be signed by; None: it need not be signed.
    ///
    /// # Errors
    /// [`HostError::Failed`] names the file that can't be used: with a key that is not there nothing is let through.
    pub(crate) async fn of(&self, reference: &Reference) -> Result<Option<Demand>, HostError> {
        let registry = reference.registry().to_ascii_lowercase();
        let name = format!("{}/{}", docker_hub(&registry), reference.repository());
        let files: Vec<_> = self.keys.iter().filter(|key| key.applies_to(&name)).map(|key| key.file.clone()).collect();
        if files.is_empty() {
            return Ok(None);
        }
        let read = move || files.iter().map(|file| PublicKey::read(file)).collect::<Result<Vec<_>, _>>();
        let read = tokio::task::spawn_blocking(read).await;
        let keys = read.map_err(|lost| HostError::Failed(format!("reading keys: {lost}")))?;
        let keys = keys.map_err(|why| HostError::Failed(format!("image {reference} must be signed: {why}")))?;
        Ok(Some(Demand { keys, found: self.found.clone() }))
    }
}

/// What one image must be signed by: one of these keys.
#[derive(Debug)]
pub(crate) struct Demand {
    keys: Vec<PublicKey>,
    found: Arc<Mutex<HashSet<(String, String)>>>,
}

impl Demand {
    /// Whether the signatures that are kept with an image on this machine meet it.
    ///
    /// # Errors
    /// [`HostError::Image`] says what is wrong with them; [`HostError::NotFound`] that there are none.
    pub(crate) async fn met_here(&self, containerd: &Containerd, digest: &str) -> Result<(), HostError> {
        if self.was_met(digest) {
            return Ok(());
        }
        let labels = stat_blob(containerd, digest).await?.unwrap_or_default().labels;
        let Some(kept) = labels.get(SIGNATURES) else {
            return Err(HostError::NotFound(format!("a signature of {digest} on this machine")));
        };
        let kept = read_manifest(&read_blob(containerd, kept).await?).map_err(HostError::Image)?;
        self.met_by(containerd, digest, &signatures(&kept)).await
    }

    /// Whether signatures of an image meet it. Their blobs are in the content store.
    ///
    /// # Errors
    /// [`HostError::Image`] says why not.
    async fn met_by(&self, containerd: &Containerd, digest: &str, signatures: &[Signature]) -> Result<(), HostError> {
        let mut of_others = false;
        for signature in signatures {
            let blob = read_blob(containerd, signature.blob.digest().as_ref()).await?;
            let Some(Statement { message, signatures, images }) = signature.form.read(&blob) else { continue };
            let is_signer = |key: &&PublicKey| signatures.iter().any(|signature| key.signed(&message, signature));
            let Some(key) = self.keys.iter().find(is_signer) else { continue };
            if images.iter().any(|image| image == digest) {
                self.note(digest, key);
                return Ok(());
            }
            of_others = true;
        }
        Err(HostError::Image(match (signatures.is_empty(), of_others) {
            (true, _) => format!("{digest} has no signature"),
            (_, false) => format!("{digest} is signed, but not by a key of the setting image-signature-key"),
            _ => format!("the signature with {digest} is of another image"),
        }))
    }

    fn was_met(&self, digest: &str) -> bool {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        self.keys.iter().any(|key| found.contains(&(digest.to_owned(), key.fingerprint())))
    }

    fn note(&self, digest: &str, key: &PublicKey) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST_FOUND {
            found.clear();
        }
        found.insert((digest.to_owned(), key.fingerprint()));
    }
}

/// One signature of an image.
#[derive(Debug)]
struct Signature {
    /// What has it, or has what it signs.
    blob: Descriptor,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// The blob is what is signed by this.
    Simple(Vec<u8>),
    /// The blob has what is signed, and the signatures.
    Bundle,
}

/// What was signed.
struct Statement {
    /// The bytes that were.
    message: Vec<u8>,
    /// By each of these.
    signatures: Vec<Vec<u8>>,
    /// The digests of the images that it is about.
    images: Vec<String>,
}

impl Form {
    fn read(&self, blob: &[u8]) -> Option<Statement> {
        match self {
            Self::Simple(signature) => Some(simple::read(blob, signature)),
            Self::Bundle => bundle::read(blob),
        }
    }
}

/// The signatures of a manifest. What is none is passed over: others may be there beside it.
fn signatures(manifest: &ImageManifest) -> Vec<Signature> {
    let form = |layer: &Descriptor| match bundle::is_one(layer) {
        true => Some(Form::Bundle),
        false => simple::signature(layer).map(Form::Simple),
    };
    let small = manifest.layers().iter().filter(|layer| layer.size() <= SIZE_LIMIT);
    let signature = |layer: &Descriptor| Some(Signature { blob: layer.clone(), form: form(layer)? });
    small.filter_map(signature).take(MOST_SIGNATURES).collect()
}

/// A manifest of signatures, as a registry or the content store has it.
fn read_manifest(bytes: &[u8]) -> Result<ImageManifest, String> {
    match manifest::parse(bytes)? {
        Document::Manifest(manifest) => Ok(*manifest),
        Document::Index(_) => Err("its signatures are an index: sign it with cosign".to_owned()),
    }
}

/// Keeps the signatures of an image for as long as the image is here.
async fn keep(
    containerd: &Containerd,
    digest: &str,
    manifest: &str,
    signatures: &[Signature],
) -> Result<(), HostError> {
    let blobs =
        signatures.iter().enumerate().map(|(at, signature)| content_label(&format!("l.{at}"), signature.blob.digest()));
    label_blob(containerd, manifest, blobs.collect()).await?;
    label_blob(containerd, digest, HashMap::from([(SIGNATURES.to_owned(), manifest.to_owned())])).await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn no_more_and_no_larger_signatures_are_looked_at_than_the_bounds_allow() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let described = |kind: &str, size: u64| json!({"mediaType": kind, "size": size, "digest": digest});
        let of = |layers: Vec<Value>| {
            let config = described("application/vnd.oci.empty.v1+json", 2);
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
            signatures(&serde_json::from_value(manifest).unwrap()).len()
        };
        let bundle = |size| described("application/vnd.dev.sigstore.bundle.v0.3+json", size);
        assert_eq!(of(vec![bundle(SIZE_LIMIT), bundle(SIZE_LIMIT + 1), described("text/plain", 1)]), 1);
        assert_eq!(of(vec![bundle(5); 3 * MOST_SIGNATURES]), MOST_SIGNATURES);
    }

    #[test]
    fn a_key_applies_to_the_images_below_its_prefix() {
        let applies = |prefix: &str, name: &str| {
            SignatureKey { prefix: prefix.to_owned(), file: PathBuf::new() }.applies_to(name)
        };
        assert!(applies("", "docker.io/library/nginx"));
        for prefix in ["r.lan:5000", "r.lan:5000/team", "r.lan:5000/team/", "r.lan:5000/team/fn"] {
            assert!(applies(prefix, "r.lan:5000/team/fn"), "{prefix}");
        }
        for prefix in ["r.lan", "r.lan:5000/tea", "r.lan:5000/team/f", "r.lan:5000/team/fn/x", "docker.io"] {
            assert!(!applies(prefix, "r.lan:5000/team/fn"), "{prefix}");
        }
    }
}
