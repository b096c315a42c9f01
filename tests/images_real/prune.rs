//! Which images go when no function needs them.

use std::collections::BTreeSet;
use std::time::Duration;

use actord::host::Images as _;
use actord::host::PullPolicy::{IfNotPresent, Never};

use crate::Machine;
use crate::registry::{BuiltImage, Compression, Layer, Registry};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn built(name: &str) -> BuiltImage {
    BuiltImage::new(vec![Layer::new(name, name.as_bytes(), Compression::Gzip)])
}

impl Machine {
    async fn prune(&self, wanted: &[&str], retention: Duration) -> Vec<String> {
        let wanted: BTreeSet<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
        self.images.prune(&wanted, retention).await.unwrap()
    }
}

#[tokio::test]
async fn an_image_that_nobody_wants_goes_after_a_while_and_takes_its_content_along() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let wanted = registry.push("wanted", "v1", &built("wanted")).await;
    let unwanted = registry.push("unwanted", "v1", &built("unwanted")).await;
    let image = machine.pull(&wanted).await;
    machine.pull(&unwanted).await;

    // It is noted first, and then waits for its time.
    assert_eq!(machine.prune(&[&wanted], Duration::ZERO).await, [""; 0]);
    assert_eq!(machine.prune(&[&wanted], WEEK).await, [""; 0]);
    assert_eq!(machine.prune(&[&wanted], Duration::ZERO).await, std::slice::from_ref(&unwanted));
    assert_eq!(machine.prune(&[&wanted], Duration::ZERO).await, [""; 0]);

    machine.collect().await;
    assert_eq!(machine.lines(&["images", "list", "-q"]), [wanted]);
    assert_eq!(machine.lines(&["content", "list", "-q"]).len(), 3, "a manifest, a config and a layer");
    assert_eq!(machine.snapshots().len(), 1);
    machine.check_runnable(&image).await;
    machine.pull(&unwanted).await;
}

#[tokio::test]
async fn an_image_that_is_wanted_again_begins_anew() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built("fn")).await;
    machine.pull(&reference).await;
    for policy in [IfNotPresent, Never] {
        assert_eq!(machine.prune(&[], Duration::ZERO).await, [""; 0]);
        let image = machine.ensure(&reference, policy).await.unwrap();
        assert_eq!(machine.prune(&[], Duration::ZERO).await, [""; 0], "it was taken a moment ago");
        machine.check_runnable(&image).await;
        assert_eq!(machine.prune(&[&reference], Duration::ZERO).await, [""; 0]);
    }
    machine.prune(&[], Duration::ZERO).await;
    machine.pull(&reference).await;
    assert_eq!(machine.prune(&[], Duration::ZERO).await, [""; 0], "it was pulled a moment ago");
    assert_eq!(machine.prune(&[], Duration::ZERO).await, [reference]);
}

#[tokio::test]
async fn what_was_imported_or_is_somebody_elses_stays() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built("fn")).await;
    machine.pull(&reference).await;
    let archive = machine.daemon.directory().join("fn.tar");
    machine.ctr(&["images", "export", archive.to_str().unwrap(), &reference]);
    machine.ctr(&["images", "tag", &reference, "docker.io/somebody/elses:1"]);
    assert_eq!(machine.images.import(&archive).await.unwrap(), [reference]);
    let before = machine.lines(&["images", "list", "-q"]);
    assert_eq!(before.len(), 2);
    for _ in 0..3 {
        assert_eq!(machine.prune(&[], Duration::ZERO).await, [""; 0]);
    }
    assert_eq!(machine.lines(&["images", "list", "-q"]), before);
}
