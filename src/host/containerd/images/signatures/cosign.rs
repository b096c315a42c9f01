//! Signatures as cosign keeps them in a registry. Pure.
//!
//! ```text
//! image sha256:ab.. -> tag sha256-ab...sig of its repository -> a manifest -> one layer a signature
//!                                                       layer: what is signed; annotation of the layer: the signature
//! ```
//! What is signed is a small document that names the image's digest: cosign's specs/SIGNATURE_SPEC.md.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::{Descriptor, ImageManifest};
use serde::Deserialize;

const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const KIND: &str = "cosign container image signature";

/// The most signatures of one image that are looked at, and the most bytes that what is signed may have.
const MOST: usize = 32;
const PAYLOAD_LIMIT: u64 = 64 << 10;

/// The tag under which the signatures of an image are.
pub(crate) fn tag(digest: &str) -> String {
    format!("{}.sig", digest.replacen(':', "-", 1))
}

/// One signature: where what it signs is, and the signature.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) payload: Descriptor,
    pub(crate) bytes: Vec<u8>,
}

/// The signatures of a manifest. What is none is passed over: others may be there beside it.
pub(crate) fn signatures(manifest: &ImageManifest) -> Vec<Signature> {
    let layers = manifest
        .layers()
        .iter()
        .filter(|layer| layer.media_type().to_string() == PAYLOAD && layer.size() <= PAYLOAD_LIMIT);
    let signature = |layer: &Descriptor| {
        let text = layer.annotations().as_ref()?.get(ANNOTATION)?;
        Some(Signature { payload: layer.clone(), bytes: STANDARD.decode(text).ok()? })
    };
    layers.filter_map(signature).take(MOST).collect()
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Signed,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Whether what was signed is that the image of this digest is to be trusted.
pub(crate) fn is_about(payload: &[u8], digest: &str) -> bool {
    serde_json::from_slice(payload)
        .is_ok_and(|Payload { critical }| critical.kind == KIND && critical.image.digest == digest)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn manifest(layers: &[Value]) -> ImageManifest {
        let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": digest()});
        serde_json::from_value(json!({"schemaVersion": 2, "config": config, "layers": layers})).unwrap()
    }

    fn digest() -> String {
        format!("sha256:{}", "a".repeat(64))
    }

    fn layer(kind: &str, size: u64, signature: Option<&str>) -> Value {
        let annotations = signature.map(|signature| json!({ ANNOTATION: signature }));
        json!({"mediaType": kind, "size": size, "digest": digest(), "annotations": annotations})
    }

    #[test]
    fn an_images_signatures_have_a_tag_of_its_digest() {
        assert_eq!(tag(&digest()), format!("sha256-{}.sig", "a".repeat(64)));
    }

    #[test]
    fn what_is_no_signature_is_passed_over() {
        let layers = [
            layer("application/vnd.oci.image.layer.v1.tar", 5, Some("AAAA")),
            layer(PAYLOAD, 5, None),
            layer(PAYLOAD, 5, Some("no base64!")),
            layer(PAYLOAD, PAYLOAD_LIMIT + 1, Some("AAAA")),
            layer(PAYLOAD, 5, Some("AQID")),
        ];
        let found: Vec<_> = signatures(&manifest(&layers)).into_iter().map(|signature| signature.bytes).collect();
        assert_eq!(found, [[1, 2, 3]]);
        let many = vec![layer(PAYLOAD, 5, Some("AQID")); 3 * MOST];
        assert_eq!(signatures(&manifest(&many)).len(), MOST);
    }

    #[test]
    fn only_what_names_the_image_speaks_for_it() {
        let payload = |kind: &str, digest: &str| {
            let critical = json!({"identity": {"docker-reference": ""}, "image": {"docker-manifest-digest": digest}, "type": kind});
            json!({"critical": critical, "optional": null}).to_string()
        };
        assert!(is_about(payload(KIND, &digest()).as_bytes(), &digest()));
        assert!(!is_about(payload("another statement", &digest()).as_bytes(), &digest()));
        assert!(!is_about(payload(KIND, "sha256:b").as_bytes(), &digest()));
        assert!(!is_about(b"{}", &digest()));
        assert!(!is_about(digest().as_bytes(), &digest()));
    }
}
