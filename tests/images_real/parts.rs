//! Parts of an image that the registry lacks, or that are damaged.

use crate::Machine;
use crate::proxy::Act;
use crate::registry::{BuiltImage, Compression, Layer, architecture, digest, gzip, noise};
use crate::shelf::Shelf;

/// What is wrong with a blob, as a registry answers it.
type Wrong = fn(&[u8], &str) -> Act;

fn ok(bytes: Vec<u8>) -> Act {
    Act::Answer(200, vec![("content-type", "application/octet-stream".to_owned())], bytes)
}

fn page(_: &[u8], _: &str) -> Act {
    Act::Answer(200, vec![("content-type", "text/html; charset=utf-8".to_owned())], b"<html>log in</html>".to_vec())
}

fn three_layers() -> BuiltImage {
    let layer = |seed: u64| Layer::new(&format!("file{seed}"), &noise(seed, 300 << 10), Compression::None);
    BuiltImage::new((0..3).map(layer).collect())
}

#[tokio::test]
async fn an_error_names_the_layer_and_the_registry() {
    let machine = Machine::start();
    let image = three_layers();
    let blob = digest(&image.layers[1].bytes);
    let cases: &[(&str, Wrong, &str)] = &[
        ("is not there", |_, _| Act::Answer(404, vec![], vec![]), "push the image again"),
        (
            "has no such blob",
            |_, _| Act::Answer(404, vec![], br#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#.to_vec()),
            "is not there",
        ),
        ("other bytes", |bytes, _| ok(bytes.iter().map(|byte| byte ^ 1).collect()), "digest mismatch"),
        ("too short", |bytes, _| ok(bytes[..1000].to_vec()), "has only 1000 of the"),
        ("empty", |_, _| ok(Vec::new()), "has only 0 of the"),
        ("too long", |bytes, _| ok([bytes, b"more"].concat()), "bytes, more than the"),
        ("a web page", page, "answered with a web page"),
        ("denied", |_, _| Act::Answer(403, vec![], vec![]), "wants credentials, or does not have"),
        (
            "denied with words",
            |_, _| Act::Answer(403, vec![], br#"{"errors":[{"code":"DENIED","message":"archived"}]}"#.to_vec()),
            "does not have the image (it says: archived)",
        ),
        ("gone", |_, _| Act::Answer(410, vec![], vec![]), "is not there"),
        (
            "broken",
            |_, _| Act::Answer(500, vec![], b"disk failure".to_vec()),
            "answered 500: disk failure (tried 2 times)",
        ),
        (
            "denied by the blob store",
            |_, store| Act::Answer(307, vec![("location", format!("http://{store}/denied"))], vec![]),
            "where it sent us on to, answered 403: <Error>expired</Error>",
        ),
        (
            "not in the blob store",
            |_, store| Act::Answer(307, vec![("location", format!("http://{store}/lost"))], vec![]),
            "where it sent us on to, answered 404",
        ),
        (
            "sent round in circles",
            |_, _| Act::Answer(307, vec![("location", "/circle".to_owned())], vec![]),
            "redirect",
        ),
    ];
    let store = Shelf::default().serve(|seen, _| match seen.path.as_str() {
        "/denied" => Some(Act::Answer(403, vec![], b"<Error>expired</Error>".to_vec())),
        _ => Some(Act::Answer(404, vec![], vec![])),
    });
    let machine = machine.with(|options| options.attempts = 2);
    for (what, wrong, expected) in cases {
        let (part, bytes, store, wrong) = (blob.clone(), image.layers[1].bytes.clone(), store.address.clone(), *wrong);
        let registry = Shelf::of(&image).serve(move |seen, _| match seen.path.as_str() {
            "/circle" => Some(Act::Answer(307, vec![("location", "/circle".to_owned())], vec![])),
            path => path.contains(&part).then(|| wrong(&bytes, &store)),
        });
        let why = machine.refused(&format!("{}/fn:v1", registry.address)).await;
        for part in [&format!("its layer {blob} (2 of 3)"), &format!("from registry {}", registry.address), *expected] {
            assert!(why.contains(part), "{what}: {part:?} is not in {why:?}");
        }
        assert!(!why.contains("check the name and the tag"), "{what}: {why}");
        machine.check_empty();
    }
}

#[tokio::test]
async fn an_error_names_the_config_and_the_manifest_too() {
    let machine = Machine::start();
    let image = three_layers();
    for (name, digest) in [("config", digest(&image.config)), ("manifest", image.digest())] {
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": [image.entry(architecture())] }).to_string();
        let mut shelf = Shelf::of(&image);
        shelf.add_manifest("v1", crate::registry::INDEX, index.as_bytes());
        let lost = digest.clone();
        let registry = shelf.serve(move |seen, _| seen.path.contains(&lost).then(|| Act::Answer(404, vec![], vec![])));
        let why = machine.refused(&format!("{}/fn:v1", registry.address)).await;
        assert!(why.contains(&format!("its {name} {digest} is not there")), "{why}");
        assert!(why.contains(&registry.address) && !why.contains("check the name"), "{why}");
    }
    machine.check_empty();
}

#[tokio::test]
async fn a_web_page_in_place_of_a_manifest_is_told_as_one() {
    let machine = Machine::start();
    for status in [200, 403, 404, 500] {
        let registry = Shelf::default().serve(move |_, _| match page(&[], "") {
            Act::Answer(_, fields, body) => Some(Act::Answer(status, fields, body)),
            other => Some(other),
        });
        let machine_says = machine.refused(&format!("{}/fn:v1", registry.address)).await;
        let expected = match status {
            200 => "answered with a web page: is that a registry",
            403 => "it wants credentials, or does not have the image",
            404 => "not found there: check the name and the tag",
            _ => "it answered 500: a web page (tried 3 times)",
        };
        assert!(machine_says.contains(expected) && !machine_says.contains("<html>"), "{status}: {machine_says}");
    }
    machine.check_empty();
}

#[tokio::test]
async fn a_layer_that_is_stored_damaged_is_named_when_it_is_unpacked() {
    let machine = Machine::start();
    let good = || Layer::new("good", b"good", Compression::Gzip);
    let with = |bytes: Vec<u8>| Layer { bytes, ..Layer::new("bad", &noise(5, 300 << 10), Compression::Gzip) };
    let whole = with(Vec::new());
    let bytes = Layer::new("bad", &noise(5, 300 << 10), Compression::Gzip).bytes;
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 0xff;
    let mut wrong_sum = bytes.clone();
    let sum = bytes.len() - 8;
    wrong_sum[sum] ^= 1;
    for (what, layer, expected) in [
        ("noise", with(noise(3, 5000)), "can't be unpacked"),
        ("a stream that is cut", with(bytes[..bytes.len() / 2].to_vec()), "can't be unpacked"),
        ("a stream with a flipped byte", with(flipped), ""),
        ("a wrong checksum", with(wrong_sum), ""),
        ("gzip of what is no archive", with(gzip(&noise(4, 5000))), "can't be unpacked"),
        ("another layer than the config says", Layer { diff_id: digest(b"else"), ..good() }, "the image's config says"),
    ] {
        assert_eq!(whole.bytes, b"");
        let blob = digest(&layer.bytes);
        let registry = Shelf::of(&BuiltImage::new(vec![good(), layer])).serve(|_, _| None);
        let why = machine.refused(&format!("{}/fn:v1", registry.address)).await;
        let named = format!("from registry {}: its layer {blob} (2 of 2)", registry.address);
        assert!(why.contains(&named) && why.contains(expected), "{what}: {why}");
        assert!(why.contains("build the image again"), "{what}: {why}");
        machine.check_empty();
    }
}
