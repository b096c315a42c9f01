//! Signatures as cosign makes them from its version 3 on: bundles. Pure.
//!
//! ```text
//! image sha256:ab.. -> its referrers, or the index of tag sha256-ab... -> manifests -> one layer: the bundle
//!                                                        bundle: a statement in an envelope, with its signatures
//! ```
//! What is signed is the envelope's content with its type before it (DSSE); the content is an in-toto statement that names
//! digests: cosign's specs/BUNDLE_SPEC.md. What the statement says is that the images are signed, and nothing else: those of
//! other things, such as where an image was built, do not count.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::Descriptor;
use serde::Deserialize;

use super::Statement;

/// The beginning of the media type of bundles, whatever their version is.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
const ENVELOPE: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/";
const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The tag of the index of what refers to an image, in a registry that keeps none by itself.
pub(crate) fn referrers_tag(digest: &str) -> String {
    digest.replacen(':', "-", 1)
}

/// Whether a manifest may be one with a bundle, as the index that names it has it. Some indices don't tell.
pub(crate) fn may_be_one(entry: &Descriptor) -> bool {
    entry.artifact_type().as_ref().is_none_or(|kind| kind.to_string().starts_with(BUNDLE))
}

/// Whether a layer is a bundle.
pub(super) fn is_one(layer: &Descriptor) -> bool {
    layer.media_type().to_string().starts_with(BUNDLE)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InToto {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digests,
}

#[derive(Deserialize)]
struct Digests {
    sha256: Option<String>,
}

/// What a bundle says; None where it is no statement in an envelope.
pub(super) fn read(bundle: &[u8]) -> Option<Statement> {
    let Bundle { dsse_envelope: envelope } = serde_json::from_slice(bundle).ok()?;
    let content = STANDARD.decode(&envelope.payload).ok()?;
    let signatures = envelope.signatures.iter().filter_map(|signature| STANDARD.decode(&signature.sig).ok());
    Some(Statement {
        message: signed(&envelope.payload_type, &content),
        signatures: signatures.collect(),
        images: images(&envelope.payload_type, &content).unwrap_or_default(),
    })
}

/// What is signed of an envelope: DSSE's "pre-authentication encoding".
fn signed(kind: &str, content: &[u8]) -> Vec<u8> {
    [format!("DSSEv1 {} {kind} {} ", kind.len(), content.len()).as_bytes(), content].concat()
}

fn images(kind: &str, content: &[u8]) -> Option<Vec<String>> {
    let statement: InToto = serde_json::from_slice(content).ok()?;
    let is_signature =
        kind == ENVELOPE && statement.kind.starts_with(STATEMENT) && statement.predicate_type == PREDICATE;
    let digests = statement.subject.into_iter().filter_map(|subject| subject.digest.sha256);
    is_signature.then(|| digests.map(|hex| format!("sha256:{hex}")).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn statement(predicate: &str) -> Value {
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": "ab"}}, {"digest": {"sha512": "cd"}}],
            "predicateType": predicate,
        })
    }

    fn bundle(kind: &str, content: &str) -> Vec<u8> {
        let envelope = json!({
            "payload": STANDARD.encode(content), "payloadType": kind,
            "signatures": [{"sig": "AQID"}, {"sig": "no base64!"}],
        });
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": envelope})
            .to_string()
            .into()
    }

    #[test]
    fn a_bundle_is_about_the_images_that_its_statement_names() {
        let read = read(&bundle(ENVELOPE, &statement(PREDICATE).to_string())).unwrap();
        assert_eq!(read.images, ["sha256:ab"]);
        assert_eq!(read.signatures, [[1, 2, 3]]);
        let (message, content) = (String::from_utf8(read.message).unwrap(), statement(PREDICATE).to_string());
        assert_eq!(message, format!("DSSEv1 28 application/vnd.in-toto+json {} {content}", content.len()));
    }

    #[test]
    fn a_statement_of_another_thing_speaks_for_no_image() {
        let provenance = statement("https://slsa.dev/provenance/v1").to_string();
        for (kind, content) in [
            (ENVELOPE, provenance.as_str()),
            ("text/plain", &statement(PREDICATE).to_string()),
            (ENVELOPE, "{}"),
            (ENVELOPE, "no JSON"),
        ] {
            assert_eq!(read(&bundle(kind, content)).unwrap().images, [""; 0], "{kind} {content}");
        }
        for bundle in [&b"{}"[..], b"", br#"{"messageSignature":{"signature":"AQID"}}"#] {
            assert!(read(bundle).is_none());
        }
    }
}
