//! Exporting: images -> content store -> archives, one for each digest. The reverse of importing.
//!
//! Of an image those blobs go that this machine's platform runs, and the indices that lead to them: so its digest stays, and
//! what is for other platforms stays here. The same image under the same names always becomes the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use containerd_client::services::v1::ReadContentRequest;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::tonic::Status;
use containerd_client::types::Descriptor as Target;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::time::timeout;

use super::archive_index::NAME;
use super::content::{find_manifest, stat_blob};
use super::digest::digest_name;
use super::{ContainerdImages, record, reference};
use crate::host::HostError;
use crate::host::containerd::connection::{CALL_DEADLINE, Lease, host_error};

const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BLOCK: usize = 512;

/// An image that goes into an archive: what it is, and all that it is called there.
struct Wanted {
    target: Target,
    names: BTreeSet<String>,
}

impl ContainerdImages {
    /// Writes images of this machine into OCI archives `DIRECTORY/sha256-HEX.tar`, by their digests. Returns the digest of
    /// each reference, as it was given.
    ///
    /// # Errors
    /// [`HostError::Image`] names an image that is not here, or not whole, or that the directory can't take.
    pub async fn export(
        &self,
        references: &BTreeSet<String>,
        directory: &Path,
    ) -> Result<BTreeMap<String, String>, HostError> {
        let lease = self.lease().await?;
        let exported = self.export_under(&lease, references, directory).await;
        lease.settle(exported).await
    }

    async fn export_under(
        &self,
        lease: &Lease,
        references: &BTreeSet<String>,
        directory: &Path,
    ) -> Result<BTreeMap<String, String>, HostError> {
        let mut digests = BTreeMap::new();
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        for text in references {
            let reference = reference::parse(text)?;
            let name = reference.whole();
            let recorded = record::look_up(lease.containerd(), &name).await?.map(|record| record.target);
            let Some(target) = self.stands_for(recorded, &reference).await? else {
                return Err(HostError::Image(format!(
                    "image {name} is not on this machine: deploy a function of it, or import it, and try again"
                )));
            };
            digests.insert(text.clone(), target.digest.clone());
            let entry = wanted.entry(target.digest.clone());
            entry.or_insert_with(|| Wanted { target, names: BTreeSet::new() }).names.insert(name);
        }
        for image in wanted.values() {
            let archive = directory.join(format!("{}.tar", image.target.digest.replace(':', "-")));
            write(lease, image, &archive).await.map_err(|error| match error {
                HostError::Image(why) | HostError::NotFound(why) => {
                    let names = image.names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                    HostError::Image(format!("can't export {names}: {why}"))
                }
                other => other,
            })?;
        }
        Ok(digests)
    }
}

/// Writes an image's archive.
async fn write(lease: &Lease, image: &Wanted, path: &Path) -> Result<(), HostError> {
    let platform = find_manifest(lease.containerd(), &image.target.digest).await?;
    let manifest = &platform.manifest;
    let mut digests = BTreeSet::from([image.target.digest.clone(), platform.digest.clone()]);
    digests.extend(platform.indices.iter().map(|(index, _)| index.clone()));
    let parts = std::iter::once(manifest.config()).chain(manifest.layers());
    digests.extend(parts.map(|part| part.digest().to_string()));

    let mut archive = Archive::make(path).await?;
    archive.file("oci-layout", LAYOUT.as_bytes()).await?;
    archive.file("index.json", index(image).to_string().as_bytes()).await?;
    for digest in &digests {
        lease.keep_blob(digest).await?;
        let missing = || HostError::Image(format!("its blob {digest} is not on this machine: pull or import it again"));
        let size = stat_blob(lease.containerd(), digest).await?.ok_or_else(missing)?.size;
        archive.blob(lease, digest, u64::try_from(size).unwrap_or(0)).await?;
    }
    archive.end().await
}

/// What an archive says that it holds: the image once for each of its names.
fn index(image: &Wanted) -> Value {
    let Target { media_type, digest, size, .. } = &image.target;
    let entry = |name: &String| json!({ "mediaType": media_type, "digest": digest, "size": size, "annotations": { NAME: name } });
    let entries: Vec<Value> = image.names.iter().map(entry).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

/// A tar that is written as its content comes.
struct Archive<'a> {
    path: &'a Path,
    file: BufWriter<File>,
}

impl<'a> Archive<'a> {
    async fn make(path: &'a Path) -> Result<Self, HostError> {
        let file = File::create(path).await.map_err(|error| unwritten(path, &error))?;
        Ok(Self { path, file: BufWriter::new(file) })
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        self.file.write_all(bytes).await.map_err(|error| unwritten(self.path, &error))
    }

    async fn begin(&mut self, name: &str, size: u64) -> Result<(), HostError> {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).map_err(|error| unwritten(self.path, &error))?;
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        self.write(header.as_bytes()).await
    }

    /// Fills a file of this size up to whole blocks.
    async fn pad(&mut self, size: u64) -> Result<(), HostError> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if over > 0 { self.write(&[0; BLOCK][over..]).await } else { Ok(()) }
    }

    async fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), HostError> {
        self.begin(name, bytes.len() as u64).await?;
        self.write(bytes).await?;
        self.pad(bytes.len() as u64).await
    }

    /// A blob of the content store, which is looked at while it is copied: what a disk spoilt does not travel.
    async fn blob(&mut self, lease: &Lease, digest: &str, size: u64) -> Result<(), HostError> {
        self.begin(&format!("blobs/{}", digest.replace(':', "/")), size).await?;
        let what = format!("read blob {digest}");
        let message = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
        let read = async |channel, request| ContentClient::new(channel).read(request).await;
        let mut stream = lease.containerd().call(what.clone(), message).send(read).await?;
        let (mut hash, mut written) = (Sha256::new(), 0);
        loop {
            let next = timeout(CALL_DEADLINE, stream.message()).await;
            let next = next.unwrap_or_else(|_| Err(Status::deadline_exceeded("")));
            let Some(chunk) = next.map_err(|status| host_error(&what, &status))? else { break };
            hash.update(&chunk.data);
            written += chunk.data.len() as u64;
            self.write(&chunk.data).await?;
        }
        let found = digest_name(hash.finalize().as_slice());
        if found != digest || written != size {
            return Err(HostError::Image(format!(
                "its blob {digest} is damaged on this machine: pull or import it again"
            )));
        }
        self.pad(size).await
    }

    async fn end(mut self) -> Result<(), HostError> {
        self.write(&[0; 2 * BLOCK]).await?;
        self.file.flush().await.map_err(|error| unwritten(self.path, &error))
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> HostError {
    HostError::Image(format!("can't write {}: {error}", path.display()))
}
