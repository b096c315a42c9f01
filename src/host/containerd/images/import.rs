//! Importing: an archive -> content store -> images. Reads what docker, podman, skopeo, crane, buildkit and actord itself
//! write.
//!
//! The archive is read once, in its order. Its layers go into the content store as they come, under a lease; its small
//! files are kept until all is read. Then every image in it is checked and unpacked, and only then is any of them named:
//! an archive is imported whole or not at all.

use std::path::Path;

use containerd_client::types::Descriptor as Target;

use super::ContainerdImages;
use super::archive_contents::{Contents, Stored, Wanted};
use super::archive_index::{self, Nameless};
use super::content::{StoredImage, find_manifest, read_config, stat_blob};
use super::ingest::{Blob, Ingest, Uncommitted, ingest_name};
use super::manifest::{self, DOCUMENT_LIMIT};
use super::record::{self, Origin};
use super::tarball::{self, Part};
use crate::host::HostError;
use crate::host::containerd::connection::Lease;
use crate::host::keyed_lock::KeyedLock;

/// How much an archive's small files may take together.
const DOCUMENTS_LIMIT: u64 = 16 * DOCUMENT_LIMIT;

impl ContainerdImages {
    /// Imports all images of an archive and returns their names.
    pub(super) async fn import_archive(&self, archive: &Path) -> Result<Vec<String>, HostError> {
        let lease = self.lease().await?;
        let imported = self.import_under(&lease, archive).await;
        let names = lease.settle(imported).await.map_err(|error| match error {
            HostError::Image(why) | HostError::NotFound(why) => broken(archive, &why),
            other => other,
        })?;
        tracing::info!(archive = %archive.display(), images = ?names, "imported");
        Ok(names)
    }

    async fn import_under(&self, lease: &Lease, archive: &Path) -> Result<Vec<String>, HostError> {
        let contents = Storing { lease, locks: &self.locks }.store(archive).await?;
        let wanted = archive_index::read(lease, &contents, &Nameless::of(archive)).await?;
        for Wanted { target, .. } in &wanted {
            let stored = whole_image(lease, target).await?;
            self.prepare(lease, &stored).await?;
        }
        let mut names = Vec::new();
        for Wanted { name, target } in wanted {
            record::put(lease, &name, &target, Origin::Archive).await?;
            names.push(name);
        }
        Ok(names)
    }
}

fn broken(archive: &Path, why: &str) -> HostError {
    HostError::Image(format!("can't import {}: {why}", archive.display()))
}

/// An archive's way into the content store.
struct Storing<'a> {
    lease: &'a Lease,
    locks: &'a KeyedLock<String>,
}

impl Storing<'_> {
    async fn store(&self, archive: &Path) -> Result<Contents, HostError> {
        let mut parts = Parts(tarball::read(archive));
        let mut contents = Contents::default();
        let mut documents = 0;
        while let Some(part) = parts.next().await? {
            match part {
                Part::Link { path, target } => {
                    contents.links.insert(path, target);
                }
                Part::Begin { path, size } => match Place::of(&path, size) {
                    Place::Blob(digest) => {
                        let stored = self.store_file(&mut parts, &path, size, Some(&digest)).await?;
                        contents.stored.insert(path, stored);
                    }
                    Place::Layer => {
                        let stored = self.store_file(&mut parts, &path, size, None).await?;
                        contents.stored.insert(path, stored);
                    }
                    Place::Document => {
                        documents += size;
                        if size > DOCUMENT_LIMIT || documents > DOCUMENTS_LIMIT {
                            return Err(HostError::Image(format!("{path} has {size} bytes: that is no image archive")));
                        }
                        contents.documents.insert(path, parts.whole_file().await?);
                    }
                },
                Part::Bytes(_) | Part::End { .. } => {}
            }
        }
        Ok(contents)
    }

    /// Writes a file into the content store as it comes. `digest`: what it must have.
    async fn store_file(
        &self,
        parts: &mut Parts,
        path: &str,
        size: u64,
        digest: Option<&str>,
    ) -> Result<Stored, HostError> {
        let _locked = match digest {
            Some(digest) => Some(self.locks.lock(digest).await),
            None => None,
        };
        let name = digest.map_or_else(|| format!("actord-import-{:032x}", rand::random::<u128>()), ingest_name);
        if let Some(digest) = digest {
            self.lease.keep_blob(digest).await?;
        }
        let mut ingest = Ingest::open(self.lease, &name, &Blob { digest, size }).await?;
        if let Some(ingest) = &mut ingest {
            ingest.restart();
        }
        let (found, head) = match parts.copy_file(path, ingest.as_mut()).await {
            Ok(copied) => copied,
            Err(error) => {
                if let Some(ingest) = ingest {
                    ingest.close().await;
                }
                return Err(error);
            }
        };
        if digest.is_some_and(|digest| digest != found) {
            if let Some(ingest) = ingest {
                ingest.abort().await?;
            }
            return Err(HostError::Image(format!("digest mismatch: the content of {path} is {found}: copy it again")));
        }
        match ingest {
            Some(ingest) => match ingest.commit().await {
                Ok(_) => {}
                Err(Uncommitted::Host(error)) => return Err(error),
                Err(Uncommitted::Wrong(why)) => return Err(HostError::Image(format!("{path}: {why}"))),
            },
            None => tracing::debug!(path, "is in the content store already"),
        }
        self.lease.keep_blob(&found).await?;
        Ok(Stored { digest: found, size, head })
    }
}

