//! Public keys that signatures of images are checked by: PEM, as `cosign public-key` and `openssl pkey -pubout` write it.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use webpki::{RawPublicKeyEntity, ring};

use crate::host::containerd::images::digest::sha256;

/// What cosign signs by, for each kind of key that it makes or takes. It hashes with SHA-256 whatever the curve is.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    ring::ECDSA_P256_SHA256,
    ring::ECDSA_P384_SHA256,
    ring::ECDSA_P384_SHA384,
    ring::ED25519,
    ring::RSA_PKCS1_2048_8192_SHA256,
];

/// One public key.
#[derive(Debug)]
pub(crate) struct PublicKey {
    info: SubjectPublicKeyInfoDer<'static>,
}

impl PublicKey {
    /// Reads the first public key of a file.
    ///
    /// # Errors
    /// What is wrong with the file, and what to put there.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        std::fs::read(file).map_err(|error| error.to_string()).and_then(|text| Self::of_pem(&text)).map_err(|why| {
            format!(
                "the key {} of the setting image-signature-key: {why}: put a public key in PEM there",
                file.display()
            )
        })
    }

    fn of_pem(text: &[u8]) -> Result<Self, String> {
        let info = SubjectPublicKeyInfoDer::from_pem_slice(text).map_err(|error| format!("no public key: {error}"))?;
        RawPublicKeyEntity::try_from(&info).map_err(|error| format!("no public key: {error}"))?;
        Ok(Self { info })
    }

    /// Tells this key from others, whatever file it is in.
    pub(crate) fn fingerprint(&self) -> String {
        sha256(self.info.as_ref())
    }

    /// Whether the holder of its private half signed `message`.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        RawPublicKeyEntity::try_from(&self.info).is_ok_and(|key| {
            ALGORITHMS.iter().any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SigningKey as _};

    use super::*;

    #[test]
    fn what_a_key_signed_is_known_by_its_public_half_and_by_no_other() {
        let pairs = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519]
            .map(|algorithm| KeyPair::generate_for(algorithm).unwrap());
        let keys = pairs.each_ref().map(|pair| PublicKey::of_pem(pair.public_key_pem().as_bytes()).unwrap());
        for (one, pair) in pairs.iter().enumerate() {
            let signature = pair.sign(b"message").unwrap();
            for (other, key) in keys.iter().enumerate() {
                assert_eq!(key.signed(b"message", &signature), one == other, "{one} {other}");
                assert!(!key.signed(b"another", &signature));
            }
            assert!(!keys[one].signed(b"message", b""));
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("team.pub");
        let missing = PublicKey::read(&file).unwrap_err();
        assert!(missing.contains("team.pub") && missing.contains("No such file"), "{missing}");
        for text in ["", "no PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            std::fs::write(&file, text).unwrap();
            let why = PublicKey::read(&file).unwrap_err();
            assert!(why.contains("team.pub") && why.contains("no public key"), "{text:?}: {why}");
        }
        let private = KeyPair::generate().unwrap().serialize_pem();
        assert!(PublicKey::of_pem(private.as_bytes()).is_err(), "the private half is the signer's alone");
    }
}
