//! What can be pulled, and what is there afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;

use actord::host::{HostError, PullPolicy};
use serde_json::json;

use crate::Machine;
use crate::proxy::{Act, Proxy};
use crate::registry::{
    BuiltImage, Compression, INDEX, Layer, OTHER_ARCHITECTURE, Registry, architecture, digest, noise,
};

fn small() -> BuiltImage {
    BuiltImage::new(vec![Layer::new("hello", b"hello", Compression::Gzip)])
}

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_by_digest() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let built = small();
    let tagged = registry.push("me/fn", "v1", &built).await;

    let image = machine.pull(&tagged).await;
    assert_eq!((image.reference.as_str(), image.digest.clone()), (tagged.as_str(), built.digest()));
    machine.check_runnable(&image).await;
    assert_eq!(machine.unpacked("hello"), [b"hello"]);

    for name in ["", ":v1"] {
        let by_digest = format!("{}/me/fn{name}@{}", registry.address, built.digest());
        let image = machine.pull(&by_digest).await;
        assert_eq!((&image.reference, image.digest.clone()), (&by_digest, built.digest()));
        machine.check_runnable(&image).await;
    }
    assert_eq!(machine.leftovers(), [""; 0]);
}

#[tokio::test]
async fn layers_may_be_plain_gzipped_or_zstd() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let content = noise(1, 300 << 10);
    let built = BuiltImage::new(vec![
        Layer::new("plain", &content, Compression::None),
        Layer::new("gzip", &content, Compression::Gzip),
        Layer::new("zstd", &content, Compression::Zstd),
    ]);
    let image = machine.pull(&registry.push("kinds", "latest", &built).await).await;
    machine.check_runnable(&image).await;
    for file in ["plain", "gzip", "zstd"] {
        assert!(machine.unpacked(file) == [content.as_slice()], "{file}");
    }
    assert_eq!(machine.snapshots().len(), 3);
}

#[tokio::test]
async fn of_an_index_only_this_platform_is_fetched() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let ours = small();
    let other = BuiltImage::for_architecture(OTHER_ARCHITECTURE, vec![Layer::new("other", b"?", Compression::Gzip)]);
    for image in [&ours, &other] {
        registry.push("multi", "parts", image).await;
    }
    let entries = [other.entry(OTHER_ARCHITECTURE), ours.entry(architecture())];
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    registry.push_manifest("multi", "latest", INDEX, index.as_bytes()).await;

    let image = machine.pull(&format!("{}/multi", registry.address)).await;
    assert_eq!(image.digest, ours.digest());
    assert_eq!(image.reference, format!("{}/multi:latest", registry.address));
    machine.check_runnable(&image).await;
    let mut blobs = machine.lines(&["content", "list", "-q"]);
    blobs.sort();
    let mut expected =
        [digest(index.as_bytes()), ours.digest(), digest(&ours.config), digest(&ours.layers[0].bytes)].to_vec();
    expected.sort();
    assert_eq!(blobs, expected);
    machine.collect().await;
    machine.check_runnable(&image).await;

    let by_index = format!("{}/multi@{}", registry.address, digest(index.as_bytes()));
    assert_eq!(machine.pull(&by_index).await.digest, ours.digest());
}

#[tokio::test]
async fn an_image_for_another_platform_is_refused_before_its_layers_are_fetched() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let other = BuiltImage::for_architecture(OTHER_ARCHITECTURE, vec![Layer::new("other", b"?", Compression::Gzip)]);
    let why = machine.refused(&registry.push("other", "v1", &other).await).await;
    assert!(why.contains(&format!("linux/{OTHER_ARCHITECTURE}")), "{why}");
    machine.check_empty();
}

