//! Which images go when no function needs them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
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

#[tokio::test]
async fn when_the_disk_fills_up_images_that_nobody_wants_go_the_oldest_first_until_there_is_enough_room() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let mut all = Vec::new();
    for name in ["oldest", "old", "wanted", "newest"] {
        let reference = registry.push(name, "v1", &built(name)).await;
        machine.pull(&reference).await;
        all.push(reference);
    }
    let [oldest, old, wanted, newest] = [0, 1, 2, 3].map(|at: usize| all[at].as_str());
    // They are noted one after the other.
    for kept in [vec![old, wanted, newest], vec![wanted, newest], vec![wanted]] {
        assert_eq!(machine.prune(&kept, WEEK).await, [""; 0]);
    }
    let reclaim = async |wanted: &[&str], removals: usize| {
        let wanted: BTreeSet<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
        // It is asked before each.
        let asked = AtomicUsize::new(0);
        let enough = || std::future::ready(asked.fetch_add(1, Ordering::SeqCst) >= removals);
        machine.images.reclaim(&wanted, enough).await.unwrap()
    };
    let blobs = || machine.lines(&["content", "list", "-q"]).len();
    let before = blobs();
    assert_eq!(reclaim(&[wanted], 2).await, [oldest, old]);
    assert_eq!(blobs(), before - 6, "what they took is collected by then");
    assert_eq!(reclaim(&[wanted], 0).await, [""; 0]);
    assert_eq!(reclaim(&[wanted], 9).await, [newest]);
    assert_eq!(reclaim(&[wanted], 9).await, [""; 0]);
    let image = machine.ensure(wanted, Never).await.unwrap();
    machine.check_runnable(&image).await;

    // One that is found unwanted only now is noted, and here it is taken again before it goes.
    assert_eq!(reclaim(&[], 9).await, [""; 0]);
    machine.ensure(wanted, Never).await.unwrap();
    assert_eq!(reclaim(&[], 9).await, [""; 0]);
    assert_eq!(reclaim(&[], 9).await, [wanted]);
}
