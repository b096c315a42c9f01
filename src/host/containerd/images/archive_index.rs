//! What images an archive holds: its index.json (OCI) or manifest.json (docker save) -> names and what they stand for.

use std::collections::BTreeMap;

use containerd_client::types::Descriptor as Target;
use oci_spec::image::{Descriptor, ImageIndex};
use serde::Deserialize;
use serde_json::json;

use super::content::read_blob;
use super::digest::sha256;
use super::ingest::write_blob;
use super::manifest::{self, Document};
use super::platform::Platform;
use super::reference;
use crate::host::HostError;
use crate::host::containerd::connection::Lease;

/// The annotations that name an image, the better one first.
const NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What an archive had in it.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Its small files, by path.
    pub(crate) documents: BTreeMap<String, Vec<u8>>,
    /// What went into the content store, by path.
    pub(crate) stored: BTreeMap<String, Stored>,
    /// Its links, by path.
    pub(crate) links: BTreeMap<String, String>,
}

/// A file of the archive that is in the content store now.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its digest.
    pub(crate) digest: String,
    /// Bytes.
    pub(crate) size: u64,
    /// Its first bytes, which tell how it is compressed.
    pub(crate) head: Vec<u8>,
}

/// An image of the archive.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Its name, normalised.
    pub(crate) name: String,
    /// What it stands for.
    pub(crate) target: Target,
}

/// One image in docker's manifest.json.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Reads which images an archive holds.
///
/// # Errors
/// [`HostError::Image`] when it holds none, or none with a name.
pub(crate) async fn read(lease: &Lease, contents: &Contents) -> Result<Vec<Wanted>, HostError> {
    let index = contents.documents.get("index.json").filter(|_| contents.documents.contains_key("oci-layout"));
    let saved = contents.documents.get("manifest.json");
    if index.is_none() && saved.is_none() {
        return refuse("it has neither oci-layout and index.json nor manifest.json: it is no image archive");
    }
    // Newer docker writes both; the index says more.
    let mut wanted = match index {
        Some(bytes) => read_index(bytes)?,
        None => Vec::new(),
    };
    if wanted.is_empty()
        && let Some(bytes) = saved
    {
        wanted = read_saved(lease, contents, bytes).await?;
    }
    if wanted.is_empty() {
        return refuse(&format!("none of its images has a name: set the annotation {NAME}, or save it by name"));
    }
    Ok(wanted)
}

fn refuse<T>(why: &str) -> Result<T, HostError> {
    Err(HostError::Image(why.to_owned()))
}

fn read_index(bytes: &[u8]) -> Result<Vec<Wanted>, HostError> {
    let index = match manifest::parse(bytes) {
        Ok(Document::Index(index)) => *index,
        Ok(Document::Manifest(_)) => return refuse("index.json is a manifest"),
        Err(why) => return refuse(&format!("index.json: {why}")),
    };
    let mut entries: BTreeMap<String, Vec<Descriptor>> = BTreeMap::new();
    for entry in index.manifests() {
        let annotations = entry.annotations().as_ref();
        let annotation = |key: &str| annotations.and_then(|annotations| annotations.get(key));
        if let Some(name) = annotation(NAME).or_else(|| annotation(REF_NAME)) {
            entries.entry(reference::parse_name(name)?.whole()).or_default().push(entry.clone());
        }
    }
    entries.into_iter().map(|(name, entries)| one_of(&index, name, &entries)).collect()
}

/// Several entries of one name are one image's platforms.
fn one_of(index: &ImageIndex, name: String, entries: &[Descriptor]) -> Result<Wanted, HostError> {
    let entry = match entries {
        [only] => only.clone(),
        several => {
            let mut platforms = index.clone();
            platforms.set_manifests(several.to_vec());
            let chosen = Platform::host().choose(&platforms);
            chosen.map_err(|why| HostError::Image(format!("image {name}: {why}")))?.clone()
        }
    };
    let target = Target {
        media_type: entry.media_type().to_string(),
        digest: entry.digest().to_string(),
        size: i64::try_from(entry.size()).unwrap_or(i64::MAX),
        ..Target::default()
    };
    Ok(Wanted { name, target })
}

