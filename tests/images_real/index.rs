//! Indices in every shape: the image of this platform, or what there is instead.

use actord::host::PullPolicy;
use serde_json::{Value, json};

use crate::Machine;
use crate::registry::{BuiltImage, Compression, INDEX, Layer, MANIFEST, OTHER_ARCHITECTURE, architecture, digest};
use crate::shelf::Shelf;

fn image(content: &str, architecture: &str) -> BuiltImage {
    BuiltImage::for_architecture(architecture, vec![Layer::new("hello", content.as_bytes(), Compression::Gzip)])
}

/// An image's entry with other fields; null takes one out.
#[allow(clippy::needless_pass_by_value, reason = "it is written in place")]
fn entry(image: &BuiltImage, changes: Value) -> Value {
    let mut entry = image.entry(architecture());
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(entry.as_object_mut().unwrap().remove(key)),
            value => entry[key] = value.clone(),
        }
    }
    entry
}

fn index(entries: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

/// What is no image: a manifest with a config and a layer of these kinds.
fn artifact(config: &str, layer: &str) -> BuiltImage {
    let image = image("artifact", architecture());
    let mut manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
    manifest["config"]["mediaType"] = config.into();
    manifest["layers"][0]["mediaType"] = layer.into();
    BuiltImage { manifest: manifest.to_string().into(), ..image }
}

const IN_TOTO: &str = "application/vnd.in-toto+json";
const HELM: &str = "application/vnd.cncf.helm.config.v1+json";
const TAR: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

struct Images {
    ours: BuiltImage,
    other: BuiltImage,
    attestation: BuiltImage,
    helm: BuiltImage,
}

impl Images {
    fn new() -> Self {
        Self {
            ours: image("ours", architecture()),
            other: image("other", OTHER_ARCHITECTURE),
            attestation: artifact("application/vnd.oci.image.config.v1+json", IN_TOTO),
            helm: artifact(HELM, TAR),
        }
    }

    /// A shelf with all of them, and these documents under their digests.
    fn shelf(&self, top: &Value, below: &[&Value]) -> Shelf {
        let mut shelf = Shelf::default();
        for image in [&self.ours, &self.other, &self.attestation, &self.helm] {
            shelf.add_image(image);
        }
        for document in below {
            shelf.add_manifest("below", INDEX, document.to_string().as_bytes());
        }
        shelf.add_manifest("v1", INDEX, top.to_string().as_bytes());
        shelf
    }
}

/// The entry of a nested index.
fn nested(index: &Value, platform: Value) -> Value {
    let bytes = index.to_string();
    let mut entry = json!({ "mediaType": INDEX, "digest": digest(bytes.as_bytes()), "size": bytes.len() });
    if !platform.is_null() {
        entry["platform"] = platform;
    }
    entry
}

#[tokio::test]
async fn an_index_of_any_shape_gives_the_image_of_this_platform() {
    let machine = Machine::start();
    let all = Images::new();
    let Images { ours, other, attestation, helm } = &all;
    let untold = |image: &BuiltImage| entry(image, json!({ "platform": null }));
    let platform = |value: Value| json!({ "platform": value });
    let here = json!({ "os": "linux", "architecture": architecture() });
    let unknown = platform(json!({ "os": "unknown", "architecture": "unknown" }));
    let mut attests = entry(attestation, unknown.clone());
    attests["annotations"] =
        json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": ours.digest() });
    let other_entry = other.entry(OTHER_ARCHITECTURE);
    let (inner, told) = (index(&[other_entry.clone(), ours.entry(architecture())]), index(&[untold(ours)]));
    let deeper = index(&[nested(&inner, Value::Null)]);
    let lost = json!({ "mediaType": MANIFEST, "digest": digest(b"lost"), "size": 4 });
    let missing = index(&[lost, untold(ours)]);
    let cases: Vec<(&str, Vec<Value>)> = vec![
        ("with platforms", vec![other_entry.clone(), ours.entry(architecture())]),
        ("a sole entry without a platform", vec![untold(ours)]),
        ("without a platform, and an attestation", vec![untold(ours), attests.clone()]),
        ("an attestation first", vec![attests.clone(), untold(ours)]),
        ("an attestation that does not say so", vec![entry(attestation, unknown.clone()), untold(ours)]),
        ("an attestation without a platform", vec![untold(attestation), untold(ours)]),
        ("two without platforms", vec![untold(other), untold(ours)]),
        ("another platform's, and one that does not say", vec![other_entry.clone(), untold(ours)]),
        ("an empty platform", vec![entry(ours, platform(json!({})))]),
        (
            "a platform of empty words",
            vec![entry(ours, platform(json!({ "os": "", "architecture": "" }))), attests.clone()],
        ),
        (
            "a platform without a system",
            vec![other_entry.clone(), entry(ours, platform(json!({ "architecture": architecture() })))],
        ),
        ("a platform that nobody knows", vec![entry(ours, unknown)]),
        (
            "null",
            vec![{
                let mut entry = untold(ours);
                entry["platform"] = Value::Null;
                entry
            }],
        ),
        (
            "in capitals",
            vec![entry(ours, platform(json!({ "os": "Linux", "architecture": architecture().to_uppercase() })))],
        ),
        (
            "with a version of the system",
            vec![entry(
                ours,
                platform(
                    json!({ "os": "linux", "architecture": architecture(), "os.version": "6.1", "os.features": ["x"] }),
                ),
            )],
        ),
        (
            "docker's kinds",
            vec![entry(ours, json!({ "mediaType": "application/vnd.docker.distribution.manifest.v2+json" }))],
        ),
        ("without a kind", vec![entry(ours, json!({ "mediaType": null }))]),
        (
            "an image that says its config's kind",
            vec![entry(ours, json!({ "artifactType": "application/vnd.oci.image.config.v1+json" }))],
        ),
        (
            "an artifact of this platform first",
            vec![entry(helm, json!({ "artifactType": HELM })), ours.entry(architecture())],
        ),
        ("an artifact without a platform first", vec![untold(helm), untold(ours)]),
        (
            "a signature first",
            vec![entry(helm, json!({ "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json" })), untold(ours)],
        ),
        ("an index in it", vec![nested(&inner, Value::Null)]),
        ("an index for this platform in it", vec![other_entry, nested(&inner, here.clone())]),
        ("an index without platforms in it", vec![nested(&told, here)]),
        ("two indices deep", vec![nested(&deeper, Value::Null)]),
        ("entries that the registry lacks", vec![nested(&missing, Value::Null)]),
    ];
    for (what, entries) in cases {
        let top = index(&entries);
        let registry = all.shelf(&top, &[&inner, &told, &deeper, &missing]).serve(|_, _| None);
        let reference = format!("{}/fn:v1", registry.address);
        let pulled = machine.ensure(&reference, PullPolicy::Always).await.unwrap_or_else(|why| panic!("{what}: {why}"));
        assert_eq!(pulled.digest, ours.digest(), "{what}");
        // What was not chosen may go, and the choice stays.
        machine.collect().await;
        machine.check_runnable(&pulled).await;
        let asked = registry.seen().len();
        assert_eq!(machine.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap().digest, ours.digest(), "{what}");
        assert_eq!(registry.seen().len(), asked, "{what}: it was there");
        machine.ctr(&["images", "remove", "--sync", &reference]);
    }
    machine.check_empty();
}

#[tokio::test]
async fn an_index_without_an_image_of_this_platform_says_what_it_has() {
    let machine = Machine::start();
    let all = Images::new();
    let Images { other, attestation, helm, .. } = &all;
    let untold = |image: &BuiltImage| entry(image, json!({ "platform": null }));
    let other_entry = other.entry(OTHER_ARCHITECTURE);
    let windows = json!({ "os": "windows", "architecture": architecture(), "os.version": "10.0.17763" });
    let listed = format!("only for linux/{OTHER_ARCHITECTURE}");
    let mut deep = vec![index(std::slice::from_ref(&other_entry))];
    for _ in 0..5 {
        deep.push(index(&[nested(&deep[deep.len() - 1], Value::Null)]));
    }
    let cases: Vec<(&str, Value, &str)> = vec![
        ("empty", index(&[]), "its index is empty"),
        ("null", json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": null }), "its index is empty"),
        ("another platform", index(std::slice::from_ref(&other_entry)), &listed),
        ("another platform's that does not say so", index(&[untold(other), untold(other)]), &listed),
        ("windows", index(&[entry(other, json!({ "platform": windows }))]), "windows/amd64 (10.0.17763)"),
        ("artifacts", index(&[entry(helm, json!({ "artifactType": HELM }))]), HELM),
        ("artifacts that do not say so", index(&[untold(helm), untold(attestation)]), HELM),
        ("attestations", index(&[untold(attestation)]), IN_TOTO),
        ("of another platform and artifacts", index(&[untold(helm), other_entry]), &listed),
        ("nested too deep", deep[5].clone(), "nested too deep"),
        ("another platform, two indices deep", deep[2].clone(), &listed),
    ];
    let below: Vec<_> = deep.iter().collect();
    for (what, top, expected) in cases {
        let registry = all.shelf(&top, &below).serve(|_, _| None);
        let why = machine.refused(&format!("{}/fn:v1", registry.address)).await;
        assert!(why.contains(expected) && why.contains(&registry.address), "{what}: {why}");
        assert!(!why.contains("only for :") && !why.contains("only for build"), "{what}: {why}");
        machine.check_empty();
    }
}

#[tokio::test]
async fn what_is_no_container_image_is_refused_by_its_kind() {
    let machine = Machine::start();
    for (config, layer, expected) in [
        (HELM, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", HELM),
        (HELM, TAR, HELM),
        ("application/vnd.oci.empty.v1+json", "application/octet-stream", "application/vnd.oci.empty.v1+json"),
        ("application/vnd.wasm.config.v0+json", "application/wasm", "application/vnd.wasm.config.v0+json"),
        ("application/vnd.oci.image.config.v1+json", "application/wasm", "application/wasm"),
        ("application/vnd.oci.image.config.v1+json", "application/vnd.dev.cosign.simplesigning.v1+json", "cosign"),
    ] {
        let registry = Shelf::of(&artifact(config, layer)).serve(|_, _| None);
        let why = machine.refused(&format!("{}/fn:v1", registry.address)).await;
        assert!(why.contains(expected) && why.contains("that is no container image"), "{config}, {layer}: {why}");
        assert_eq!(registry.requests_for("/blobs/").len(), 0, "{config}: its parts were fetched");
        machine.check_empty();
    }
}