#[tokio::test]
async fn garbage_collection_keeps_pulled_images_and_takes_them_when_they_are_deleted() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let layers = (0_u8..3).map(|at| Layer::new(&format!("file{at}"), &[at; 100], Compression::Gzip)).collect();
    let reference = registry.push("kept", "v1", &BuiltImage::new(layers)).await;
    let image = machine.pull(&reference).await;
    let blobs = machine.lines(&["content", "list", "-q"]);
    machine.collect().await;
    assert_eq!(machine.lines(&["content", "list", "-q"]), blobs);
    assert_eq!(blobs.len(), 5);
    machine.check_runnable(&image).await;

    machine.ctr(&["images", "remove", "--sync", &reference]);
    machine.check_empty();
}

#[tokio::test]
async fn a_tag_that_moved_is_followed_and_the_old_content_goes() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let (old, new) = (small(), BuiltImage::new(vec![Layer::new("hello", b"new", Compression::Gzip)]));
    let reference = registry.push("moving", "v1", &old).await;
    assert_eq!(machine.pull(&reference).await.digest, old.digest());
    registry.push("moving", "v1", &new).await;
    assert_eq!(machine.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap().digest, old.digest());
    let image = machine.pull(&reference).await;
    assert_eq!(image.digest, new.digest());
    machine.collect().await;
    machine.check_runnable(&image).await;
    assert_eq!(machine.unpacked("hello"), [b"new"]);
}

#[tokio::test]
async fn images_that_share_layers_are_pulled_at_once() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let shared = [1, 2].map(|seed| Layer::new("base", &noise(seed, 500 << 10), Compression::Gzip));
    let mut references = Vec::new();
    for at in 0..6_u8 {
        let mut layers = shared.to_vec();
        layers.push(Layer::new("own", &[at], Compression::Gzip));
        references.push(registry.push(&format!("fn{at}"), "v1", &BuiltImage::new(layers)).await);
    }
    let pulls = references.iter().map(|reference| machine.pull(reference));
    let images = futures_util::future::join_all(pulls).await;
    machine.collect().await;
    for image in &images {
        machine.check_runnable(image).await;
    }
    assert_eq!(machine.snapshots().len(), 2 + 6);
    assert_eq!(machine.leftovers(), [""; 0]);
}

#[tokio::test]
async fn what_is_made_says_whose_it_is() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let built = small();
    let reference = registry.push("mine", "v1", &built).await;
    machine.pull(&reference).await;
    let records = machine.ctr(&["images", "list", &format!("name=={reference}")]);
    assert!(records.contains("actord.dev/owner=test-host"), "{records}");
    let snapshot = machine.ctr(&["snapshots", "info", &machine.snapshots()[0]]);
    assert!(snapshot.contains("actord.dev/owner"), "{snapshot}");
    let blobs = machine.ctr(&["content", "list"]);
    assert!(blobs.contains(&format!("containerd.io/distribution.source.{}=mine", registry.address)), "{blobs}");
    assert!(blobs.contains(&format!("containerd.io/uncompressed={}", built.layers[0].diff_id)), "{blobs}");
}

#[tokio::test]
async fn an_image_that_does_not_fit_on_the_disk_is_refused_before_a_layer_is_fetched() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let layer = Layer::new("big", &noise(3, 2 << 20), Compression::None);
    let blob = digest(&layer.bytes);
    registry.push("big", "v1", &BuiltImage::new(vec![layer])).await;
    let proxy = Proxy::start(&registry.address, |_, _| Act::Pass);
    let reference = format!("{}/big:v1", proxy.address);
    let small = Small::mount(&machine.daemon.directory().join("small"), "4M");
    let machine = machine.with(|options| options.root = Some(small.0.clone()));
    let refused = machine.ensure(&reference, PullPolicy::Always).await.unwrap_err();
    let HostError::Full(words) = &refused else { panic!("{refused:?}") };
    for part in [reference.as_str(), small.0.to_str().unwrap(), "4 MiB are free"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(proxy.requests_for(&blob).len(), 0, "its layer was asked for");
    machine.check_empty();
    drop(small);
    let machine = machine.with(|options| options.root = Some(options.docker_config.ancestors().nth(2).unwrap().into()));
    machine.check_runnable(&machine.pull(&reference).await).await;
}

/// A small disk in memory.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status().unwrap();
        assert!(mount.success());
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
