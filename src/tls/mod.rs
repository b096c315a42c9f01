//! TLS on the public listener: a certificate and its key, read from two PEM files, and read anew when they change.
//!
//! ```text
//! tls-certificate, tls-key -> pair (do they belong together, until when) -> Tls -> configuration of the next connection
//! every 10 seconds: files changed -> pair -> can be used: for connections from now on
//!                                         -> can't:       the one before stays, and why is said once
//! ```
//! TLS 1.2 and 1.3, by rustls; the client chooses between HTTP/2 and HTTP/1.1 (ALPN). Connections that are open go on with
//! the certificate that they began with. No session outlives its certificate: each pair has sessions of its own. Nothing
//! that a client sends before its handshake is over is taken for a request (no early data).

mod pair;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::{IntGauge, Registry};
use rustls::ServerConfig;

pub use self::pair::{Files, Looked, TlsError, Validity, look};

use self::pair::Pair;

/// What the public listener shows its clients. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: Files,
    served: RwLock<Served>,
    ends: IntGauge,
}

struct Served {
    config: Arc<ServerConfig>,
    digest: [u8; 32],
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// When they can't be served: the setting, its file and what to do.
    pub fn open(files: Files) -> Result<Self, TlsError> {
        let pair = Pair::read(&files)?;
        let name = "actord_tls_certificate_expiry_timestamp_seconds";
        let ends = IntGauge::new(name, "When the certificate that is served ends, in seconds since 1970")
            .map_err(|error| TlsError::Unusable(error.to_string()))?;
        let (served, until) = served(&files, pair);
        ends.set(until);
        Ok(Self(Arc::new(Inner { files, served: RwLock::new(served), ends })))
    }

    /// What the next connection is begun with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.0.served.read().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    /// Looks at the files, and serves what is in them from the next connection on. Blocks on the disk. Whether it is another
    /// certificate or key than before.
    ///
    /// # Errors
    /// When they can't be served; what was served before still is.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let read = self.0.files.read()?;
        if read.digest() == self.0.served.read().unwrap_or_else(PoisonError::into_inner).digest {
            return Ok(false);
        }
        let (served, until) = served(&self.0.files, Pair::of(&self.0.files, &read)?);
        *self.0.served.write().unwrap_or_else(PoisonError::into_inner) = served;
        self.0.ends.set(until);
        Ok(true)
    }

    /// Registers when the certificate ends.
    ///
    /// # Errors
    /// When it is registered already.
    pub fn measure(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.0.ends.clone()))
    }
}

/// What is served of a pair, and until when, in seconds since 1970; 0 where the certificate does not say it.
fn served(files: &Files, pair: Pair) -> (Served, i64) {
    if pair.looked.others_may_read {
        tracing::warn!(path = %files.key.display(), "others may read this key, or write to it: chmod 600 it");
    }
    let until = pair.looked.validity.map_or(0, |validity| validity.not_after.cast_signed());
    (Served { config: Arc::new(pair.config), digest: pair.digest }, until)
}
