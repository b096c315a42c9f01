//! Registries that break, lie or say nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Machine;
use crate::proxy::{Act, Proxy};
use crate::registry::{BuiltImage, Compression, Layer, MANIFEST, Registry, architecture, digest, noise};

/// An image of one layer of about that many bytes, pushed as `big:v1`; and the layer.
async fn push_big(registry: &Registry, size: usize) -> (BuiltImage, Layer) {
    let layer = Layer::new("big", &noise(7, size), Compression::None);
    let built = BuiltImage::new(vec![layer.clone()]);
    registry.push("big", "v1", &built).await;
    (built, layer)
}

#[tokio::test]
async fn a_cut_connection_resumes_where_it_ended() {
    const CUT: usize = 3 << 20;
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let (_, layer) = push_big(&registry, 8 << 20).await;
    let blob = digest(&layer.bytes);
    let proxy = Proxy::start(&registry.address, {
        let blob = blob.clone();
        move |seen, before| if seen.path.contains(&blob) && before < 2 { Act::CutAfter(CUT) } else { Act::Pass }
    });
    let image = machine.pull(&format!("{}/big:v1", proxy.address)).await;
    machine.check_runnable(&image).await;
    assert_eq!(machine.unpacked("big"), [noise(7, 8 << 20)]);

    let requests = proxy.requests_for(&blob);
    assert_eq!(requests.len(), 3);
    assert!(requests[1].range.as_ref().is_some_and(|range| range != "bytes=0-"), "{requests:?}");
    let sent: usize = requests.iter().map(|request| request.sent).sum();
    let again = sent - layer.bytes.len();
    // Bytes that were on their way when the connection was cut are lost, no more.
    assert!(again < CUT / 2, "{again} bytes were sent again");
}

#[tokio::test]
async fn a_registry_that_knows_no_ranges_is_read_from_the_start() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let (_, layer) = push_big(&registry, 4 << 20).await;
    let blob = digest(&layer.bytes);
    let proxy = Proxy::start(&registry.address, move |seen, before| match () {
        () if !seen.path.contains(&blob) => Act::Pass,
        () if before == 0 => Act::CutAfter(2 << 20),
        () => Act::PassWhole,
    });
    let image = machine.pull(&format!("{}/big:v1", proxy.address)).await;
    machine.check_runnable(&image).await;
    assert_eq!(machine.unpacked("big"), [noise(7, 4 << 20)]);
}

#[tokio::test]
async fn a_pull_that_stalls_ends_at_its_deadline_and_leaves_nothing() {
    let machine = Machine::start().with(|options| {
        options.stall = Duration::from_millis(300);
        options.attempts = 2;
    });
    let registry = Registry::start(machine.daemon.directory()).await;
    let (_, layer) = push_big(&registry, 2 << 20).await;
    let blob = digest(&layer.bytes);
    let proxy = Proxy::start(&registry.address, {
        let blob = blob.clone();
        move |seen, _| if seen.path.contains(&blob) { Act::StallAfter(100 << 10) } else { Act::Pass }
    });
    let why = machine.refused(&format!("{}/big:v1", proxy.address)).await;
    assert!(why.contains("tried 2 times"), "{why}");
    assert_eq!(proxy.requests_for(&blob).len(), 2);
    machine.check_empty();
}

#[tokio::test]
async fn content_with_another_digest_is_refused_and_leaves_nothing() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let (_, layer) = push_big(&registry, 1 << 20).await;
    let blob = digest(&layer.bytes);
    let mut wrong = layer.bytes.clone();
    wrong[5000] ^= 1;
    let proxy = Proxy::start(&registry.address, {
        let blob = blob.clone();
        move |seen, _| match seen.path.contains(&blob) {
            true => Act::Answer(200, vec![], wrong.clone()),
            false => Act::Pass,
        }
    });
    let why = machine.refused(&format!("{}/big:v1", proxy.address)).await;
    assert!(why.contains("digest mismatch"), "{why}");
    // There is no point in asking a liar again.
    assert_eq!(proxy.requests_for(&blob).len(), 1);
    machine.check_empty();
}

#[tokio::test]
async fn a_registry_that_sends_more_than_it_said_is_refused() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let (_, layer) = push_big(&registry, 1 << 20).await;
    let blob = digest(&layer.bytes);
    let more = [layer.bytes.clone(), vec![0; 1 << 20]].concat();
    let proxy = Proxy::start(&registry.address, move |seen, _| match seen.path.contains(&blob) {
        true => Act::Answer(200, vec![], more.clone()),
        false => Act::Pass,
    });
    let why = machine.refused(&format!("{}/big:v1", proxy.address)).await;
    assert!(why.contains("more than"), "{why}");
    machine.check_empty();
}

