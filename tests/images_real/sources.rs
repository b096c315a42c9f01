//! Where an image comes from: mirrors before registries, and over TLS whose certificates the operator vouches for.

use std::path::PathBuf;
use std::time::Duration;

use actord::host::Images as _;
use actord::host::containerd::images::Mirror;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::Machine;
use crate::authority::Authority;
use crate::proxy::{Act, Proxy};
use crate::registry::{BuiltImage, Compression, Layer, PASSWORD, Registry, USER, digest, noise};

/// A registry that nobody reaches: the name can't be anybody's.
const NOWHERE: &str = "registry.invalid";

fn built(content: &[u8]) -> BuiltImage {
    BuiltImage::new(vec![Layer::new("hello", content, Compression::None)])
}

fn mirror(of: &str, host: &str, path: &str) -> Mirror {
    Mirror { of: of.to_owned(), host: host.to_owned(), path: path.to_owned() }
}

/// An address of this machine where nothing listens. Its port stays taken as long as the tests run: a free one may be given
/// to the next registry that they start.
fn closed_port() -> String {
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap();
    std::mem::forget(taken);
    address.to_string()
}

/// The same server under an address that is no loopback one by its look: it has to speak TLS.
fn from_outside(address: &str) -> String {
    address.replace("127.0.0.1", "0.0.0.0")
}

#[tokio::test]
async fn an_image_comes_from_a_mirror_under_its_own_name_with_the_mirrors_credentials() {
    let machine = Machine::start();
    let cache = Registry::with_password(machine.daemon.directory()).await;
    cache.push("team/fn", "v1", &built(b"mirrored")).await;
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    machine.write_docker_config(&json!({ "auths": { cache.address.as_str(): { "auth": auth } } }).to_string());
    let machine = machine.with(|options| options.mirrors = vec![mirror(NOWHERE, &cache.address, "")]);

    let image = machine.pull(&format!("{NOWHERE}/team/fn:v1")).await;
    assert_eq!(image.reference, format!("{NOWHERE}/team/fn:v1"));
    machine.check_runnable(&image).await;
    assert_eq!(machine.lines(&["images", "list", "-q"]), [image.reference]);
    assert_eq!(machine.unpacked("hello"), [b"mirrored"]);
    assert_eq!(machine.leftovers(), [""; 0]);
}

#[tokio::test]
async fn a_mirror_may_keep_its_images_below_a_path() {
    let machine = Machine::start();
    let cache = Registry::start(machine.daemon.directory()).await;
    cache.push("hub/library/fn", "v1", &built(b"below")).await;
    let machine = machine.with(|options| options.mirrors = vec![mirror("docker.io", &cache.address, "hub")]);
    let image = machine.pull("fn:v1").await;
    assert_eq!(image.reference, "docker.io/library/fn:v1");
    machine.check_runnable(&image).await;
}

#[tokio::test]
async fn what_one_mirror_can_not_give_the_next_does_and_at_last_the_registry() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let content = noise(3, 1 << 20);
    let image = built(&content);
    let reference = registry.push("fn", "v1", &image).await;
    let blob = digest(&image.layers[0].bytes);
    let empty = Registry::start(&machine.daemon.directory().join("empty")).await;
    let liar = Proxy::start(&registry.address, {
        let (blob, mut wrong) = (blob.clone(), image.layers[0].bytes.clone());
        wrong[5000] ^= 1;
        move |seen, _| if seen.path.contains(&blob) { Act::Answer(200, vec![], wrong.clone()) } else { Act::Pass }
    });
    let of = registry.address.clone();
    let mirrors = [closed_port(), empty.address.clone(), liar.address.clone()];
    let machine = machine.with(|options| options.mirrors = mirrors.iter().map(|host| mirror(&of, host, "")).collect());

    let image = machine.pull(&reference).await;
    assert_eq!(image.reference, reference);
    machine.check_runnable(&image).await;
    assert_eq!(machine.unpacked("hello"), [content]);
    assert_eq!(liar.requests_for(&blob).len(), 1, "a liar is not asked twice");
    assert_eq!(machine.leftovers(), [""; 0]);
}

