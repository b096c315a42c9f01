//! Pulling: registry -> content store. Resolves the manifest for this platform, then fetches its config and layers.
//!
//! Each blob goes through the same steps: kept under the lease -> looked up -> fetched from where the last attempt
//! ended -> digest compared by containerd. A blob that is there already is not fetched.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use containerd_client::types::Descriptor as Target;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;
use tokio::time::{sleep, timeout};

use super::content::{PlatformManifest, StoredImage, label_blob, read_config, sha256, stat_blob};
use super::fault::Fault;
use super::ingest::{Blob, CHUNK, Ingest, Uncommitted, ingest_name, write_blob};
use super::manifest::{self, DOCUMENT_LIMIT, Document, MAX_NESTING, Platform};
use super::progress::Counters;
use super::registry::{Bytestream, Registry};
use crate::host::containerd::connection::Lease;
use crate::host::keyed_lock::KeyedLock;
use crate::host::{HostError, Progress};

/// How often a pull says in the log how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The pauses between attempts: doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// An attempt that brought this much is no failure: a big image over a bad line comes to its end.
const PROGRESS: u64 = 1 << 20;

/// One image on its way from a registry into the content store.
pub(crate) struct Pull<'a> {
    pub(crate) lease: &'a Lease,
    pub(crate) locks: &'a KeyedLock<String>,
    pub(crate) registry: &'a Registry,
    /// The image as it was asked for, whatever its name at a mirror is.
    pub(crate) reference: &'a Reference,
    /// How many layers are fetched at once.
    pub(crate) parallel: usize,
    /// How many attempts in a row may fail.
    pub(crate) attempts: u32,
    /// How long may pass without a byte.
    pub(crate) stall: Duration,
    pub(crate) counters: Arc<Counters>,
    /// Whether the registry answered since the pull began.
    pub(crate) reached: AtomicBool,
}

/// The attempts at one thing.
#[derive(Debug, Default)]
struct Attempts {
    /// How many failed in a row.
    failed: u32,
    /// How many bytes the pull had when the last one failed.
    bytes: u64,
    /// Whether a fresh token was asked for.
    renewed: bool,
}

