//! Stored heads as a fuzz target: whatever a damaged disk says, what is made of it is a request that says the same, or none.

use super::stored;
use crate::queue::head::Head;

pub(crate) fn stored_heads(bytes: &[u8]) -> bool {
    let Some(head) = Head::decode(bytes) else {
        assert!(stored::request("POST", bytes).is_none(), "a request of what is no head");
        return false;
    };
    assert_eq!(head.encode(), bytes, "what is read is what is written");
    let Some(request) = stored::request("POST", bytes) else { return false };
    let lower = |name: &str| name.to_ascii_lowercase();
    let mut said: Vec<_> = head.0.iter().map(|(name, value)| (lower(name), value.as_slice())).collect();
    let mut read: Vec<_> =
        request.head().headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes())).collect();
    said.sort();
    read.sort();
    assert_eq!(said, read, "every header, with its value");
    let has_end = |value: &&[u8]| value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0'));
    assert!(!read.iter().any(|(_, value)| has_end(value)), "a value that ends its line");
    true
}