#[tokio::test]
async fn what_came_from_a_mirror_before_it_failed_is_not_fetched_again() {
    const CUT: usize = 3 << 20;
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let image = built(&noise(4, 8 << 20));
    let blob = digest(&image.layers[0].bytes);
    registry.push("fn", "v1", &image).await;
    let cutting = Proxy::start(&registry.address, {
        let blob = blob.clone();
        move |seen, before| match seen.path.contains(&blob) {
            true if before == 0 => Act::CutAfter(CUT),
            true => Act::Answer(500, vec![], b"out of order".to_vec()),
            false => Act::Pass,
        }
    });
    let counting = Proxy::start(&registry.address, |_, _| Act::Pass);
    let machine = machine.with(|options| options.mirrors = vec![mirror(&counting.address, &cutting.address, "")]);
    let image = machine.pull(&format!("{}/fn:v1", counting.address)).await;
    machine.check_runnable(&image).await;
    let asked = counting.requests_for(&blob);
    assert!(asked[0].range.as_ref().is_some_and(|range| range != "bytes=0-"), "{asked:?}");
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_refused_with_every_place_and_its_reason() {
    let machine = Machine::start();
    let empty = Registry::start(machine.daemon.directory()).await;
    let closed = closed_port();
    let mirrors = vec![mirror(NOWHERE, &closed, ""), mirror(NOWHERE, &empty.address, "")];
    let machine = machine.with(|options| options.mirrors = mirrors);
    let reference = format!("{NOWHERE}/team/fn:v1");
    let why = machine.refused(&reference).await;
    for part in [
        format!("can't pull {reference} from mirror {closed}: it can't be reached: Connection refused"),
        format!("can't pull {reference} from mirror {}: not found there", empty.address),
        format!("can't pull {reference} from registry {NOWHERE}: it can't be reached"),
    ] {
        assert!(why.contains(&part), "{part:?} is not in {why:?}");
    }
    // Nothing of it heals within seconds, so nobody waits for it.
    assert!(!why.contains("tried"), "{why}");
    machine.check_empty();
}

#[tokio::test]
async fn plain_http_is_spoken_to_a_mirror_only_where_that_is_allowed() {
    let machine = Machine::start();
    let cache = Registry::start(machine.daemon.directory()).await;
    cache.push("fn", "v1", &built(b"plain")).await;
    let outside = from_outside(&cache.address);
    let machine = machine.with(|options| options.mirrors = vec![mirror(NOWHERE, &outside, "")]);
    let reference = format!("{NOWHERE}/fn:v1");
    let why = machine.refused(&reference).await;
    assert!(why.contains(&format!("mirror {outside}: it does not speak TLS")), "{why}");
    let machine = machine.with(|options| options.insecure_registries = vec![outside]);
    machine.pull(&reference).await;
}

#[tokio::test]
async fn a_registry_is_trusted_when_the_operator_vouches_for_its_authority() {
    let machine = Machine::start();
    let certs = machine.daemon.directory().join("certs.d");
    let machine = machine.with(|options| options.authorities = vec![certs.clone()]);
    let authority = Authority::new();
    let (certificate, key) = authority.sign("0.0.0.0");
    let registry = Registry::with_certificate(machine.daemon.directory(), &certificate, &key).await;
    registry.push("fn", "v1", &built(b"over TLS")).await;
    let host = from_outside(&registry.address);
    let reference = format!("{host}/fn:v1");

    let place = certs.join(&host).join("ca.crt");
    let why = machine.refused(&reference).await;
    for part in ["certificate is refused", &host, &reference, place.to_str().unwrap()] {
        assert!(why.contains(part), "{part:?} is not in {why:?}");
    }
    assert!(!why.contains("tried"), "it was asked again: {why}");

    // No restart is needed for it.
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(&place, &authority.pem).unwrap();
    let image = machine.pull(&reference).await;
    machine.check_runnable(&image).await;
    assert_eq!(machine.unpacked("hello"), [b"over TLS"]);

    let file = machine.daemon.directory().join("authorities.pem");
    std::fs::write(&file, format!("{}{}", Authority::new().pem, authority.pem)).unwrap();
    let machine = machine.with(|options| options.authorities = vec![file]);
    machine.pull(&reference).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_or_from_another_authority_is_refused() {
    let machine = Machine::start();
    let authority = Authority::new();
    let (certificate, key) = authority.sign("registry.lan");
    let registry = Registry::with_certificate(machine.daemon.directory(), &certificate, &key).await;
    registry.push("fn", "v1", &built(b"x")).await;
    let reference = format!("{}/fn:v1", from_outside(&registry.address));
    let trusting = |machine: Machine, pem: &str| {
        let file: PathBuf = machine.daemon.directory().join("ca.pem");
        std::fs::write(&file, pem).unwrap();
        machine.with(|options| options.authorities = vec![file])
    };
    let machine = trusting(machine, &authority.pem);
    let why = machine.refused(&reference).await;
    assert!(why.contains("certificate is refused") && why.contains("registry.lan"), "{why}");
    let machine = trusting(machine, &Authority::new().pem);
    let why = machine.refused(&reference).await;
    assert!(why.contains("certificate is refused"), "{why}");
    machine.check_empty();
}

#[tokio::test]
async fn how_far_a_pull_is_can_be_seen_in_bytes() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let image = built(&noise(8, 4 << 20));
    let layer = &image.layers[0].bytes;
    registry.push("fn", "v1", &image).await;
    let blob = digest(layer);
    let stalling = Proxy::start(&registry.address, move |seen, _| match seen.path.contains(&blob) {
        true => Act::StallAfter(2 << 20),
        false => Act::Pass,
    });
    let reference = format!("{}/fn:v1", stalling.address);
    let reached = async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if let Some(progress) = machine.images.progress(&reference)
                && progress.pulled == 2 << 20
            {
                return progress;
            }
        }
    };
    let progress = tokio::select! {
        progress = tokio::time::timeout(Duration::from_secs(60), reached) => progress.unwrap(),
        image = machine.pull(&reference) => panic!("{image:?}"),
    };
    assert_eq!(progress.total, Some(layer.len() as u64));
    assert_eq!(machine.images.progress(&reference), None, "nobody pulls it any more");
}
