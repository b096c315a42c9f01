//! Image archives in the data directory, imported at start: how a machine without any network gets its images.
//!
//! A file that was imported is not read again while it and the images that came from it are unchanged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::host::{Images, PullPolicy};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

/// Remembers what was imported; begins with a dot, so it is no archive.
const MEMORY: &str = ".imported.json";

/// A file that was imported, and what came of it.
#[derive(Debug, Serialize, Deserialize)]
struct Imported {
    bytes: u64,
    modified: u128,
    references: Vec<String>,
}

/// How long functions that need none of the archives are kept waiting for them.
const WAIT: Duration = Duration::from_secs(60);

/// Imports what is new in a directory. An import that takes long goes on by itself until `deadline`, and neither its
/// hanging nor its panic keeps actord from starting.
pub async fn import_before_start(images: Arc<dyn Images>, directory: PathBuf, deadline: Duration) {
    let shown = directory.display().to_string();
    let all = async move { timeout(deadline, import_new(&*images, &directory)).await };
    match timeout(WAIT, tokio::spawn(all)).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(_))) => tracing::error!(directory = shown, "importing was given up: it took too long"),
        Ok(Err(lost)) => tracing::error!(directory = shown, %lost, "importing ended early"),
        Err(_) => tracing::warn!(directory = shown, "still importing; starting meanwhile"),
    }
}

/// Imports every `*.tar`, `*.tar.gz` and `*.tar.zst` of a directory that is not imported yet. An archive that can't be imported is
/// logged and does not keep the others, or actord, from starting.
async fn import_new(images: &dyn Images, directory: &Path) {
    let memory = directory.join(MEMORY);
    let text = std::fs::read_to_string(&memory).unwrap_or_default();
    let mut known: BTreeMap<String, Imported> = serde_json::from_str(&text).unwrap_or_default();
    for archive in archives(directory).unwrap_or_default() {
        let (Some(name), Ok(metadata)) = (archive.file_name(), archive.metadata()) else { continue };
        let name = name.to_string_lossy().into_owned();
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |age| age.as_nanos());
        if let Some(before) = known.get(&name)
            && (before.bytes, before.modified) == (metadata.len(), modified)
            && all_here(images, &before.references).await
        {
            continue;
        }
        tracing::info!(archive = %archive.display(), "importing");
        match images.import(&archive).await {
            Ok(references) => drop(known.insert(name, Imported { bytes: metadata.len(), modified, references })),
            Err(error) => tracing::error!(archive = %archive.display(), %error, "could not be imported"),
        }
    }
    let written = serde_json::to_string_pretty(&known).map_err(std::io::Error::other);
    if let (false, Err(error)) = (known.is_empty(), written.and_then(|text| std::fs::write(&memory, text))) {
        tracing::warn!(file = %memory.display(), %error, "archives will be imported again at the next start");
    }
}

/// The archives of a directory, by name.
pub(super) fn archives(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_archive = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"].iter().any(|end| name.ends_with(end))
    };
    let mut archives: Vec<PathBuf> =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    archives.retain(is_archive);
    archives.sort();
    Ok(archives)
}

async fn all_here(images: &dyn Images, references: &[String]) -> bool {
    for reference in references {
        if images.ensure(reference, PullPolicy::Never).await.is_err() {
            return false;
        }
    }
    true
}