/// Docker's own format has no manifests in the sense of OCI: they are made here.
async fn read_saved(lease: &Lease, contents: &Contents, bytes: &[u8]) -> Result<Vec<Wanted>, HostError> {
    let saved: Vec<Saved> =
        serde_json::from_slice(bytes).map_err(|error| HostError::Image(format!("manifest.json: {error}")))?;
    let mut wanted = Vec::new();
    for Saved { config, repo_tags, layers } in saved {
        let config = read_config(lease, contents, &config).await?;
        let layers = layers.iter().map(|path| layer(contents, path)).collect::<Result<Vec<_>, _>>()?;
        let digest = write_blob(lease, &config).await?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "digest": digest, "size": config.len() },
            "layers": layers,
        })
        .to_string();
        let target = Target {
            media_type: MANIFEST.to_owned(),
            digest: write_blob(lease, manifest.as_bytes()).await?,
            size: i64::try_from(manifest.len()).unwrap_or(i64::MAX),
            ..Target::default()
        };
        for name in repo_tags.unwrap_or_default() {
            wanted.push(Wanted { name: reference::parse_name(&name)?.whole(), target: target.clone() });
        }
    }
    Ok(wanted)
}

async fn read_config(lease: &Lease, contents: &Contents, path: &str) -> Result<Vec<u8>, HostError> {
    let path = resolve(contents, path);
    if let Some(stored) = contents.stored.get(path) {
        return read_blob(lease.containerd(), &stored.digest).await;
    }
    let Some(bytes) = contents.documents.get(path) else { return refuse(&format!("its config {path} is missing")) };
    // docker calls it by its digest.
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".json");
    let digest = sha256(bytes);
    if name.len() == 64 && digest.strip_prefix("sha256:") != Some(name) {
        return refuse(&format!("digest mismatch: the content of {path} is {digest}: copy it again"));
    }
    Ok(bytes.clone())
}

fn layer(contents: &Contents, path: &str) -> Result<serde_json::Value, HostError> {
    let resolved = resolve(contents, path);
    let Some(Stored { digest, size, head }) = contents.stored.get(resolved) else {
        return refuse(&format!("its layer {path} is missing: write the archive again"));
    };
    let compression = match head.as_slice() {
        [0x1f, 0x8b, ..] => "+gzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "+zstd",
        _ => "",
    };
    Ok(json!({ "mediaType": format!("{LAYER}{compression}"), "digest": digest, "size": size }))
}

/// Follows links; old docker writes a layer that two images share once, and links to it.
fn resolve<'a>(contents: &'a Contents, path: &'a str) -> &'a str {
    let mut path = path;
    for _ in 0..8 {
        match contents.links.get(path) {
            Some(target) => path = target,
            None => break,
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &serde_json::Value) -> Vec<u8> {
        json!({ "schemaVersion": 2, "manifests": entries }).to_string().into_bytes()
    }

    fn entry(annotation: &str, name: &str) -> serde_json::Value {
        let digest = format!("sha256:{:064}", 7);
        json!({ "mediaType": MANIFEST, "digest": digest, "size": 7, "annotations": { annotation: name } })
    }

    #[test]
    fn names_come_from_annotations_and_are_normalised() {
        let entries = json!([entry(NAME, "docker.io/me/fn:1"), entry(REF_NAME, "other:2")]);
        let names: Vec<_> = read_index(&index(&entries)).unwrap().into_iter().map(|wanted| wanted.name).collect();
        assert_eq!(names, ["docker.io/library/other:2", "docker.io/me/fn:1"]);
    }

    #[test]
    fn a_bare_tag_is_refused_with_a_way_out() {
        let error = read_index(&index(&json!([entry(REF_NAME, "latest")]))).unwrap_err().to_string();
        assert!(error.contains(NAME), "{error}");
    }

    #[test]
    fn links_that_go_in_circles_end() {
        let links = [("a".to_owned(), "b".to_owned()), ("b".to_owned(), "a".to_owned())];
        let contents = Contents { links: links.into(), ..Contents::default() };
        resolve(&contents, "a");
        assert!(layer(&contents, "a").is_err());
    }
}
