//! Images that must be signed: by keys of the operator's, in cosign's format, checked before a layer is fetched.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use actord::host::Images as _;
use actord::host::PullPolicy::{Always, IfNotPresent, Never};
use actord::host::containerd::images::SignatureKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Value, json};

use crate::Machine;
use crate::proxy::{Act, Proxy};
use crate::registry::{BuiltImage, Compression, Layer, Registry, digest as sha256};

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn built(name: &str) -> BuiltImage {
    BuiltImage::new(vec![Layer::new(name, name.as_bytes(), Compression::Gzip)])
}

/// A signer, and the file with the public half of its key.
struct Signer {
    pair: KeyPair,
    file: PathBuf,
}

impl Signer {
    fn new(machine: &Machine, name: &str) -> Self {
        let (pair, file) = (KeyPair::generate().unwrap(), machine.daemon.directory().join(name));
        fs::write(&file, pair.public_key_pem()).unwrap();
        Self { pair, file }
    }

    fn key(&self, prefix: &str) -> SignatureKey {
        SignatureKey { prefix: prefix.to_owned(), file: self.file.clone() }
    }

    /// What `cosign sign --key` makes of an image's digest.
    fn sign(&self, digest: &str) -> Signed {
        let critical = json!({
            "identity": {"docker-reference": "registry.lan/fn"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        });
        let payload = json!({"critical": critical, "optional": null}).to_string();
        let signature = STANDARD.encode(self.pair.sign(payload.as_bytes()).unwrap());
        Signed { payload, signature }
    }
}

impl Signer {
    /// What `cosign sign --key` makes from its version 3 on: a statement of this kind about an image's digest.
    fn bundle(&self, digest: &str, predicate: &str) -> Vec<u8> {
        let kind = "application/vnd.in-toto+json";
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": digest.trim_start_matches("sha256:")}}],
            "predicateType": predicate,
        })
        .to_string();
        let signed = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
        let signature = STANDARD.encode(self.pair.sign(signed.as_bytes()).unwrap());
        let envelope =
            json!({"payload": STANDARD.encode(statement), "payloadType": kind, "signatures": [{"sig": signature}]});
        json!({"mediaType": BUNDLE, "verificationMaterial": {}, "dsseEnvelope": envelope}).to_string().into_bytes()
    }
}

/// Stores a bundle, and returns how an index names its manifest.
async fn push_bundle(registry: &Registry, repository: &str, bundle: &[u8]) -> Value {
    let layer =
        json!({"mediaType": BUNDLE, "size": bundle.len(), "digest": registry.push_blob(repository, bundle).await});
    let empty = registry.push_blob(repository, b"{}").await;
    let config = json!({"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": empty});
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "config": config, "layers": [layer]})
            .to_string();
    let digest = sha256(manifest.as_bytes());
    registry.push_manifest(repository, &digest, MANIFEST, manifest.as_bytes()).await;
    json!({"mediaType": MANIFEST, "artifactType": BUNDLE, "size": manifest.len(), "digest": digest})
}

fn index(manifests: &[Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string().into_bytes()
}

struct Signed {
    payload: String,
    signature: String,
}

/// Puts signatures where those of an image are looked for.
async fn push(registry: &Registry, repository: &str, digest: &str, signed: &[Signed]) {
    let config = b"{}";
    let described =
        |kind: &str, bytes: &[u8], digest: &str| json!({"mediaType": kind, "size": bytes.len(), "digest": digest});
    let config_digest = registry.push_blob(repository, config).await;
    let mut layers: Vec<Value> = Vec::new();
    for Signed { payload, signature } in signed {
        let mut layer =
            described(PAYLOAD, payload.as_bytes(), &registry.push_blob(repository, payload.as_bytes()).await);
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        layers.push(layer);
    }
    let config = described("application/vnd.oci.image.config.v1+json", config, &config_digest);
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).to_string();
    let tag = format!("{}.sig", digest.replace(':', "-"));
    registry.push_manifest(repository, &tag, MANIFEST, manifest.as_bytes()).await;
}

