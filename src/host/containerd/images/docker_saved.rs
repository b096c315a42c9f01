//! What docker saves since 1.10, and many others write: manifest.json names configs and layers by their paths.

use containerd_client::types::Descriptor as Target;
use serde::Deserialize;

use super::archive_contents::{Contents, Wanted, refuse, write_image};
use super::content::read_blob;
use super::digest::sha256;
use super::reference;
use crate::host::HostError;
use crate::host::containerd::connection::Lease;

/// One image in docker's manifest.json.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Reads docker's manifest.json: images with their names, and those that have none.
pub(super) async fn read(
    lease: &Lease,
    contents: &Contents,
    bytes: &[u8],
) -> Result<(Vec<Wanted>, Vec<Target>), HostError> {
    let saved: Vec<Saved> =
        serde_json::from_slice(bytes).map_err(|error| HostError::Image(format!("manifest.json: {error}")))?;
    let (mut wanted, mut nameless) = (Vec::new(), Vec::new());
    for Saved { config, repo_tags, layers } in saved {
        let config = read_config(lease, contents, &config).await?;
        let mut found = Vec::new();
        for path in layers.unwrap_or_default() {
            found.push(contents.layer(lease, &path).await?);
        }
        let target = write_image(lease, &config, &found).await?;
        let names = repo_tags.unwrap_or_default();
        if names.is_empty() {
            nameless.push(target.clone());
        }
        for name in names {
            wanted.push(Wanted { name: reference::parse_name(&name)?.whole(), target: target.clone() });
        }
    }
    Ok((wanted, nameless))
}

async fn read_config(lease: &Lease, contents: &Contents, path: &str) -> Result<Vec<u8>, HostError> {
    let path = contents.resolve(path);
    let path = path.as_str();
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
