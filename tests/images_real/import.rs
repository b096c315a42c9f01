//! Archives: both kinds, and those that mean no good.

use std::path::{Path, PathBuf};

use actord::host::{HostError, Images as _, PullPolicy};
use serde_json::json;

use crate::Machine;
use crate::registry::{BuiltImage, Compression, INDEX, Layer, OTHER_ARCHITECTURE, digest, gzip, noise};

/// The files of an archive, in its order.
type Files = Vec<(String, Vec<u8>)>;

fn blob(bytes: &[u8]) -> (String, Vec<u8>) {
    (format!("blobs/{}", digest(bytes).replace(':', "/")), bytes.to_vec())
}

fn layout() -> (String, Vec<u8>) {
    ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())
}

/// The files of an OCI archive with these images, each with its name.
fn oci(images: &[(&BuiltImage, &str)]) -> Files {
    let entries: Vec<_> = images
        .iter()
        .map(|(image, name)| {
            let mut entry = image.entry(crate::registry::architecture());
            entry["annotations"] = json!({ "io.containerd.image.name": name });
            entry
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    let mut files = vec![layout(), ("index.json".to_owned(), index.into_bytes())];
    for (image, _) in images {
        files.extend([blob(&image.manifest), blob(&image.config)]);
        files.extend(image.layers.iter().map(|layer| blob(&layer.bytes)));
    }
    files
}

/// The files that `docker save` wrote for years.
fn docker(image: &BuiltImage, names: &[&str]) -> Files {
    let config = format!("{}.json", digest(&image.config).trim_start_matches("sha256:"));
    let mut files = vec![(config.clone(), image.config.clone())];
    let mut layers = Vec::new();
    for (at, layer) in image.layers.iter().enumerate() {
        let path = format!("{at:064}/layer.tar");
        files.push((format!("{at:064}/VERSION"), b"1.0".to_vec()));
        files.push((path.clone(), layer.bytes.clone()));
        layers.push(path);
    }
    let manifest = json!([{ "Config": config, "RepoTags": names, "Layers": layers }]).to_string();
    files.push(("manifest.json".to_owned(), manifest.into_bytes()));
    files
}

fn tar(files: &Files) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // By hand, so that it may be a path that the library would refuse.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

impl Machine {
    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.daemon.directory().join("archive.tar");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn import(&self, bytes: &[u8]) -> Vec<String> {
        let names = self.images.import(&self.write(bytes)).await.unwrap();
        assert_eq!(self.leftovers(), [""; 0]);
        names
    }

    /// Checks that an archive is refused for a reason with these words, and nothing of it is left.
    pub(crate) async fn import_refused(&self, path: &Path, words: &str) {
        match self.images.import(path).await {
            Err(HostError::Image(why)) => {
                assert!(why.contains(words) && why.contains(path.to_str().unwrap()), "{words:?} is not in {why:?}");
            }
            other => panic!("{words:?}: {other:?}"),
        }
        self.check_empty();
    }
}

fn built(content: &[u8]) -> BuiltImage {
    BuiltImage::new(vec![
        Layer::new("base", &noise(1, 700 << 10), Compression::Gzip),
        Layer::new("hello", content, Compression::None),
    ])
}

#[tokio::test]
async fn an_oci_archive_is_imported_with_its_names_normalised() {
    let machine = Machine::start();
    let (one, two) = (built(b"one"), built(b"two"));
    let archive = tar(&oci(&[(&one, "me/one"), (&two, "ghcr.io/me/two:v2")]));
    for bytes in [archive.clone(), gzip(&archive)] {
        let mut names = machine.import(&bytes).await;
        names.sort();
        assert_eq!(names, ["docker.io/me/one:latest", "ghcr.io/me/two:v2"]);
        for (name, built) in [("me/one", &one), ("ghcr.io/me/two:v2", &two)] {
            let image = machine.ensure(name, PullPolicy::Never).await.unwrap();
            assert_eq!(image.digest, built.digest());
            machine.collect().await;
            machine.check_runnable(&image).await;
            machine.ctr(&["images", "remove", "--sync", &image.reference]);
        }
        machine.check_empty();
    }
}

#[tokio::test]
async fn a_docker_archive_is_imported_plain_and_gzipped() {
    let machine = Machine::start();
    let built = built(b"docker");
    let archive = tar(&docker(&built, &["fn:1", "me/fn:latest"]));
    for bytes in [archive.clone(), gzip(&archive)] {
        assert_eq!(machine.import(&bytes).await, ["docker.io/library/fn:1", "docker.io/me/fn:latest"]);
        machine.collect().await;
        let image = machine.ensure("fn:1", PullPolicy::IfNotPresent).await.unwrap();
        machine.check_runnable(&image).await;
        assert_eq!(machine.unpacked("hello"), [b"docker"]);
    }
}

#[tokio::test]
async fn of_an_archive_for_many_platforms_this_one_is_imported() {
    let machine = Machine::start();
    let ours = built(b"ours");
    let other = BuiltImage::for_architecture(OTHER_ARCHITECTURE, vec![Layer::new("x", b"x", Compression::Gzip)]);
    let entries = [other.entry(OTHER_ARCHITECTURE), ours.entry(crate::registry::architecture())];
    let inner = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string().into_bytes();
    let entry = json!({ "mediaType": INDEX, "digest": digest(&inner), "size": inner.len(),
        "annotations": { "org.opencontainers.image.ref.name": "multi:v1" } });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().into_bytes();
    let mut files = oci(&[(&ours, "unused"), (&other, "unused")]);
    files[1].1 = index;
    files.push(blob(&inner));
    assert_eq!(machine.import(&tar(&files)).await, ["docker.io/library/multi:v1"]);
    let image = machine.ensure("multi:v1", PullPolicy::Never).await.unwrap();
    assert_eq!(image.digest, ours.digest());
    machine.collect().await;
    machine.check_runnable(&image).await;
}

#[tokio::test]
async fn a_layer_that_an_archive_holds_as_a_link_is_found() {
    let machine = Machine::start();
    let layer = Layer::new("twice", b"twice", Compression::None);
    let built = BuiltImage::new(vec![layer.clone(), layer]);
    let mut files = docker(&built, &["twice:v1"]);
    files.retain(|(path, _)| *path != format!("{:064}/layer.tar", 1));
    let mut bytes = tar(&files);
    // Before the two empty blocks at the end.
    bytes.truncate(bytes.len() - 1024);
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    let (path, target) = (format!("{:064}/layer.tar", 1), format!("../{:064}/layer.tar", 0));
    link.append_link(&mut header, path, target).unwrap();
    bytes.extend(link.into_inner().unwrap());
    assert_eq!(machine.import(&bytes).await, ["docker.io/library/twice:v1"]);
    machine.check_runnable(&machine.ensure("twice:v1", PullPolicy::Never).await.unwrap()).await;
}

#[tokio::test]
async fn an_archive_that_is_imported_twice_changes_nothing() {
    let machine = Machine::start();
    let archive = tar(&oci(&[(&built(b"same"), "same:v1")]));
    machine.import(&archive).await;
    let before = (machine.lines(&["content", "list", "-q"]), machine.snapshots());
    let kept = machine.images.kept().await.unwrap();
    assert!(kept.0 == 1 && kept.1 > 0, "{kept:?}");
    machine.import(&archive).await;
    assert_eq!(machine.images.kept().await.unwrap(), kept);
    assert_eq!((machine.lines(&["content", "list", "-q"]), machine.snapshots()), before);
}

#[tokio::test]
async fn hostile_archives_are_refused_and_leave_nothing() {
    let machine = Machine::start();
    let good = built(b"good");
    let files = oci(&[(&good, "good:v1")]);
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        machine.write(&tar(&files))
    };

    for path in ["../../escape", "/etc/escape", "blobs/../../escape"] {
        let archive = with(&|files| files.push((path.to_owned(), b"evil".to_vec())));
        machine.import_refused(&archive, "points outside").await;
    }
    let missing = with(&|files| drop(files.pop()));
    machine.import_refused(&missing, "is missing").await;
    let changed = with(&|files| files.last_mut().unwrap().1[5] ^= 1);
    machine.import_refused(&changed, "digest mismatch").await;
    let unnamed = with(&|files| files[1].1 = json!({ "schemaVersion": 2, "manifests": [] }).to_string().into_bytes());
    machine.import_refused(&unnamed, "has a name").await;
    let garbage = with(&|files| files[1].1 = b"{{{{".to_vec());
    machine.import_refused(&garbage, "index.json").await;
    let huge = with(&|files| files.push(("huge.json".to_owned(), vec![b' '; 5 << 20])));
    machine.import_refused(&huge, "no image archive").await;
    let lying =
        BuiltImage::with_diff_ids(crate::registry::architecture(), good.layers.clone(), &[digest(b"1"), digest(b"2")]);
    machine.import_refused(&machine.write(&tar(&oci(&[(&lying, "lying:v1")]))), "holds").await;
    // One bad image spoils the archive: nothing of the good one stays.
    let mixed = machine.write(&tar(&oci(&[(&good, "a:v1"), (&lying, "z:v1")])));
    machine.import_refused(&mixed, "holds").await;
}

#[tokio::test]
async fn archives_that_end_early_or_are_none_are_refused_and_leave_nothing() {
    let machine = Machine::start();
    let archive = tar(&oci(&[(&built(b"good"), "good:v1")]));
    for bytes in [archive[..archive.len() / 2].to_vec(), gzip(&archive)[..200 << 10].to_vec()] {
        machine.import_refused(&machine.write(&bytes), "ends early").await;
    }
    machine.import_refused(&machine.write(b""), "empty").await;
    for bytes in [noise(5, 5000), b"junk".repeat(1000), b"PK\x03\x04".repeat(300), gzip(&b"junk".repeat(1000))] {
        machine.import_refused(&machine.write(&bytes), "it is no tar archive").await;
    }
    machine.import_refused(&machine.write(&tar(&vec![("x".to_owned(), vec![1])])), "no image archive").await;
    machine.import_refused(machine.daemon.directory(), "not a regular file").await;
    machine.import_refused(Path::new("/nonexistent.tar"), "No such file").await;
    let zstd = machine.write(&[&[0x28, 0xb5, 0x2f, 0xfd][..], &noise(6, 100)].concat());
    machine.import_refused(&zstd, "zstd").await;
}