#[tokio::test]
async fn a_signed_image_is_pulled_and_its_signature_is_known_later_without_the_registry() {
    let machine = Machine::start();
    let (team, other) = (Signer::new(&machine, "team.pub"), Signer::new(&machine, "other.pub"));
    let machine = machine.with(|options| options.signature_keys = vec![other.key(""), team.key("")]);
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built("fn")).await;
    let digest = built("fn").digest();
    let junk = Signed { payload: "{}".to_owned(), signature: "AAAA".to_owned() };
    push(&registry, "fn", &digest, &[junk, team.sign(&digest)]).await;
    let image = machine.pull(&reference).await;
    machine.check_runnable(&image).await;
    drop(registry);

    machine.collect().await;
    // As after a restart, with nothing in memory.
    let machine = machine.with(|_| ());
    for policy in [Never, IfNotPresent] {
        assert_eq!(machine.ensure(&reference, policy).await.unwrap(), image);
    }
    // A key that was taken away starts nothing more.
    let machine = machine.with(|options| options.signature_keys = vec![other.key("")]);
    let why = machine.ensure(&reference, Never).await.unwrap_err().to_string();
    assert!(why.contains("must be signed") && why.contains("not by a key"), "{why}");
    let why = machine.ensure(&reference, IfNotPresent).await.unwrap_err().to_string();
    assert!(why.contains("can't be reached") && why.contains("not by a key"), "{why}");

    // It goes with its image.
    let pulled = machine.images.pulled(&BTreeSet::new()).await.unwrap();
    assert_eq!(pulled.iter().map(|image| &image.name).collect::<Vec<_>>(), [&reference]);
    assert!(machine.images.remove(&pulled[0], false).await.unwrap());
    machine.collect().await;
    machine.check_empty();
}

#[tokio::test]
async fn what_is_not_signed_by_such_a_key_is_refused_before_a_layer_is_fetched() {
    let machine = Machine::start();
    let (team, other) = (Signer::new(&machine, "team.pub"), Signer::new(&machine, "other.pub"));
    let machine = machine.with(|options| options.signature_keys = vec![team.key("")]);
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built("fn")).await;
    let (digest, another) = (built("fn").digest(), built("another").digest());

    let why = machine.refused(&reference).await;
    assert!(why.contains(&reference) && why.contains("must be signed") && why.contains("cosign sign"), "{why}");

    let altered = Signed { payload: team.sign(&digest).payload, signature: team.sign(&another).signature };
    for (signed, part) in [
        (vec![], "has no signature"),
        (vec![other.sign(&digest)], "not by a key"),
        (vec![altered], "not by a key"),
        (vec![other.sign(&digest), team.sign(&another)], "of another image"),
    ] {
        push(&registry, "fn", &digest, &signed).await;
        let why = machine.refused(&reference).await;
        assert!(why.contains(&reference) && why.contains(part), "{part}: {why}");
        machine.collect().await;
        machine.check_empty();
    }
    push(&registry, "fn", &digest, &[team.sign(&digest)]).await;
    machine.pull(&reference).await;
}

#[tokio::test]
async fn what_was_here_before_the_key_was_set_is_looked_at_like_any_other() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built("fn")).await;
    let image = machine.pull(&reference).await;

    let team = Signer::new(&machine, "team.pub");
    let machine = machine.with(|options| options.signature_keys = vec![team.key("")]);
    let why = machine.ensure(&reference, IfNotPresent).await.unwrap_err().to_string();
    assert!(why.contains("must be signed"), "{why}");
    let pinned = format!("{}/other@{}", registry.address, built("fn").digest());
    machine.ensure(&pinned, IfNotPresent).await.unwrap_err();

    push(&registry, "fn", &built("fn").digest(), &[team.sign(&built("fn").digest())]).await;
    assert_eq!(machine.ensure(&reference, IfNotPresent).await.unwrap(), image);
    drop(registry);
    assert_eq!(machine.ensure(&reference, Never).await.unwrap(), image);
    assert_eq!(machine.leftovers(), [""; 0]);
}

