//! Archives of what is on a machine: another one imports them as they were.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use actord::host::{HostError, Images as _, PullPolicy};
use serde_json::json;

use crate::Machine;
use crate::registry::{BuiltImage, Compression, INDEX, Layer, OTHER_ARCHITECTURE, architecture, digest, noise};
use crate::shelf::Shelf;

fn image(content: &[u8]) -> BuiltImage {
    BuiltImage::new(vec![
        Layer::new("base", &noise(1, 3 << 20), Compression::Gzip),
        Layer::new("hello", content, Compression::None),
    ])
}

/// A registry with `fn:v1`, which is an index with two platforms, and the digest of that.
fn multi(ours: &BuiltImage) -> (Shelf, String) {
    let other = BuiltImage::for_architecture(OTHER_ARCHITECTURE, vec![Layer::new("x", b"x", Compression::Gzip)]);
    let entries = [other.entry(OTHER_ARCHITECTURE), ours.entry(architecture())];
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    let mut shelf = Shelf::default();
    shelf.add_image(ours);
    shelf.add_image(&other);
    shelf.add_manifest("v1", INDEX, index.as_bytes());
    (shelf, digest(index.as_bytes()))
}

impl Machine {
    /// What comes of exporting these into a directory of this name.
    async fn export(&self, references: &[&str], into: &str) -> Result<Vec<(String, String)>, HostError> {
        let references: BTreeSet<String> = references.iter().map(|name| (*name).to_owned()).collect();
        let directory = self.daemon.directory().join(into);
        fs::create_dir(&directory).unwrap();
        let exported = self.images.export(&references, &directory).await;
        assert_eq!(self.leftovers(), [""; 0]);
        Ok(exported?.into_iter().collect())
    }

    fn archive(&self, into: &str, digest: &str) -> std::path::PathBuf {
        self.daemon.directory().join(into).join(format!("{}.tar", digest.replace(':', "-")))
    }
}

fn blobs(archive: &Path) -> usize {
    let mut tar = tar::Archive::new(fs::File::open(archive).unwrap());
    let names = tar.entries().unwrap().map(|file| file.unwrap().path().unwrap().display().to_string());
    names.filter(|name| name.starts_with("blobs/sha256/")).count()
}

#[tokio::test]
async fn what_is_exported_is_imported_elsewhere_under_the_same_names_and_digests() {
    let (here, there) = (Machine::start(), Machine::start());
    let ours = image(b"ours");
    let (shelf, digest) = multi(&ours);
    let registry = shelf.serve(|_, _| None);
    let tagged = format!("{}/fn:v1", registry.address);
    let exact = format!("{}/fn@{digest}", registry.address);
    for reference in [&tagged, &exact] {
        here.pull(reference).await;
    }
    let exported = here.export(&[&tagged, &exact], "one").await.unwrap();
    let expected = BTreeSet::from([(tagged.clone(), digest.clone()), (exact.clone(), digest.clone())]);
    assert_eq!(exported.into_iter().collect::<BTreeSet<_>>(), expected);
    let archive = here.archive("one", &digest);
    // The index, and this platform's manifest, config and two layers.
    assert_eq!(blobs(&archive), 5);
    here.collect().await;
    here.export(&[&exact, &tagged], "again").await.unwrap();
    assert!(fs::read(&archive).unwrap() == fs::read(here.archive("again", &digest)).unwrap(), "the same bytes");

    let mut names = there.images.import(&archive).await.unwrap();
    names.sort();
    let mut both = [tagged.clone(), exact.clone()];
    both.sort();
    assert_eq!(names, both);
    there.collect().await;
    for reference in [&tagged, &exact] {
        let image = there.ensure(reference, PullPolicy::Never).await.unwrap();
        assert_eq!(image.digest, ours.digest());
        there.check_runnable(&image).await;
    }
    assert_eq!(there.leftovers(), [""; 0]);
}

#[tokio::test]
async fn what_is_not_here_or_not_whole_is_named_and_not_exported() {
    let machine = Machine::start();
    let ours = image(b"ours");
    let registry = Shelf::of(&ours).serve(|_, _| None);
    let reference = format!("{}/fn:v1", registry.address);
    let refused = |exported: Result<Vec<(String, String)>, HostError>| match exported {
        Err(HostError::Image(why)) => why,
        other => panic!("{other:?}"),
    };
    let why = refused(machine.export(&[&reference], "none").await);
    assert!(why.contains(&reference) && why.contains("not on this machine"), "{why}");

    machine.pull(&reference).await;
    let layer = digest(&ours.layers[1].bytes);
    machine.ctr(&["content", "rm", &layer]);
    let why = refused(machine.export(&[&reference], "torn").await);
    assert!(why.contains(&reference) && why.contains(&layer) && why.contains("pull or import it again"), "{why}");
}
