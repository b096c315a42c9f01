//! What is noted of images that no function needs, and how they go. When that is decided: `tests/lifecycle/images.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use actord::host::PullPolicy::{IfNotPresent, Never};
use actord::host::{Images as _, PulledImage};

use crate::Machine;
use crate::registry::{BuiltImage, Compression, Layer, Registry};

const HOUR: Duration = Duration::from_secs(3600);

fn built(name: &str) -> BuiltImage {
    BuiltImage::new(vec![Layer::new(name, name.as_bytes(), Compression::Gzip)])
}

impl Machine {
    /// What was pulled, by name, where these are needed.
    async fn pulled(&self, needed: &[&str]) -> Vec<PulledImage> {
        let needed: BTreeSet<String> = needed.iter().map(|text| (*text).to_owned()).collect();
        let mut pulled = self.images.pulled(&needed).await.unwrap();
        pulled.sort_by(|one, other| one.name.cmp(&other.name));
        pulled
    }

    /// The only one, which is not needed.
    async fn only(&self) -> PulledImage {
        let mut pulled = self.pulled(&[]).await;
        assert_eq!(pulled.len(), 1, "{pulled:?}");
        pulled.remove(0)
    }
}

#[tokio::test]
async fn an_image_that_is_removed_takes_its_content_along_and_can_come_again() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let needed = registry.push("needed", "v1", &built("needed")).await;
    let unneeded = registry.push("unneeded", "v1", &built("unneeded")).await;
    let image = machine.pull(&needed).await;
    machine.pull(&unneeded).await;
    let pulled = machine.pulled(&[&needed]).await;
    assert_eq!(
        pulled.iter().map(|image| (image.name.as_str(), image.needed, image.unneeded)).collect::<Vec<_>>(),
        [(needed.as_str(), true, None), (unneeded.as_str(), false, None)]
    );

    for wait in [false, true] {
        let blobs = machine.lines(&["content", "list", "-q"]).len();
        let known = machine.pulled(&[&needed]).await.remove(1);
        assert!(machine.images.remove(&known, wait).await.unwrap());
        assert!(!machine.images.remove(&known, wait).await.unwrap(), "it is gone already");
        if wait {
            assert_eq!(machine.lines(&["content", "list", "-q"]).len(), blobs - 3, "a manifest, a config and a layer");
        }
        machine.collect().await;
        assert_eq!(machine.lines(&["images", "list", "-q"]), std::slice::from_ref(&needed));
        assert_eq!(machine.lines(&["content", "list", "-q"]).len(), 3);
        assert_eq!(machine.snapshots().len(), 1);
        machine.check_runnable(&image).await;
        machine.pull(&unneeded).await;
    }
}

#[tokio::test]
async fn what_is_noted_is_told_until_the_image_is_taken_and_then_it_is_not_removed() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built("fn")).await;
    machine.pull(&reference).await;
    for policy in [Some(IfNotPresent), Some(Never), None] {
        let fresh = machine.only().await;
        assert_eq!(fresh.unneeded, None, "{policy:?}");
        assert!(machine.images.note_unneeded(&fresh, Some(5 * HOUR)).await.unwrap());
        let noted = machine.only().await;
        assert_eq!(noted.unneeded, Some(5 * HOUR));
        match policy {
            Some(policy) => drop(machine.ensure(&reference, policy).await.unwrap()),
            None => drop(machine.pull(&reference).await),
        }
        assert!(!machine.images.note_unneeded(&noted, Some(6 * HOUR)).await.unwrap(), "{policy:?}");
        assert!(!machine.images.remove(&noted, true).await.unwrap(), "{policy:?}");
        machine.check_runnable(&machine.ensure(&reference, Never).await.unwrap()).await;
    }
    let fresh = machine.only().await;
    assert!(machine.images.note_unneeded(&fresh, Some(HOUR)).await.unwrap());
    let noted = machine.only().await;
    assert!(machine.images.note_unneeded(&noted, None).await.unwrap());
    assert_eq!(machine.only().await.unneeded, None);
}

#[tokio::test]
async fn what_was_imported_or_is_somebody_elses_is_not_among_what_was_pulled() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built("fn")).await;
    machine.pull(&reference).await;
    let archive = machine.daemon.directory().join("fn.tar");
    machine.ctr(&["images", "export", archive.to_str().unwrap(), &reference]);
    machine.ctr(&["images", "tag", &reference, "docker.io/somebody/elses:1"]);
    assert_eq!(machine.only().await.name, reference);
    assert_eq!(machine.images.import(&archive).await.unwrap(), [reference]);
    assert_eq!(machine.pulled(&[]).await, []);
    assert_eq!(machine.lines(&["images", "list", "-q"]).len(), 2);
}
