//! When a registry is asked at all.

use actord::host::PullPolicy::{Always, IfNotPresent, Never};

use crate::Machine;
use crate::registry::{BuiltImage, Compression, Layer, Registry, digest};

fn built() -> BuiltImage {
    let layers = ["one", "two"].map(|name| Layer::new(name, name.as_bytes(), Compression::Gzip));
    BuiltImage::new(layers.to_vec())
}

#[tokio::test]
async fn an_image_that_is_present_needs_no_registry_unless_the_policy_is_always() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built()).await;
    let pinned = format!("{}/fn@{}", registry.address, built().digest());

    let missing = machine.ensure(&reference, Never).await.unwrap_err().to_string();
    assert!(missing.contains(&reference) && missing.contains("Never"), "{missing}");
    let image = machine.ensure(&reference, IfNotPresent).await.unwrap();
    drop(registry);

    for policy in [IfNotPresent, Never] {
        assert_eq!(machine.ensure(&reference, policy).await.unwrap(), image);
        // Content that is here under another name is here.
        assert_eq!(machine.ensure(&pinned, policy).await.unwrap().digest, image.digest);
    }
    let why = machine.ensure(&reference, Always).await.unwrap_err().to_string();
    assert!(why.contains("can't be reached") && why.contains(&reference), "{why}");
    assert_eq!(machine.leftovers(), [""; 0]);
    machine.check_runnable(&image).await;
}

#[tokio::test]
async fn a_snapshot_that_is_missing_is_unpacked_again_without_the_registry() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built()).await;
    let image = machine.pull(&reference).await;
    drop(registry);
    // The topmost first: containerd refuses to remove a parent.
    let resolved =
        actord::host::containerd::images::content::read_image(&machine.containerd, &image.digest).await.unwrap();
    machine.ctr(&["snapshots", "remove", &resolved.chain_id]);
    assert_eq!(machine.ensure(&reference, IfNotPresent).await.unwrap(), image);
    machine.check_runnable(&image).await;
    machine.collect().await;
    machine.check_runnable(&image).await;
    assert_eq!(machine.leftovers(), [""; 0]);
}

#[tokio::test]
async fn an_image_that_lacks_a_part_is_not_present() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let built = built();
    let reference = registry.push("fn", "v1", &built).await;
    let image = machine.pull(&reference).await;
    for part in [&built.config, &built.manifest] {
        // What was read before is not believed to be there still.
        assert_eq!(machine.ensure(&reference, Never).await.unwrap(), image);
        machine.ctr(&["content", "remove", &digest(part)]);
        let why = machine.ensure(&reference, Never).await.unwrap_err().to_string();
        assert!(why.contains("not complete"), "{why}");
        assert_eq!(machine.ensure(&reference, IfNotPresent).await.unwrap(), image);
        machine.check_runnable(&image).await;
    }
    machine.collect().await;
    machine.check_runnable(&image).await;
}

#[tokio::test]
async fn what_is_no_reference_is_refused_without_asking_anybody() {
    let machine = Machine::start();
    for text in ["", "Upper/case", "a b"] {
        let why = machine.refused(text).await;
        assert!(why.contains("image reference"), "{why}");
    }
}
