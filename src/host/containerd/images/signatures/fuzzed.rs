//! What registries say of who signed an image, as a fuzz target: a manifest of signatures, what a layer has that was signed,
//! and a bundle. Whoever wrote it may hold no key: until a signature is checked it is believed nothing.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Form, MOST_SIGNATURES, SIZE_LIMIT, Statement, read_manifest, signatures};

/// One input is read as each of the three.
pub(crate) fn signers_claims(bytes: &[u8]) -> bool {
    let manifest = manifest(bytes);
    let simple = simple(bytes);
    let bundle = bundle(bytes);
    manifest || simple || bundle
}

fn manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = read_manifest(bytes) else { return false };
    let found = signatures(&manifest);
    assert!(found.len() <= MOST_SIGNATURES.min(manifest.layers().len()), "more than are looked at");
    for signature in &found {
        assert!(signature.blob.size() <= SIZE_LIMIT, "a blob of {} bytes is fetched", signature.blob.size());
        assert!(manifest.layers().contains(&signature.blob), "a blob that the manifest does not name");
    }
    !found.is_empty()
}

/// A second reader, of any document. It looks into what the first passes over, too, and may find no JSON there.
fn document(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

fn at<'a>(document: &'a Value, path: &str) -> Option<&'a str> {
    document.pointer(path)?.as_str()
}

fn simple(bytes: &[u8]) -> bool {
    let signature = [1, 2, 3];
    let Statement { message, signatures, images } =
        Form::Simple(signature.to_vec()).read(bytes).expect("it has no form");
    assert_eq!((&*message, &*signatures), (bytes, &[signature.to_vec()][..]), "what is checked is what is read, whole");
    let Some(image) = images.first() else { return false };
    let Some(document) = document(bytes) else { return true };
    assert_eq!(images.len(), 1, "one statement is of one image");
    assert_eq!(at(&document, "/critical/image/docker-manifest-digest"), Some(&**image));
    let kind = at(&document, "/critical/type");
    assert_eq!(kind, Some("cosign container image signature"), "a statement of another thing speaks for {image}");
    true
}

fn bundle(bytes: &[u8]) -> bool {
    let Some(Statement { message, signatures, images }) = Form::Bundle.read(bytes) else { return false };
    let Some(document) = document(bytes) else { return true };
    let kind = at(&document, "/dsseEnvelope/payloadType").expect("it was read");
    let content = STANDARD.decode(at(&document, "/dsseEnvelope/payload").expect("it was read")).expect("it was read");
    // What is signed says where each of its parts ends: no other type and content have the same bytes.
    let rest = message.strip_prefix(b"DSSEv1 ").expect("the version is signed, too");
    let (signed_kind, rest) = sized(rest).expect("the type with its length");
    let (signed_content, rest) = sized(rest).expect("the content with its length");
    assert_eq!((signed_kind, signed_content, rest), (kind.as_bytes(), &*content, &b""[..]));
    let told = document.pointer("/dsseEnvelope/signatures").and_then(Value::as_array).map_or(0, Vec::len);
    assert!(signatures.len() <= told, "a signature that is not there");
    let Some(first) = images.first() else { return true };
    let Some(statement) = self::document(&content) else { return true };
    assert_eq!(kind, "application/vnd.in-toto+json", "{first} is named by a content of another type");
    assert!(at(&statement, "/_type").is_some_and(|kind| kind.starts_with("https://in-toto.io/Statement/")));
    let predicate = at(&statement, "/predicateType");
    assert_eq!(
        predicate,
        Some("https://sigstore.dev/cosign/sign/v1"),
        "a statement of another thing speaks for {first}"
    );
    let subjects = statement.pointer("/subject").and_then(Value::as_array).expect("it names images");
    let named: Vec<_> = subjects.iter().filter_map(|subject| at(subject, "/digest/sha256")).collect();
    assert_eq!(images, named.iter().map(|hex| format!("sha256:{hex}")).collect::<Vec<_>>());
    true
}

/// What begins with its own length, and what stands behind it and a space.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    let (part, rest) = bytes[end + 1..].split_at_checked(length)?;
    Some((part, rest.strip_prefix(b" ").unwrap_or(rest)))
}
