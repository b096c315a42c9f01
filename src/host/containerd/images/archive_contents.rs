//! What was found in an archive of images: its small files, what went into the content store, and its links.

use std::collections::BTreeMap;
use std::path::Path;

use containerd_client::types::Descriptor as Target;
use serde_json::json;

use super::ingest::write_blob;
use super::tarball;
use crate::host::HostError;
use crate::host::containerd::connection::Lease;

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

/// [`HostError::Image`] about an archive.
pub(super) fn refuse<T>(why: &str) -> Result<T, HostError> {
    Err(HostError::Image(why.to_owned()))
}

impl Contents {
    /// A small file of the archive, under this path or one that is linked to it.
    pub(super) fn document(&self, path: &str) -> Option<&Vec<u8>> {
        self.documents.get(&self.resolve(path))
    }

    /// A layer of docker's own formats, in the content store.
    pub(super) async fn layer(&self, lease: &Lease, path: &str) -> Result<Stored, HostError> {
        let resolved = self.resolve(path);
        match (self.stored.get(&resolved), self.documents.get(&resolved)) {
            (Some(stored), _) => Ok(stored.clone()),
            // Under no name that a layer usually has, and small.
            (None, Some(bytes)) => Ok(Stored {
                digest: write_blob(lease, bytes).await?,
                size: bytes.len() as u64,
                head: bytes.iter().copied().take(4).collect(),
            }),
            (None, None) => refuse(&format!("its layer {path} is missing: write the archive again")),
        }
    }

    /// The path that another one stands for: without `./`, and with links followed. Old docker writes a layer that two images
    /// share once, and links to it.
    pub(super) fn resolve(&self, path: &str) -> String {
        let mut path = tarball::inside(Path::new(path)).unwrap_or_else(|| path.to_owned());
        for _ in 0..8 {
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => break,
            }
        }
        path
    }
}

impl Stored {
    /// How it is compressed, as media types say it.
    pub(super) fn compression(&self) -> &'static str {
        match self.head.as_slice() {
            [0x1f, 0x8b, ..] => "+gzip",
            [0x28, 0xb5, 0x2f, 0xfd] => "+zstd",
            _ => "",
        }
    }

    fn descriptor(&self) -> serde_json::Value {
        let kind = format!("{LAYER}{}", self.compression());
        json!({ "mediaType": kind, "digest": self.digest, "size": self.size })
    }
}

/// Docker's own formats have no manifests in the sense of OCI: they are made here.
pub(super) async fn write_image(lease: &Lease, config: &[u8], layers: &[Stored]) -> Result<Target, HostError> {
    let layers: Vec<_> = layers.iter().map(Stored::descriptor).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": write_blob(lease, config).await?, "size": config.len() },
        "layers": layers,
    })
    .to_string();
    Ok(Target {
        media_type: MANIFEST.to_owned(),
        digest: write_blob(lease, manifest.as_bytes()).await?,
        size: i64::try_from(manifest.len()).unwrap_or(i64::MAX),
        ..Target::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_links_that_go_in_circles_end() {
        let links =
            [("a".to_owned(), "b".to_owned()), ("b".to_owned(), "a".to_owned()), ("x".to_owned(), "y".to_owned())];
        let contents = Contents { links: links.into(), ..Contents::default() };
        assert!(["a", "b"].contains(&contents.resolve("a").as_str()));
        assert_eq!(contents.resolve("./x"), "y");
        assert_eq!(contents.resolve("./a/../c/layer.tar"), "c/layer.tar");
    }
}
