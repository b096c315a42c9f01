//! Stored heads as a fuzz target: whatever a damaged disk says, what is made of it is a request that says the same, or none.

use actix_web::http::header::HeaderName;

use super::stored;
use crate::http::proxy::is_hop_by_hop;
use crate::queue::head::Head;

pub(crate) fn stored_heads(bytes: &[u8]) -> bool {
    let Some(head) = Head::decode(bytes) else {
        assert!(stored::request("POST", bytes, 0).is_none(), "a request of what is no head");
        return false;
    };
    assert_eq!(head.encode(), bytes, "what is read is what is written");
    let Some(request) = stored::request("POST", bytes, 0) else { return false };
    let lower = |name: &str| name.to_ascii_lowercase();
    // What frames a request is made of its body.
    let frames = |name: &str| {
        let read = HeaderName::from_bytes(name.as_bytes());
        name == "content-length" || read.is_ok_and(|name| is_hop_by_hop(&name))
    };
    let mut said: Vec<_> = head.0.iter().map(|(name, value)| (lower(name), value.as_slice())).collect();
    said.retain(|(name, _)| !frames(name));
    let mut read: Vec<_> =
        request.head().headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes())).collect();
    assert!(read.iter().all(|(name, value)| !frames(name) || name == "content-length" && *value == b"0"), "{read:?}");
    read.retain(|(name, _)| !frames(name));
    said.sort();
    read.sort();
    assert_eq!(said, read, "every header, with its value");
    let has_end = |value: &&[u8]| value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0'));
    assert!(!read.iter().any(|(_, value)| has_end(value)), "a value that ends its line");
    true
}