impl Pull<'_> {
    /// Fetches all that this platform needs. Returns what the reference names, an index or a manifest, and what is to be
    /// run of it.
    ///
    /// # Errors
    /// [`HostError::Image`] names the reference, the registry and why.
    pub(crate) async fn fetch(&self) -> Result<(Target, StoredImage), HostError> {
        let fetch = async {
            self.log_in().await?;
            let (target, platform) = self.resolve().await?;
            Ok((target, self.fetch_image(platform).await?))
        };
        tokio::select! {
            fetched = fetch => fetched,
            never = self.report() => match never {},
        }
    }

    /// Follows the reference to this platform's manifest and stores what is on the way.
    async fn resolve(&self) -> Result<(Target, PlatformManifest), HostError> {
        let mut target = None;
        let mut indices = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..=MAX_NESTING {
            let bytes = self.fetch_manifest(next.as_deref()).await?;
            let digest = sha256(&bytes);
            let wanted = next.as_deref().or_else(|| self.reference.digest());
            if wanted.is_some_and(|wanted| wanted != digest) {
                return Err(self.failure(&format!("digest mismatch: its manifest is {digest}, not what was asked for")));
            }
            let document = manifest::parse(&bytes).map_err(|why| self.failure(&why))?;
            write_blob(self.lease, &bytes).await?;
            self.note_source(&digest).await?;
            let described = Target {
                media_type: manifest::media_type(&document),
                digest: digest.clone(),
                size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
                annotations: HashMap::new(),
            };
            let target = target.get_or_insert(described);
            match document {
                Document::Manifest(manifest) => {
                    return Ok((target.clone(), PlatformManifest { indices, digest, manifest: *manifest }));
                }
                Document::Index(index) => {
                    let entry = Platform::host().choose(&index).map_err(|why| self.failure(&why))?;
                    next = Some(entry.digest().to_string());
                    indices.push((digest, entry.clone()));
                }
            }
        }
        Err(self.failure("its indices are nested too deep"))
    }

    /// Fetches the config, and then the layers, several at once.
    async fn fetch_image(&self, platform: PlatformManifest) -> Result<StoredImage, HostError> {
        let manifest = &platform.manifest;
        manifest::check_layers(manifest).map_err(|why| self.failure(&why))?;
        if manifest.config().size() > DOCUMENT_LIMIT {
            return Err(self.failure("its config is too big"));
        }
        // The config first: an image for another platform is refused before its layers are fetched.
        self.fetch_blob(manifest.config()).await?;
        let config = read_config(self.lease.containerd(), manifest).await.map_err(|error| match error {
            HostError::Image(why) => self.failure(&why),
            other => other,
        })?;
        self.counters.expect(manifest.layers());
        stream::iter(manifest.layers().clone())
            .map(|layer| self.fetch_layer(layer))
            .buffer_unordered(self.parallel.max(1))
            .try_collect::<()>()
            .await?;
        Ok(StoredImage::new(platform, config))
    }

    async fn fetch_layer(&self, layer: Descriptor) -> Result<(), HostError> {
        self.fetch_blob(&layer).await?;
        self.counters.at(layer.digest().as_ref(), layer.size());
        Ok(())
    }

    /// Fetches one blob, unless it is there.
    async fn fetch_blob(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        let digest = descriptor.digest().to_string();
        // Two images that share a layer fetch it once.
        let _locked = self.locks.lock(digest.as_str()).await;
        self.lease.keep_blob(&digest).await?;
        if stat_blob(self.lease.containerd(), &digest).await?.is_none() {
            let mut attempts = Attempts::default();
            while let Err(fault) = self.attempt(descriptor).await {
                self.after(fault, &mut attempts).await?;
            }
        }
        self.note_source(&digest).await
    }

    async fn attempt(&self, descriptor: &Descriptor) -> Result<(), Fault> {
        let digest = descriptor.digest().to_string();
        let size = descriptor.size();
        let blob = Blob { digest: Some(&digest), size };
        let Some(mut ingest) = Ingest::open(self.lease, &ingest_name(&digest), &blob).await? else { return Ok(()) };
        let mut begun_at = ingest.offset();
        if begun_at < size {
            let copied = async {
                let Bytestream { resumed, stream } = self.registry.blob(descriptor, begun_at).await?;
                if !resumed {
                    begun_at = 0;
                    ingest.restart();
                }
                self.copy(stream, &mut ingest, &digest, size).await
            };
            if let Err(fault) = copied.await {
                ingest.close().await;
                return Err(fault);
            }
        }
        match ingest.commit().await {
            Ok(_) => Ok(()),
            Err(Uncommitted::Host(error)) => Err(Fault::Host(error)),
            // What an earlier attempt left may be to blame: once more, from the first byte.
            Err(Uncommitted::Wrong(why)) if begun_at > 0 => Err(Fault::Transient(why)),
            Err(Uncommitted::Wrong(why)) => Err(Fault::Permanent(format!("digest mismatch in {digest}: {why}"))),
        }
    }

    /// Writes what comes; on an error what came before it is written too, for the next attempt to go on from.
    async fn copy<S>(&self, mut stream: S, ingest: &mut Ingest, digest: &str, size: u64) -> Result<(), Fault>
    where
        S: futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Unpin,
    {
        let mut buffer = Vec::with_capacity(CHUNK);
        let ended = loop {
            let chunk = match timeout(self.stall, stream.next()).await {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(error))) => break Err(Fault::of_stream(&error)),
                Ok(None) => break Ok(()),
                Err(_) => break Err(Fault::Transient(format!("no byte came for {:?}", self.stall))),
            };
            self.counters.receive(chunk.len());
            let here = ingest.offset() + (buffer.len() + chunk.len()) as u64;
            self.counters.at(digest, here);
            if here > size {
                return Err(Fault::Permanent(format!("the registry sent more than the {size} bytes of a blob")));
            }
            for part in chunk.chunks(CHUNK) {
                if buffer.len() + part.len() > CHUNK {
                    ingest.write(std::mem::replace(&mut buffer, Vec::with_capacity(CHUNK))).await?;
                }
                buffer.extend_from_slice(part);
            }
        };
        ingest.write(buffer).await?;
        ended?;
        match ingest.offset() {
            offset if offset < size => {
                Err(Fault::Transient(format!("the connection ended after {offset} of {size} bytes")))
            }
            _ => Ok(()),
        }
    }

    /// Notes on a blob where it came from, as containerd's own clients do: a push can then mount it.
    async fn note_source(&self, digest: &str) -> Result<(), HostError> {
        let label = format!("containerd.io/distribution.source.{}", self.reference.registry());
        let info = stat_blob(self.lease.containerd(), digest).await?.unwrap_or_default();
        let known = info.labels.get(&label).map_or("", String::as_str);
        let repository = self.reference.repository();
        if known.split(',').any(|name| name == repository) {
            return Ok(());
        }
        let sources = if known.is_empty() { repository.to_owned() } else { format!("{known},{repository}") };
        // containerd's limit for a label.
        if label.len() + sources.len() > 4096 {
            return Ok(());
        }
        label_blob(self.lease.containerd(), digest, HashMap::from([(label, sources)])).await
    }

    async fn log_in(&self) -> Result<(), HostError> {
        let mut attempts = Attempts::default();
        while let Err(fault) = self.registry.log_in().await {
            self.after(fault, &mut attempts).await?;
        }
        self.reached.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn fetch_manifest(&self, digest: Option<&str>) -> Result<bytes::Bytes, HostError> {
        let mut attempts = Attempts::default();
        loop {
            match self.registry.manifest(digest).await {
                Ok(bytes) => {
                    self.reached.store(true, Ordering::Relaxed);
                    return Ok(bytes);
                }
                Err(fault) => self.after(fault, &mut attempts).await?,
            }
        }
    }

    /// After an attempt that failed: waits, or says why there is no point in another.
    async fn after(&self, fault: Fault, attempts: &mut Attempts) -> Result<(), HostError> {
        let why = match fault {
            Fault::Transient(why) => why,
            // It was there a moment ago: a restart.
            Fault::Unreachable(why) if self.reached.load(Ordering::Relaxed) => why,
            Fault::Unreachable(why) => return Err(self.failure(&why)),
            Fault::Untrusted(why) => return Err(self.failure(&self.registry.distrust(&why))),
            // The access token may have expired during a long pull.
            Fault::Denied if self.registry.renews() && !std::mem::replace(&mut attempts.renewed, true) => {
                return match self.registry.log_in().await {
                    Err(Fault::Denied) => Err(self.failure(&self.registry.denial())),
                    _ => Ok(()),
                };
            }
            Fault::Denied => return Err(self.failure(&self.registry.denial())),
            Fault::Permanent(why) => return Err(self.failure(&why)),
            Fault::Host(error) => return Err(error),
        };
        let bytes = self.counters.received();
        if bytes.saturating_sub(attempts.bytes) >= PROGRESS {
            *attempts = Attempts::default();
        }
        attempts.bytes = bytes;
        attempts.failed += 1;
        if attempts.failed >= self.attempts.max(1) {
            return Err(self.failure(&format!("{why} (tried {} times)", attempts.failed)));
        }
        tracing::warn!(image = %self.reference, why, failed = attempts.failed, "pull: trying again");
        let pause = FIRST_PAUSE.saturating_mul(1 << attempts.failed.min(8)).min(LONGEST_PAUSE);
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        Ok(())
    }

    async fn report(&self) -> std::convert::Infallible {
        loop {
            sleep(REPORT_EVERY).await;
            let Progress { pulled, total } = self.counters.progress();
            tracing::info!(image = %self.reference, from = self.registry.name(), bytes = pulled, of = total, "pulling");
        }
    }

    fn failure(&self, why: &str) -> HostError {
        HostError::Image(format!("can't pull {} from {}: {why}", self.reference, self.registry.name()))
    }
}