#[tokio::test]
async fn a_key_of_some_images_asks_nothing_of_others() {
    let machine = Machine::start();
    let team = Signer::new(&machine, "team.pub");
    let registry = Registry::start(machine.daemon.directory()).await;
    let prefix = format!("{}/team", registry.address);
    let machine = machine.with(|options| options.signature_keys = vec![team.key(&prefix)]);
    let free = registry.push("teams/fn", "v1", &built("free")).await;
    machine.pull(&free).await;
    let bound = registry.push("team/fn", "v1", &built("bound")).await;
    let why = machine.refused(&bound).await;
    assert!(why.contains("must be signed"), "{why}");
    // The same content under a name that need not be signed is here: it does not make this one signed.
    let copied = registry.push("team/copied", "v1", &built("free")).await;
    machine.refused(&copied).await;
}

#[tokio::test]
async fn with_a_key_that_can_not_be_read_nothing_is_let_through() {
    let machine = Machine::start();
    let team = Signer::new(&machine, "team.pub");
    let machine = machine.with(|options| options.signature_keys = vec![team.key("")]);
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built("fn")).await;
    let digest = built("fn").digest();
    push(&registry, "fn", &digest, &[team.sign(&digest)]).await;
    machine.pull(&reference).await;
    fs::write(&team.file, "no key").unwrap();
    for policy in [Always, IfNotPresent, Never] {
        let why = machine.ensure(&reference, policy).await.unwrap_err().to_string();
        assert!(why.contains("team.pub") && why.contains(&reference), "{why}");
    }
}

#[tokio::test]
async fn a_bundle_that_refers_to_the_image_is_a_signature_as_well() {
    let machine = Machine::start();
    let (team, other) = (Signer::new(&machine, "team.pub"), Signer::new(&machine, "other.pub"));
    let machine = machine.with(|options| options.signature_keys = vec![team.key("")]);
    let registry = Registry::start(machine.daemon.directory()).await;
    let reference = registry.push("fn", "v1", &built("fn")).await;
    let (digest, another) = (built("fn").digest(), built("another").digest());
    let tag = digest.replace(':', "-");
    let mut bundles = Vec::new();
    for (bundle, part) in [
        (other.bundle(&digest, SIGNED), "not by a key"),
        (team.bundle(&another, SIGNED), "of another image"),
        (team.bundle(&digest, "https://slsa.dev/provenance/v1"), "of another image"),
    ] {
        bundles.push(push_bundle(&registry, "fn", &bundle).await);
        registry.push_manifest("fn", &tag, INDEX, &index(&bundles)).await;
        let why = machine.refused(&reference).await;
        assert!(why.contains(part), "{part}: {why}");
    }
    machine.collect().await;
    machine.check_empty();

    // This registry keeps no index of referrers: cosign keeps it under a tag then.
    bundles.push(push_bundle(&registry, "fn", &team.bundle(&digest, SIGNED)).await);
    registry.push_manifest("fn", &tag, INDEX, &index(&bundles)).await;
    let image = machine.pull(&reference).await;
    drop(registry);
    machine.collect().await;
    let machine = machine.with(|_| ());
    assert_eq!(machine.ensure(&reference, Never).await.unwrap(), image);
}

#[tokio::test]
async fn a_registry_that_keeps_an_index_of_referrers_is_asked_for_it() {
    let machine = Machine::start();
    let team = Signer::new(&machine, "team.pub");
    let machine = machine.with(|options| options.signature_keys = vec![team.key("")]);
    let registry = Registry::start(machine.daemon.directory()).await;
    registry.push("fn", "v1", &built("fn")).await;
    let digest = built("fn").digest();
    let sbom =
        json!({"mediaType": MANIFEST, "artifactType": "application/spdx+json", "size": 5, "digest": sha256(b"sbom")});
    let bundle = push_bundle(&registry, "fn", &team.bundle(&digest, SIGNED)).await;
    let referrers = index(&[sbom, bundle]);
    let proxy = Proxy::start(&registry.address, move |seen, _| match seen.path.contains("/referrers/") {
        true => Act::Answer(200, vec![("content-type", INDEX.to_owned())], referrers.clone()),
        false => Act::Pass,
    });
    let image = machine.pull(&format!("{}/fn:v1", proxy.address)).await;
    machine.check_runnable(&image).await;
    assert!(
        proxy.seen().iter().all(|seen| !seen.path.contains(&sha256(b"sbom"))),
        "what is no bundle is not asked for"
    );
}
