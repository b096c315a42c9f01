//! Registries that ask to wait.

use std::time::Duration;

use actord::host::Images as _;
use tokio::time::Instant;

use crate::Machine;
use crate::proxy::{Act, Proxy};
use crate::registry::{BuiltImage, Compression, Layer};
use crate::shelf::Shelf;

fn shelf() -> Shelf {
    Shelf::of(&BuiltImage::new(vec![Layer::new("hello", b"hello", Compression::Gzip)]))
}

/// A registry whose answers to the first `times` requests for paths with `part` in them are `status` with that wait.
fn busy(part: &'static str, times: usize, status: u16, wait: impl Fn() -> String + Send + Sync + 'static) -> Proxy {
    shelf().serve(move |seen, before| {
        let is_token = seen.path.starts_with("/token");
        let later = || Act::Answer(status, vec![("retry-after", wait())], b"later".to_vec());
        match (seen.path.contains(part) && before < times, seen.authorization.is_some()) {
            (true, _) => Some(later()),
            (false, _) if is_token => Some(Act::Answer(200, vec![], br#"{"token":"t"}"#.to_vec())),
            (false, false) if part == "/token" => {
                let challenge = format!(r#"Bearer realm="http://{}/token""#, seen.host);
                Some(Act::Answer(401, vec![("www-authenticate", challenge)], vec![]))
            }
            _ => None,
        }
    })
}

#[tokio::test]
async fn a_registry_that_asks_to_wait_is_asked_again_after_that_and_not_before() {
    // One attempt is allowed to fail: waiting is none.
    let machine = Machine::start().with(|options| options.attempts = 1);
    let date = || httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3));
    let pulls = [
        (busy("/manifests/", 2, 429, || "2".to_owned()), "/manifests/", Duration::from_secs(2)),
        (busy("/manifests/", 1, 503, date), "/manifests/", Duration::from_secs(2)),
        (busy("/blobs/", 1, 429, || "2".to_owned()), "/blobs/", Duration::from_secs(2)),
        (busy("/token", 1, 429, || "2".to_owned()), "/token", Duration::from_secs(2)),
    ];
    for (registry, part, wait) in pulls {
        let reference = format!("{}/fn:v1", registry.address);
        let mut told = None;
        let watch = async {
            loop {
                told = machine.images.progress(&reference).and_then(|progress| progress.wait).or(told);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let image = tokio::select! {
            image = machine.pull(&reference) => image,
            never = watch => never,
        };
        machine.check_runnable(&image).await;
        assert!(told.is_some_and(|told| told >= wait), "{part}: the wait is not told: {told:?}");
        let asked: Vec<_> = registry.requests_for(part).into_iter().map(|seen| (seen.path, seen.at.unwrap())).collect();
        let again: Vec<_> = asked.windows(2).filter(|pair| pair[0].0 == pair[1].0 && part != "/blobs/").collect();
        assert!(again.iter().all(|pair| pair[1].1 - pair[0].1 >= wait), "{part}: asked too soon: {asked:?}");
        machine.ctr(&["images", "remove", "--sync", &reference]);
    }
}

#[tokio::test]
async fn a_wait_that_is_longer_than_a_pull_may_take_is_told_at_once() {
    let machine = Machine::start().with(|options| options.limit = Duration::from_secs(600));
    for (part, wait) in [("/manifests/", "3600"), ("/blobs/", "99999999999999999999"), ("/token", "3600")] {
        let registry = busy(part, usize::MAX, 429, move || wait.to_owned());
        let begun = Instant::now();
        let why = machine.refused(&format!("{}/fn:v1", registry.address)).await;
        assert!(why.contains("answered 429: later, and asks to wait"), "{why}");
        assert!(why.contains("pull-timeout, 600 s"), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(60), "it was waited for");
    }
    machine.check_empty();
}

#[tokio::test]
async fn a_mirror_that_asks_to_wait_long_is_passed_over() {
    let machine = Machine::start();
    let (mirror, registry) = (busy("/manifests/", usize::MAX, 429, || "60".to_owned()), shelf().serve(|_, _| None));
    let of = actord::host::containerd::images::Mirror {
        of: registry.address.clone(),
        host: mirror.address.clone(),
        path: String::new(),
    };
    let machine = machine.with(|options| options.mirrors = vec![of]);
    let image = machine.pull(&format!("{}/fn:v1", registry.address)).await;
    machine.check_runnable(&image).await;
    assert_eq!(mirror.requests_for("/manifests/").len(), 1);
}

#[tokio::test]
async fn a_pull_that_is_asked_to_wait_holds_up_no_other_of_the_same_layers() {
    let machine = Machine::start();
    let (busy, other) = (busy("/blobs/", usize::MAX, 429, || "600".to_owned()), shelf().serve(|_, _| None));
    let waits = format!("{}/fn:v1", busy.address);
    let pulled = async {
        while machine.images.progress(&waits).and_then(|progress| progress.wait).is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        machine.pull(&format!("{}/fn:v1", other.address)).await
    };
    let image = tokio::select! {
        image = pulled => image,
        waited = machine.refused(&waits) => panic!("it did not wait: {waited}"),
    };
    machine.check_runnable(&image).await;
}
