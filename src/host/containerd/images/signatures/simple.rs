//! Signatures as cosign makes them up to its version 2. Pure.
//!
//! ```text
//! image sha256:ab.. -> tag sha256-ab...sig of its repository -> a manifest -> one layer a signature
//!                                                       layer: what is signed; annotation of the layer: the signature
//! ```
//! What is signed is a small document that names the image's digest: cosign's specs/SIGNATURE_SPEC.md.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::Descriptor;
use serde::Deserialize;

use super::Statement;
use super::bundle::referrers_tag;

const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const KIND: &str = "cosign container image signature";

/// The tag under which the signatures of an image are.
pub(crate) fn tag(digest: &str) -> String {
    format!("{}.sig", referrers_tag(digest))
}

/// The signature of what a layer is, if it is that of one.
pub(super) fn signature(layer: &Descriptor) -> Option<Vec<u8>> {
    let text = layer.annotations().as_ref()?.get(ANNOTATION)?;
    (layer.media_type().to_string() == PAYLOAD).then(|| STANDARD.decode(text).ok())?
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

/// What a layer says that has this signature.
pub(super) fn read(payload: &[u8], signature: &[u8]) -> Statement {
    let critical = serde_json::from_slice(payload).ok().map(|Payload { critical }| critical);
    let image = critical.filter(|critical| critical.kind == KIND).map(|critical| critical.image.digest);
    Statement { message: payload.to_vec(), signatures: vec![signature.to_vec()], images: image.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "a".repeat(64))
    }

    fn layer(kind: &str, signature: Option<&str>) -> Descriptor {
        let annotations = signature.map(|signature| json!({ ANNOTATION: signature }));
        let layer: Value = json!({"mediaType": kind, "size": 5, "digest": digest(), "annotations": annotations});
        serde_json::from_value(layer).unwrap()
    }

    #[test]
    fn an_images_signatures_have_a_tag_of_its_digest() {
        assert_eq!(tag(&digest()), format!("sha256-{}.sig", "a".repeat(64)));
    }

    #[test]
    fn a_layer_that_is_no_signature_is_passed_over() {
        assert_eq!(signature(&layer("application/vnd.oci.image.layer.v1.tar", Some("AAAA"))), None);
        assert_eq!(signature(&layer(PAYLOAD, None)), None);
        assert_eq!(signature(&layer(PAYLOAD, Some("no base64!"))), None);
        assert_eq!(signature(&layer(PAYLOAD, Some("AQID"))), Some(vec![1, 2, 3]));
    }

    #[test]
    fn only_what_names_an_image_speaks_for_it() {
        let payload = |kind: &str| {
            let image = json!({"docker-manifest-digest": digest()});
            let critical = json!({"identity": {"docker-reference": ""}, "image": image, "type": kind});
            json!({"critical": critical, "optional": null}).to_string()
        };
        let images = |payload: &[u8]| read(payload, b"").images;
        assert_eq!(images(payload(KIND).as_bytes()), [digest()]);
        for payload in [payload("another statement"), "{}".to_owned(), digest()] {
            assert_eq!(images(payload.as_bytes()), [""; 0], "{payload}");
        }
    }
}
