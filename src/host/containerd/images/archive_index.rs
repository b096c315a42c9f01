//! What images an archive holds: what its index says -> names and what they stand for.
//!
//! ```text
//! index.json      OCI (buildkit, skopeo, podman, crane, docker since 25), often with docker's beside it
//! manifest.json   docker save since 1.10, podman, crane, kaniko, bazel, jib, nix ...
//! repositories    docker save before that: a directory for each layer
//! ```
//! The first of them that names an image is taken. An image that none of them names is called after the archive's file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use containerd_client::types::Descriptor as Target;
use oci_spec::image::{Descriptor, ImageIndex};

use super::archive_contents::{Contents, Wanted, refuse};
use super::manifest::{self, Document};
use super::platform::Platform;
use super::{docker_saved, docker_v1, reference};
use crate::host::HostError;
use crate::host::containerd::connection::Lease;

/// The annotations that name an image, the better one first.
pub(super) const NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What images are called that have no name in their archive: `localhost/`, and the archive's file name.
#[derive(Debug, Clone)]
pub(crate) struct Nameless(String);

impl Nameless {
    /// The names for an archive's images: of `Hello fn.tar.gz` it is `localhost/hello-fn`.
    pub(crate) fn of(archive: &Path) -> Self {
        let file = archive.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let ends = [".gz", ".zst", ".tgz", ".tzst", ".tar", ".oci", ".docker"];
        let stem = ends.iter().fold(file.as_str(), |stem, end| stem.strip_suffix(end).unwrap_or(stem));
        let words: Vec<_> = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let words = if words.is_empty() { "image".to_owned() } else { words.join("-") };
        Self(format!("localhost/{words}"))
    }

    fn tagged(&self, tag: &str) -> String {
        format!("{}:{tag}", self.0)
    }

    /// Names for images none of which has one: the only one is the latest, several are told apart by their digests.
    fn name(&self, targets: Vec<Target>) -> Vec<Wanted> {
        let single = targets.len() == 1;
        let name = |target: &Target| match single {
            true => self.tagged("latest"),
            false => format!("{}@{}", self.0, target.digest),
        };
        targets.into_iter().map(|target| Wanted { name: name(&target), target }).collect()
    }
}

/// Reads which images an archive holds.
///
/// # Errors
/// [`HostError::Image`] when it holds none.
pub(crate) async fn read(lease: &Lease, contents: &Contents, nameless: &Nameless) -> Result<Vec<Wanted>, HostError> {
    let (index, saved) = (contents.document("index.json"), contents.document("manifest.json"));
    // Without its mark, an index is taken only if there is nothing else.
    let index = index.filter(|_| contents.document("oci-layout").is_some() || saved.is_none());
    // Newer docker writes several of them; the index says most.
    let mut without_name = Vec::new();
    let mut bare_tag = None;
    if let Some(bytes) = index {
        let found = read_index(bytes, nameless)?;
        match found.named {
            named if named.is_empty() => (without_name, bare_tag) = (found.nameless, Some(found.tagged)),
            named => return Ok(named),
        }
    }
    if let Some(bytes) = saved {
        let (named, others) = docker_saved::read(lease, contents, bytes).await?;
        if !named.is_empty() {
            return Ok(named);
        }
        if without_name.is_empty() {
            without_name = others;
        }
    }
    if let Some(tagged) = bare_tag.filter(|tagged| !tagged.is_empty()) {
        return Ok(tagged);
    }
    if let (Some(bytes), None, None) = (contents.document("repositories"), index, saved) {
        return docker_v1::read(lease, contents, bytes).await;
    }
    if without_name.is_empty() {
        return match (index, saved) {
            (None, None) => {
                refuse("it has neither index.json nor manifest.json nor repositories: it is no image archive")
            }
            _ => refuse(&format!("it holds no image that has a name (annotation {NAME}) or could be given one")),
        };
    }
    Ok(nameless.name(without_name))
}

/// What an index.json holds.
#[derive(Debug, Default)]
struct Listed {
    /// Images with a name.
    named: Vec<Wanted>,
    /// Images of which only a tag is known.
    tagged: Vec<Wanted>,
    /// Images without either.
    nameless: Vec<Target>,
}