/// What is to be done with a file, by its path.
#[derive(Debug, PartialEq)]
enum Place {
    /// A blob under its digest.
    Blob(String),
    /// A layer of docker's own format; anything that is too big for a document may be one.
    Layer,
    /// A file to keep until the archive is read.
    Document,
}

impl Place {
    fn of(path: &str, size: u64) -> Self {
        if let Some(hash) = path.strip_prefix("blobs/sha256/")
            && hash.len() == 64
            && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Self::Blob(format!("sha256:{hash}"));
        }
        let layer = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"].iter().any(|end| path.ends_with(end));
        let too_big = size > DOCUMENT_LIMIT && !path.ends_with(".json");
        if layer || too_big { Self::Layer } else { Self::Document }
    }
}

/// An image of which all that it needs is there.
async fn whole_image(lease: &Lease, target: &Target) -> Result<StoredImage, HostError> {
    let containerd = lease.containerd();
    let size = u64::try_from(target.size).unwrap_or(0);
    present(lease, &target.digest, size).await?;
    let platform = find_manifest(containerd, &target.digest).await?;
    for (_, entry) in &platform.indices {
        present(lease, entry.digest().as_ref(), entry.size()).await?;
    }
    for blob in std::iter::once(platform.manifest.config()).chain(platform.manifest.layers()) {
        present(lease, blob.digest().as_ref(), blob.size()).await?;
    }
    manifest::check_layers(&platform.manifest).map_err(|why| manifest::wrong_document(&platform.digest, &why))?;
    let config = read_config(containerd, &platform.manifest).await?;
    Ok(StoredImage::new(platform, config))
}

async fn present(lease: &Lease, digest: &str, size: u64) -> Result<(), HostError> {
    lease.keep_blob(digest).await?;
    match stat_blob(lease.containerd(), digest).await? {
        None => Err(HostError::Image(format!("blob {digest} is missing: write the archive again"))),
        Some(info) if u64::try_from(info.size) != Ok(size) => {
            Err(HostError::Image(format!("blob {digest} has {} bytes, it should have {size}", info.size)))
        }
        Some(_) => Ok(()),
    }
}

/// The parts of an archive as they come.
struct Parts(tokio::sync::mpsc::Receiver<Result<Part, String>>);

impl Parts {
    async fn next(&mut self) -> Result<Option<Part>, HostError> {
        self.0.recv().await.transpose().map_err(HostError::Image)
    }

    /// Writes the rest of a file into `ingest`, if there is one. Returns its digest and first bytes.
    async fn copy_file(&mut self, path: &str, mut ingest: Option<&mut Ingest>) -> Result<(String, Vec<u8>), HostError> {
        let mut head = Vec::new();
        loop {
            match self.next().await? {
                Some(Part::Bytes(bytes)) => {
                    if head.is_empty() {
                        head = bytes.iter().copied().take(4).collect();
                    }
                    if let Some(ingest) = &mut ingest {
                        ingest.write(bytes).await?;
                    }
                }
                Some(Part::End { digest }) => return Ok((digest, head)),
                _ => return Err(HostError::Image(format!("it ends early, in {path}: copy it again"))),
            }
        }
    }

    /// The rest of a file.
    async fn whole_file(&mut self) -> Result<Vec<u8>, HostError> {
        let mut whole = Vec::new();
        while let Some(Part::Bytes(bytes)) = self.next().await? {
            whole.extend(bytes);
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_where_their_path_says() {
        let hash = "a".repeat(64);
        assert_eq!(Place::of(&format!("blobs/sha256/{hash}"), 1), Place::Blob(format!("sha256:{hash}")));
        for layer in ["0123/layer.tar", "sha256:0123.tar.gz", "0123.tar.zst"] {
            assert_eq!(Place::of(layer, 1), Place::Layer);
        }
        assert_eq!(Place::of("blobs/layer-1", DOCUMENT_LIMIT + 1), Place::Layer);
        assert_eq!(Place::of("huge.json", DOCUMENT_LIMIT + 1), Place::Document, "which is refused");
        for document in ["index.json", "manifest.json", "blobs/sha256/short", "0123/VERSION"] {
            assert_eq!(Place::of(document, 1), Place::Document);
        }
    }
}
