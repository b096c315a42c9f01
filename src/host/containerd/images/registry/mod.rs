//! One repository of one registry, over HTTP: manifests, and blobs from an offset.
//!
//! ```text
//! Registry -> Session (logs in where it is asked to: challenge, token) -> answer
//!                                                                      -> Refusal (retry_after) -> Fault
//! ```
//!
//! What to do about a fault is `pull`'s.

mod challenge;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod refusal;
mod retry_after;
mod session;
mod token;

use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;
use reqwest::header::{ACCEPT, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::timeout;

use self::refusal::is_web_page;
use self::session::Session;
use super::certs_d;
use super::credentials::{self, Credentials};
use super::fault::{Fault, Untrusted};
use super::manifest::DOCUMENT_LIMIT;
use super::mirrors::Source;
use super::reference::speaks_plain_http;
use crate::host::HostError;

/// The longest that connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// The kinds of manifests that are understood. What is of another kind is asked for too: its name makes a better error.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
    */*;q=0.1";

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
    session: Session,
    reference: Reference,
    mirror: bool,
    access: Access,
}

/// A blob's bytes from some offset on.
pub(crate) struct Bytestream {
    /// Whether it begins at the offset that was asked for; else at the blob's first byte.
    pub(crate) resumed: bool,
    /// How many bytes the whole blob has here, where the registry says that.
    pub(crate) size: Option<u64>,
    /// The bytes as they come.
    pub(crate) stream: BoxStream<'static, Result<Bytes, Fault>>,
}

impl Registry {
    /// Looks up credentials and certificates. Sends nothing yet.
    pub(crate) async fn new(source: Source, access: &Access) -> Result<Self, HostError> {
        let Source { reference, mirror } = source;
        let host = reference.registry();
        let plain = speaks_plain_http(host, &access.insecure);
        let base = format!("{}://{}/", if plain { "http" } else { "https" }, reference.resolve_registry());
        let base = Url::parse(&base).map_err(|error| HostError::Image(format!("registry {host}: {error}")))?;
        let client = client(access, host, plain).await?;
        let credentials = credentials::look_up(&access.docker_config, host).await?;
        let scope = format!("repository:{}:pull", reference.repository());
        let session = Session::new(client, base, credentials, scope, access.insecure.clone());
        Ok(Self { session, reference, mirror, access: access.clone() })
    }

    /// What a person calls it: `registry ghcr.io`, `mirror cache.lan:5000`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", if self.mirror { "mirror" } else { "registry" }, self.reference.registry())
    }

    /// Whether it is a mirror.
    pub(crate) fn is_mirror(&self) -> bool {
        self.mirror
    }

    /// Whether it ever answered.
    pub(crate) fn was_answered(&self) -> bool {
        self.session.was_answered()
    }

    /// The bytes of what the reference names, or of a digest or another tag in its repository.
    pub(crate) async fn manifest(&self, name: Option<&str>) -> Result<Bytes, Fault> {
        let named = name.or(self.reference.digest()).or(self.reference.tag()).unwrap_or("latest");
        let fields = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(MANIFESTS))]);
        self.document(&format!("manifests/{named}"), &fields).await
    }

    /// The index of what refers to a digest, where the registry keeps one.
    pub(crate) async fn referrers(&self, digest: &str) -> Result<Bytes, Fault> {
        self.document(&format!("referrers/{digest}"), &HeaderMap::new()).await
    }

    async fn document(&self, path: &str, fields: &HeaderMap) -> Result<Bytes, Fault> {
        let fetched = async {
            let mut answer = self.get(path, fields).await?;
            if is_web_page(&answer) {
                return Err(web_page(&answer));
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|error| Fault::of_body(&error))? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() as u64 > DOCUMENT_LIMIT {
                    let why = format!("its manifest has more than the {DOCUMENT_LIMIT} bytes that are allowed");
                    return Err(Fault::Permanent(why));
                }
            }
            Ok(Bytes::from(bytes))
        };
        self.unstalled(fetched).await
    }

    /// A blob's bytes from `offset` on, where the registry can do that.
    pub(crate) async fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Bytestream, Fault> {
        let path = format!("blobs/{}", descriptor.digest());
        let mut fields = HeaderMap::new();
        if offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={offset}-"));
            fields.extend(range.ok().map(|range| (RANGE, range)));
        }
        let answer = match self.unstalled(self.get(&path, &fields)).await {
            // There is less of it than there should be, or ranges are not understood: the whole of it tells.
            Err(Fault::NotInRange) if offset > 0 => self.unstalled(self.get(&path, &HeaderMap::new())).await?,
            answered => answered?,
        };
        if is_web_page(&answer) {
            return Err(web_page(&answer));
        }
        let resumed = offset == 0 || begins_at(&answer, offset);
        if answer.status() == StatusCode::PARTIAL_CONTENT && !resumed {
            return Err(Fault::Permanent("it answered with another range than was asked for".to_owned()));
        }
        let size = answer.content_length().map(|length| if resumed { offset + length } else { length });
        Ok(Bytestream { resumed, size, stream: Box::pin(stream::try_unfold(answer, next_chunk)) })
    }

    async fn get(&self, path: &str, fields: &HeaderMap) -> Result<Response, Fault> {
        self.session.get(&format!("v2/{}/{path}", self.reference.repository()), fields).await
    }

    /// `call`, ended when the registry says nothing for too long.
    async fn unstalled<T>(&self, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let silent = |_| Err(Fault::Transient(format!("the registry said nothing for {:?}", self.access.stall)));
        timeout(self.access.stall, call).await.unwrap_or_else(silent)
    }

    /// Why a registry's certificate is refused, with what to do about it.
    pub(crate) fn distrust(&self, why: &Untrusted) -> String {
        certs_d::advice(why, &self.access.authorities, self.reference.registry())
    }

    /// Why a registry denied us, with its own words, if there are any, and with what to do about it.
    pub(crate) fn denial(&self, words: &str) -> String {
        let words = if words.is_empty() { String::new() } else { format!(" (it says: {words})") };
        let host = self.reference.registry();
        let file = &self.access.docker_config;
        let (name, command) = (file.display(), credentials::login_command(file, host));
        match self.session.credentials() {
            // Registries don't tell strangers what they don't have.
            Credentials::Anonymous => format!(
                "it wants credentials, or does not have the image{words}; {name} has none for it: check the name, or run {command}"
            ),
            _ => format!("it refused the credentials that {name} has for it{words}: renew them with {command}"),
        }
    }
}

/// A client for a registry: its certificates, its deadlines, and the proxies that the environment names.
async fn client(access: &Access, host: &str, plain: bool) -> Result<Client, HostError> {
    install_tls();
    let unusable = |error: reqwest::Error| {
        HostError::Failed(format!("can't speak to registries: {error}: is the package ca-certificates installed?"))
    };
    let authorities = if plain { Vec::new() } else { certs_d::authorities(&access.authorities, host).await? };
    let authorities = authorities.iter().map(|authority| reqwest::Certificate::from_der(authority));
    Client::builder()
        .tls_certs_merge(authorities.collect::<Result<Vec<_>, _>>().map_err(unusable)?)
        .read_timeout(access.stall)
        .connect_timeout(access.stall.min(CONNECT_DEADLINE))
        .user_agent(concat!("actord/", env!("CARGO_PKG_VERSION")))
        // What keeps a registry's blobs need not know where it was asked for them.
        .referer(false)
        .build()
        .map_err(unusable)
}

/// Whether an answer is the range from `offset` on.
fn begins_at(answer: &Response, offset: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    let begin = range.trim_start_matches("bytes").trim_start().split('-').next().unwrap_or_default();
    answer.status() == StatusCode::PARTIAL_CONTENT && (range.is_empty() || begin.parse() == Ok(offset))
}

async fn next_chunk(mut answer: Response) -> Result<Option<(Bytes, Response)>, Fault> {
    let chunk = answer.chunk().await.map_err(|error| Fault::of_body(&error))?;
    Ok(chunk.map(|chunk| (chunk, answer)))
}

fn web_page(answer: &Response) -> Fault {
    let place = refusal::place(answer.url());
    Fault::Permanent(format!(
        "{place} answered with a web page: is that a registry, or a page to log in at that stands before it?"
    ))
}

/// Chooses the cryptography for all of the process's TLS, once.
fn install_tls() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that the choice has been made already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