#[tokio::test]
async fn a_manifest_that_makes_no_sense_is_refused_with_its_reason() {
    let machine = Machine::start();
    for (manifest, part) in [
        (&b"<html>log in</html>"[..], "not JSON"),
        (br#"{"schemaVersion":1}"#, "too old"),
        (br#"{"schemaVersion":2,"layers":[],"manifests":[]}"#, "at once"),
        (br#"{"schemaVersion":2,"layers":[{"digest":"../../etc"}]}"#, "can't be read"),
    ] {
        let proxy = Proxy::start("127.0.0.1:1", move |seen, _| match seen.path.contains("/manifests/") {
            true => Act::Answer(200, vec![("content-type", MANIFEST.to_owned())], manifest.to_vec()),
            false => Act::Answer(200, vec![], vec![]),
        });
        let why = machine.refused(&format!("{}/garbage:v1", proxy.address)).await;
        assert!(why.contains(part) && why.contains("garbage:v1"), "{why}");
        machine.check_empty();
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_the_pinned_one_is_refused() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let (built, _) = push_big(&registry, 1000).await;
    let pinned = digest(b"another");
    let proxy = Proxy::start(&registry.address, move |seen, _| match seen.path.contains("/manifests/") {
        true => Act::Answer(200, vec![("content-type", MANIFEST.to_owned())], built.manifest.clone()),
        false => Act::Pass,
    });
    let why = machine.refused(&format!("{}/big@{pinned}", proxy.address)).await;
    assert!(why.contains("digest mismatch"), "{why}");
    machine.check_empty();
}

#[tokio::test]
async fn a_layer_that_is_not_what_the_config_says_is_refused() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let layers = vec![Layer::new("good", b"good", Compression::Gzip), Layer::new("evil", b"evil", Compression::Gzip)];
    let diff_ids = [layers[0].diff_id.clone(), digest(b"else")];
    let built = BuiltImage::with_diff_ids(architecture(), layers, &diff_ids);
    let why = machine.refused(&registry.push("lying", "v1", &built).await).await;
    assert!(why.contains(&diff_ids[1]), "{why}");
    machine.check_empty();
}

#[tokio::test]
async fn a_layer_that_is_no_archive_is_the_images_fault() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let mut layer = Layer::new("file", b"content", Compression::Gzip);
    layer.bytes = noise(3, 5000);
    let why = machine.refused(&registry.push("noise", "v1", &BuiltImage::new(vec![layer])).await).await;
    assert!(why.contains("layer sha256:"), "{why}");
    machine.check_empty();
}

#[tokio::test]
async fn what_a_registry_does_not_have_is_not_found() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    push_big(&registry, 1000).await;
    for name in ["big:v2", "nothing:v1"] {
        let reference = format!("{}/{name}", registry.address);
        let why = machine.refused(&reference).await;
        assert!(why.contains("not found") && why.contains(&reference) && why.contains("check"), "{why}");
    }
    machine.check_empty();
}

#[tokio::test]
async fn a_registry_that_is_busy_is_asked_again() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    push_big(&registry, 1000).await;
    let proxy = Proxy::start(&registry.address, |seen, before| match seen.path.contains("/big/") && before == 0 {
        true => Act::Answer(503, vec![], b"later".to_vec()),
        false => Act::Pass,
    });
    let image = machine.pull(&format!("{}/big:v1", proxy.address)).await;
    machine.check_runnable(&image).await;
}

#[tokio::test]
async fn a_pull_that_is_given_up_does_not_block_the_next() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let (_, layer) = push_big(&registry, 4 << 20).await;
    let blob = digest(&layer.bytes);
    let stall = Arc::new(AtomicBool::new(true));
    let proxy = Proxy::start(&registry.address, {
        let (stall, blob) = (stall.clone(), blob.clone());
        move |seen, _| match seen.path.contains(&blob) && stall.load(Ordering::SeqCst) {
            true => Act::StallAfter(2 << 20),
            false => Act::Pass,
        }
    });
    let reference = format!("{}/big:v1", proxy.address);
    let given_up = tokio::time::timeout(Duration::from_secs(2), machine.pull(&reference)).await;
    assert!(given_up.is_err());
    stall.store(false, Ordering::SeqCst);
    let image = machine.pull(&reference).await;
    machine.check_runnable(&image).await;
    assert_eq!(machine.unpacked("big"), [noise(7, 4 << 20)]);
    // The first pull's lease is ended behind its back.
    for _ in 0..50 {
        if machine.leftovers().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(machine.leftovers(), [""; 0]);
    machine.check_runnable(&image).await;
}

#[tokio::test]
async fn what_a_killed_run_left_is_ended_by_the_next() {
    let machine = Machine::start();
    machine.ctr(&["leases", "create", "--id", "actord-image-dead", "actord.dev/owner=test-host"]);
    machine.ctr(&["leases", "create", "--id", "actord-image-other", "actord.dev/owner=somebody-else"]);
    assert_eq!(machine.images.recover().await.unwrap(), 1);
    assert_eq!(machine.lines(&["leases", "list", "-q"]), ["actord-image-other"]);
}
