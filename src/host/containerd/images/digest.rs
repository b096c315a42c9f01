//! Digests, as content is named by: `sha256:` and lower-case hex. Pure.

use sha2::{Digest as _, Sha256};

/// The digest of some bytes, as `sha256:...`.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    digest_name(Sha256::digest(bytes).as_slice())
}

/// A finished SHA-256 hash as a digest.
pub(crate) fn digest_name(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::from("sha256:"), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_written_as_lower_case_hex() {
        assert_eq!(sha256(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
