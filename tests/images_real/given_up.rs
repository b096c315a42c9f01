//! Lines that break again and again, and pulls that no caller waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actord::host::Images as _;

use crate::Machine;
use crate::proxy::{Act, Proxy};
use crate::registry::{BuiltImage, Compression, Layer, Registry, digest, noise};

const MIB: usize = 1 << 20;

/// An image of one layer of about 20 MiB, pushed as `big:v1`; the layer's digest.
async fn push_big(registry: &Registry) -> String {
    let layer = Layer::new("big", &noise(7, 20 * MIB), Compression::None);
    let blob = digest(&layer.bytes);
    registry.push("big", "v1", &BuiltImage::new(vec![layer])).await;
    blob
}

#[tokio::test]
async fn a_line_that_always_breaks_at_the_same_byte_is_given_up_after_a_few_attempts() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let blob = push_big(&registry).await;
    let part = blob.clone();
    let proxy = Proxy::start(&registry.address, move |seen, _| match seen.path.contains(&part) {
        true => Act::CutWholeAfter(6 * MIB),
        false => Act::Pass,
    });
    let reference = format!("{}/big:v1", proxy.address);
    let farthest = AtomicU64::new(0);
    let watch = async {
        loop {
            if let Some(progress) = machine.images.progress(&reference).filter(|progress| progress.total.is_some()) {
                let before = farthest.swap(progress.pulled, Ordering::SeqCst);
                assert!(progress.pulled >= before, "it goes back from {before} to {}", progress.pulled);
                assert!(progress.pulled <= 6 * MIB as u64, "what came twice counts twice: {}", progress.pulled);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let why = tokio::select! {
        why = machine.refused(&reference) => why,
        never = watch => never,
    };
    assert!(why.contains(&blob) && why.contains("(1 of 1)") && why.contains("tried 3 times"), "{why}");
    assert_eq!(proxy.requests_for(&blob).len(), 3);
    assert!(farthest.load(Ordering::SeqCst) > 0, "nothing was told");
    machine.check_empty();
}

#[tokio::test]
async fn a_line_that_breaks_ever_farther_on_comes_to_its_end_without_ranges_too() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let blob = push_big(&registry).await;
    let proxy = Proxy::start(&registry.address, move |seen, before| match seen.path.contains(&blob) {
        true if before < 6 => Act::CutWholeAfter((before + 1) * 3 * MIB),
        true => Act::PassWhole,
        false => Act::Pass,
    });
    let image = machine.pull(&format!("{}/big:v1", proxy.address)).await;
    machine.check_runnable(&image).await;
    assert_eq!(machine.unpacked("big"), [noise(7, 20 * MIB)]);
}

#[tokio::test]
async fn what_a_pull_fetched_that_was_given_up_is_there_for_the_next() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let whole = Layer::new("whole", &noise(1, MIB), Compression::None);
    let half = Layer::new("half", &noise(2, 8 * MIB), Compression::None);
    let (first, second) = (digest(&whole.bytes), digest(&half.bytes));
    registry.push("big", "v1", &BuiltImage::new(vec![whole, half])).await;
    let stalls = Arc::new(AtomicBool::new(true));
    let proxy = Proxy::start(&registry.address, {
        let (stalls, second) = (stalls.clone(), second.clone());
        move |seen, _| match seen.path.contains(&second) && stalls.load(Ordering::SeqCst) {
            true => Act::StallAfter(5 * MIB),
            false => Act::Pass,
        }
    });
    let reference = format!("{}/big:v1", proxy.address);
    let fetched = async {
        while machine.images.progress(&reference).is_none_or(|progress| progress.pulled < 6 * MIB as u64) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = async { tokio::time::timeout(Duration::from_secs(60), fetched).await.unwrap() } => {}
        image = machine.pull(&reference) => panic!("{image:?}"),
    }
    assert_eq!(machine.images.progress(&reference), None, "it goes on");
    // Whatever containerd collects meanwhile.
    machine.collect().await;
    stalls.store(false, Ordering::SeqCst);
    let image = machine.pull(&reference).await;
    machine.check_runnable(&image).await;
    assert_eq!(proxy.requests_for(&first).len(), 1, "a layer that was there is fetched again");
    let again = proxy.requests_for(&second);
    assert_eq!(again.len(), 2);
    let offset: usize = again[1].range.as_ref().unwrap()["bytes=".len()..].trim_end_matches('-').parse().unwrap();
    assert!(offset >= 4 * MIB, "it goes on from {offset}");
    assert_eq!(machine.leftovers(), [""; 0]);
    machine.collect().await;
    machine.check_runnable(&image).await;
}
