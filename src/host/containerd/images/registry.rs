//! One repository of one registry, over HTTP: manifests, and blobs from an offset.
//!
//! The transport and its token dance are oci-client's; what an answer means is `fault`'s; what to do with it, `pull`'s.

use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use oci_client::RegistryOperation;
use oci_client::client::{BlobResponse, Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::certs_d;
use super::credentials::{self, Credentials};
use super::fault::{Fault, Untrusted};
use super::manifest::DOCUMENT_LIMIT;
use super::mirrors::Source;
use super::reference::speaks_plain_http;
use super::token_exchange::Exchange;
use crate::host::HostError;

/// The longest that connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

const MANIFESTS: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// How to speak to registries.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// docker's config.json.
    pub(crate) docker_config: PathBuf,
    /// Registries to speak plain http to.
    pub(crate) insecure: Vec<String>,
    /// Files and directories with the certificates of authorities.
    pub(crate) authorities: Vec<PathBuf>,
    /// How long may pass without a byte.
    pub(crate) stall: Duration,
}

/// Where an image comes from.
pub(crate) struct Registry {
    client: Client,
    reference: Reference,
    mirror: bool,
    credentials: Credentials,
    authorities: Vec<CertificateDer<'static>>,
    access: Access,
    plain: bool,
}

/// A blob's bytes from some offset on.
pub(crate) struct Bytestream {
    /// Whether it begins at the offset that was asked for; else at the blob's first byte.
    pub(crate) resumed: bool,
    /// The bytes as they come.
    pub(crate) stream: BoxStream<'static, Result<Bytes, std::io::Error>>,
}

impl Registry {
    /// Looks up credentials and certificates. Sends nothing yet.
    pub(crate) async fn new(source: Source, access: &Access) -> Result<Self, HostError> {
        let Source { reference, mirror } = source;
        let host = reference.registry();
        let plain = speaks_plain_http(host, &access.insecure);
        let protocol = match plain {
            true => ClientProtocol::HttpsExcept(vec![reference.resolve_registry().to_owned()]),
            false => ClientProtocol::Https,
        };
        install_tls();
        let authorities = if plain { Vec::new() } else { certs_d::authorities(&access.authorities, host).await? };
        let der = |authority: &CertificateDer<'_>| Certificate {
            encoding: CertificateEncoding::Der,
            data: authority.to_vec(),
        };
        let config = ClientConfig {
            protocol,
            extra_root_certificates: authorities.iter().map(der).collect(),
            read_timeout: Some(access.stall),
            connect_timeout: Some(access.stall.min(CONNECT_DEADLINE)),
            user_agent: concat!("actord/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| {
            HostError::Failed(format!("can't speak to registries: {error}: is the package ca-certificates installed?"))
        })?;
        let credentials = credentials::look_up(&access.docker_config, host).await?;
        Ok(Self { client, reference, mirror, credentials, authorities, access: access.clone(), plain })
    }

    /// What a person calls it: `registry ghcr.io`, `mirror cache.lan:5000`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", if self.mirror { "mirror" } else { "registry" }, self.reference.registry())
    }

    /// Logs in, if the registry wants that.
    pub(crate) async fn log_in(&self) -> Result<(), Fault> {
        let auth = match &self.credentials {
            Credentials::Anonymous => RegistryAuth::Anonymous,
            Credentials::Basic(user, password) => RegistryAuth::Basic(user.clone(), password.clone()),
            Credentials::Bearer(token) => RegistryAuth::Bearer(token.clone()),
            Credentials::Identity(refresh) => RegistryAuth::Bearer(self.exchange(refresh).await?),
        };
        if let (Credentials::Identity(_), RegistryAuth::Bearer(token)) = (&self.credentials, &auth) {
            let token = RegistryTokenType::Bearer(RegistryToken::Token { token: token.clone() });
            self.client.tokens.insert(&self.reference, RegistryOperation::Pull, token).await;
        }
        let logged_in = self.client.auth(&self.reference, &auth, RegistryOperation::Pull);
        self.unstalled(logged_in).await?.map(drop).map_err(|error| Fault::of(&error))
    }

    async fn exchange(&self, refresh: &str) -> Result<String, Fault> {
        let scheme = if self.plain { "http" } else { "https" };
        let base = format!("{scheme}://{}/v2/", self.reference.resolve_registry());
        let exchange = Exchange {
            base: &base,
            repository: self.reference.repository(),
            authorities: &self.authorities,
            stall: self.access.stall,
        };
        self.unstalled(exchange.run(refresh)).await?
    }

    /// The bytes of what the reference names, or of a digest in its repository.
    pub(crate) async fn manifest(&self, digest: Option<&str>) -> Result<Bytes, Fault> {
        let named = match digest {
            Some(digest) => self.reference.clone_with_digest(digest.to_owned()),
            None => self.reference.clone(),
        };
        let pulled = self.client.pull_manifest_raw(&named, &RegistryAuth::Anonymous, MANIFESTS);
        let (bytes, _) = self.unstalled(pulled).await?.map_err(|error| Fault::of(&error))?;
        match bytes.len() as u64 {
            0..=DOCUMENT_LIMIT => Ok(bytes),
            size => Err(Fault::Permanent(format!("its manifest has {size} bytes; {DOCUMENT_LIMIT} are allowed"))),
        }
    }

    /// A blob's bytes from `offset` on, where the registry can do that.
    pub(crate) async fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Bytestream, Fault> {
        let digest = descriptor.digest().to_string();
        let asked = self.client.pull_blob_stream_partial(&self.reference, digest.as_str(), offset, None);
        let (resumed, body) = match self.unstalled(asked).await?.map_err(|error| Fault::of(&error))? {
            BlobResponse::Partial(body) => (true, body),
            BlobResponse::Full(body) => (offset == 0, body),
        };
        Ok(Bytestream { resumed, stream: Box::pin(body.stream.into_stream()) })
    }

    /// `call`, ended when the registry says nothing for too long.
    async fn unstalled<T>(&self, call: impl Future<Output = T>) -> Result<T, Fault> {
        let silent = |_| Fault::Transient(format!("the registry said nothing for {:?}", self.access.stall));
        timeout(self.access.stall, call).await.map_err(silent)
    }

    /// Whether logging in again gives a fresh token.
    pub(crate) fn renews(&self) -> bool {
        matches!(self.credentials, Credentials::Identity(_))
    }

    /// Why a registry's certificate is refused, with what to do about it.
    pub(crate) fn distrust(&self, why: &Untrusted) -> String {
        certs_d::advice(why, &self.access.authorities, self.reference.registry())
    }

    /// Why a registry denied us, with what to do about it.
    pub(crate) fn denial(&self) -> String {
        let host = self.reference.registry();
        let file = &self.access.docker_config;
        let (name, command) = (file.display(), credentials::login_command(file, host));
        match self.credentials {
            // Registries don't tell strangers what they don't have.
            Credentials::Anonymous => format!(
                "it wants credentials, or does not have the image; {name} has none for it: check the name, or run {command}"
            ),
            _ => format!("it refused the credentials that {name} has for it: renew them with {command}"),
        }
    }
}

/// Chooses the cryptography for all of the process's TLS, once.
fn install_tls() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that the choice has been made already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
