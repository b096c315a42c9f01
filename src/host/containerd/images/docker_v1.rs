//! What docker saved before 1.10: `repositories` names the topmost layer of each image, every layer has a directory with
//! its `layer.tar` and a `json` that names the layer below. The config that later formats have is made of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::archive_contents::{Contents, Stored, Wanted, refuse, write_image};
use super::reference;
use crate::host::HostError;
use crate::host::containerd::connection::Lease;

/// More layers than docker ever allowed.
const MOST_LAYERS: usize = 256;

/// Reads the images that `repositories` names.
///
/// # Errors
/// [`HostError::Image`] says what is missing.
pub(super) async fn read(lease: &Lease, contents: &Contents, bytes: &[u8]) -> Result<Vec<Wanted>, HostError> {
    let repositories: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_slice(bytes).map_err(|error| HostError::Image(format!("repositories: {error}")))?;
    let mut wanted = Vec::new();
    for (repository, tags) in repositories {
        for (tag, id) in tags {
            let name = reference::parse_name(&format!("{repository}:{tag}"))?.whole();
            let chain = chain(contents, &id)?;
            let mut layers = Vec::new();
            for (id, _) in chain.iter().rev() {
                layers.push(plain(contents.layer(lease, &format!("{id}/layer.tar")).await?, id)?);
            }
            let top = chain.first().map_or(&Value::Null, |(_, json)| json);
            let config = config(top, &layers).to_string();
            wanted.push(Wanted { name, target: write_image(lease, config.as_bytes(), &layers).await? });
        }
    }
    if wanted.is_empty() {
        return refuse("its repositories name no image: save it by name");
    }
    Ok(wanted)
}

/// The layers from this one down, with what is said of each.
fn chain(contents: &Contents, id: &str) -> Result<Vec<(String, Value)>, HostError> {
    let mut chain = Vec::new();
    let mut next = Some(id.to_owned());
    while let Some(id) = next {
        if chain.len() >= MOST_LAYERS {
            return refuse(&format!("it has more than {MOST_LAYERS} layers, or they go in a circle"));
        }
        let path = format!("{id}/json");
        let Some(bytes) = contents.document(&path) else {
            return refuse(&format!("{path} is missing: write the archive again"));
        };
        let json: Value =
            serde_json::from_slice(bytes).map_err(|error| HostError::Image(format!("{path}: {error}")))?;
        next = json.get("parent").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
        chain.push((id, json));
    }
    Ok(chain)
}

/// A layer whose digest is its diff id, too.
fn plain(layer: Stored, id: &str) -> Result<Stored, HostError> {
    match layer.compression() {
        "" => Ok(layer),
        _ => refuse(&format!(
            "its layer {id}/layer.tar is compressed, which this old format does not know: save it anew"
        )),
    }
}

/// What a config of today says, from what the topmost layer's `json` does.
fn config(top: &Value, layers: &[Stored]) -> Value {
    let text = |key: &str, usual: &str| top.get(key).and_then(Value::as_str).unwrap_or(usual).to_owned();
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    json!({
        "architecture": text("architecture", "amd64"),
        "os": text("os", "linux"),
        "config": top.get("config").filter(|config| config.is_object()).cloned().unwrap_or_else(|| json!({})),
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
}