fn read_index(bytes: &[u8], nameless: &Nameless) -> Result<Listed, HostError> {
    let index = match manifest::parse(bytes) {
        Ok(Document::Index(index)) => *index,
        Ok(Document::Manifest(_)) => return refuse("index.json is a manifest"),
        Err(why) => return refuse(&format!("index.json: {why}")),
    };
    let mut named: BTreeMap<String, Vec<Descriptor>> = BTreeMap::new();
    let (mut tagged, mut others) = (named.clone(), Vec::new());
    for entry in index.manifests() {
        let annotations = entry.annotations().as_ref();
        let annotation = |key: &str| annotations.and_then(|all| all.get(key)).filter(|text| !text.is_empty());
        let entry = entry.clone();
        match annotation(NAME).or_else(|| annotation(REF_NAME)) {
            // skopeo and crane write a tag alone.
            Some(tag) if !tag.contains(['/', ':', '@']) => {
                let name = reference::parse_name(&nameless.tagged(tag))?.whole();
                tagged.entry(name).or_default().push(entry);
            }
            Some(name) => named.entry(reference::parse_name(name)?.whole()).or_default().push(entry),
            None => others.push(entry),
        }
    }
    let wanted = |entries: BTreeMap<String, Vec<Descriptor>>| {
        entries.into_iter().map(|(name, entries)| one_of(&index, name, &entries)).collect::<Result<Vec<_>, _>>()
    };
    Ok(Listed { named: wanted(named)?, tagged: wanted(tagged)?, nameless: without_names(&index, &others)? })
}

/// Entries without a name: the platforms of one image, else images of their own. What is for no platform is no image:
/// attestations say so.
fn without_names(index: &ImageIndex, entries: &[Descriptor]) -> Result<Vec<Target>, HostError> {
    let platform = |entry: &Descriptor| {
        let platform = entry.platform().as_ref()?;
        Some(format!("{}/{}/{:?}", platform.os(), platform.architecture(), platform.variant()))
    };
    let is_image = |entry: &&Descriptor| platform(entry).is_none_or(|platform| !platform.starts_with("unknown/"));
    let images: Vec<Descriptor> = entries.iter().filter(is_image).cloned().collect();
    let platforms: BTreeSet<_> = images.iter().filter_map(platform).collect();
    if images.len() > 1 && platforms.len() == images.len() {
        return Ok(vec![one_of(index, "without a name".to_owned(), &images)?.target]);
    }
    Ok(images.iter().map(target).collect())
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
    Ok(Wanted { name, target: target(&entry) })
}

fn target(entry: &Descriptor) -> Target {
    Target {
        media_type: entry.media_type().to_string(),
        digest: entry.digest().to_string(),
        size: i64::try_from(entry.size()).unwrap_or(i64::MAX),
        ..Target::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

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
        let listed = read_index(&index(&entries), &nameless()).unwrap();
        assert_eq!(names(&listed.named), ["docker.io/library/other:2", "docker.io/me/fn:1"]);
    }

    fn nameless() -> Nameless {
        Nameless::of(Path::new("/x/My fn.tar.gz"))
    }

    fn names(wanted: &[Wanted]) -> Vec<&str> {
        wanted.iter().map(|wanted| wanted.name.as_str()).collect()
    }

    #[test]
    fn a_bare_tag_is_one_of_a_name_made_from_the_file() {
        let listed =
            read_index(&index(&json!([entry(REF_NAME, "latest"), entry(REF_NAME, "v1")])), &nameless()).unwrap();
        assert_eq!(names(&listed.tagged), ["localhost/my-fn:latest", "localhost/my-fn:v1"]);
    }

    #[test]
    fn an_image_without_a_name_is_called_after_its_file() {
        for (file, name) in [
            ("hello.tar", "localhost/hello"),
            ("/a/b/Hello World_1.2.tar.gz", "localhost/hello-world-1-2"),
            ("fn.oci.tar.zst", "localhost/fn"),
            ("fn.tgz", "localhost/fn"),
            ("...tar", "localhost/image"),
            ("\u{fc}\u{fc}.tar", "localhost/image"),
        ] {
            assert_eq!(Nameless::of(Path::new(file)).0, name, "{file}");
            reference::parse(name).unwrap();
        }
        let bare = json!({ "mediaType": MANIFEST, "digest": format!("sha256:{:064}", 7), "size": 7 });
        let named = |entries: &serde_json::Value| {
            let wanted = nameless().name(read_index(&index(entries), &nameless()).unwrap().nameless);
            wanted.into_iter().map(|wanted| wanted.name).collect::<Vec<_>>()
        };
        assert_eq!(named(&json!([bare])), ["localhost/my-fn:latest"]);
        let digest = format!("localhost/my-fn@sha256:{:064}", 7);
        assert_eq!(named(&json!([bare, bare])), [digest.clone(), digest], "two images, told apart");
    }
}
