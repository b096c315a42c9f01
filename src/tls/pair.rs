//! A certificate and its key, from two PEM files to what rustls serves.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::{InconsistentKeys, ServerConfig};
use sha2::{Digest as _, Sha256};
use webpki::{EndEntityCert, KeyUsage};

/// The protocols that clients may choose of (ALPN), the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The year 10000, in seconds since 1970: after any certificate's end.
const AFTER_ALL: u64 = 253_402_300_800;

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and after it those that lead to its authority (`tls-certificate`).
    pub certificate: PathBuf,
    /// The certificate's key (`tls-key`).
    pub key: PathBuf,
}

/// Why a certificate can't be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{0} {path}: can't read it: {2}", path = .1.display())]
    Unreadable(&'static str, PathBuf, io::Error),
    /// A file is not what it should be.
    #[error("{0} {path}: {2}", path = .1.display())]
    NotThat(&'static str, PathBuf, String),
    /// The two don't belong together.
    #[error(
        "the key of tls-key {key} is not that of the certificate in tls-certificate {certificate} (the first one in that \
         file): give each other's files",
        key = .0.key.display(), certificate = .0.certificate.display()
    )]
    Strangers(Files),
    /// rustls does not take them.
    #[error("the certificate can't be served: {0}")]
    Unusable(String),
}

/// From when to when a certificate is good, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: u64,
    /// Its last second.
    pub not_after: u64,
}

/// What there is to see of a pair that can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// When the certificate is good; none where it does not say so in a way that is read here.
    pub validity: Option<Validity>,
    /// Whether others than the key's owner and group may read it, or others than its owner write to it.
    pub others_may_read: bool,
}

/// Looks at certificate and key without serving them.
///
/// # Errors
/// When they could not be served.
pub fn look(files: &Files) -> Result<Looked, TlsError> {
    Pair::read(files).map(|pair| pair.looked)
}

/// What is in the files.
pub(super) struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
    key_mode: u32,
}

impl Files {
    pub(super) fn read(&self) -> Result<Read, TlsError> {
        let read = |setting, path: &Path| {
            fs::read(path).map_err(|error| TlsError::Unreadable(setting, path.to_owned(), error))
        };
        let certificate = read("tls-certificate", &self.certificate)?;
        let key = read("tls-key", &self.key)?;
        let about = fs::metadata(&self.key);
        let key_mode =
            about.map_err(|error| TlsError::Unreadable("tls-key", self.key.clone(), error))?.permissions().mode();
        Ok(Read { certificate, key, key_mode })
    }
}

impl Read {
    /// Tells these contents from others, and does not tell the key.
    pub(super) fn digest(&self) -> [u8; 32] {
        let parts = [&self.certificate, &self.key].map(Sha256::digest);
        Sha256::digest(parts.concat()).into()
    }
}

/// A certificate and its key, ready to be served.
pub(super) struct Pair {
    pub(super) config: ServerConfig,
    pub(super) digest: [u8; 32],
    pub(super) looked: Looked,
}

impl Pair {
    pub(super) fn read(files: &Files) -> Result<Self, TlsError> {
        Self::of(files, &files.read()?)
    }

    pub(super) fn of(files: &Files, read: &Read) -> Result<Self, TlsError> {
        let no_certificate = |why: String| TlsError::NotThat("tls-certificate", files.certificate.clone(), why);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read.certificate).collect();
        let chain = chain.map_err(|error| no_certificate(format!("it can't be read as PEM: {error}")))?;
        let Some(first) = chain.first() else {
            return Err(no_certificate("there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)".to_owned()));
        };
        let validity = validity(first);
        let key = PrivateKeyDer::from_pem_slice(&read.key).map_err(|error| {
            let why = match error {
                pem::Error::NoItemsFound if contains(&read.key, b"ENCRYPTED PRIVATE KEY") => {
                    "its key is encrypted: give one without a password".to_owned()
                }
                pem::Error::NoItemsFound => {
                    "there is no private key in it (PEM, -----BEGIN PRIVATE KEY-----)".to_owned()
                }
                error => format!("it can't be read as PEM: {error}"),
            };
            TlsError::NotThat("tls-key", files.key.clone(), why)
        })?;
        let others_may_read = read.key_mode & 0o027 != 0;
        let looked = Looked { validity, others_may_read };
        Ok(Self { config: config(files, chain, key)?, digest: read.digest(), looked })
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn config(
    files: &Files,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let unusable = |error: rustls::Error| TlsError::Unusable(error.to_string());
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Strangers(files.clone()),
            error => unusable(error),
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(config)
}

/// When a certificate is good. It is asked for times at which no certificate is: the refusals name its ends.
fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let refusal = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        certificate.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None).err()
    };
    let Some(webpki::Error::CertExpired { not_after, .. }) = refusal(AFTER_ALL) else { return None };
    let not_before = match refusal(0) {
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => not_before.as_secs(),
        _ => 0,
    };
    Some(Validity { not_before, not_after: not_after.as_secs() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can not read what it needs has failed")]
mod tests;
