//! Pulling: registry -> content store. Resolves the manifest for this platform, then fetches its config and layers.
//!
//! Each blob goes through the same steps: kept under the lease -> looked up -> fetched from where the last attempt
//! ended -> digest compared by containerd. A blob that is there already is not fetched.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use containerd_client::types::Descriptor as Target;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci_spec::distribution::Reference;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};
use tokio::time::{Instant, sleep, timeout};

use super::attempts::Attempts;
use super::content::{StoredImage, label_blob, read_any_config, read_config, stat_blob};
use super::digest::sha256;
use super::fault::Fault;
use super::ingest::{Blob, CHUNK, Ingest, Uncommitted, ingest_name, write_blob};
use super::manifest::{self, DOCUMENT_LIMIT};
use super::part::Part;
use super::platform::Platform;
use super::progress::Counters;
use super::registry::{Bytestream, Registry};
use super::resolve::{Documents, PlatformManifest, Resolved, resolve};
use super::room;
use super::signatures::Demand;
use crate::host::containerd::connection::Lease;
use crate::host::keyed_lock::KeyedLock;
use crate::host::{HostError, Progress};

/// How often a pull says in the log how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The longest that a mirror may ask us to wait: another place may have the image now.
const MIRROR_PATIENCE: Duration = Duration::from_secs(5);

/// What a pull goes by, wherever the image comes from.
pub(crate) struct Terms<'a> {
    /// What is fetched is kept under this.
    pub(crate) lease: &'a Lease,
    /// How many bytes were fetched.
    pub(crate) fetched: &'a AtomicU64,
    /// How long a pull may take, and when this one will have taken so long.
    pub(crate) limit: Duration,
    pub(crate) deadline: Instant,
}

/// One image on its way from a registry into the content store.
pub(crate) struct Pull<'a> {
    pub(crate) terms: &'a Terms<'a>,
    pub(crate) locks: &'a KeyedLock<String>,
    pub(crate) registry: &'a Registry,
    /// The image as it was asked for, whatever its name at a mirror is.
    pub(crate) reference: &'a Reference,
    /// What it must be signed by, if it must.
    pub(crate) demand: Option<&'a Demand>,
    /// How many layers are fetched at once.
    pub(crate) parallel: usize,
    /// How many attempts in a row may fail.
    pub(crate) attempts: u32,
    /// How long may pass without a byte.
    pub(crate) stall: Duration,
    /// The directory whose disk has to have room for it, where that is known.
    pub(crate) root: Option<&'a Path>,
    /// Whether what is unpacked is copied for user namespaces.
    pub(crate) copied: bool,
    pub(crate) counters: Arc<Counters>,
}

impl Pull<'_> {
    /// Fetches all that this platform needs. Returns what the reference names, an index or a manifest, and what is to be
    /// run of it.
    ///
    /// # Errors
    /// [`HostError::Image`] names the reference, the registry and why.
    pub(crate) async fn fetch(&self) -> Result<(Target, StoredImage), HostError> {
        let fetch = async {
            let Resolved { target, platform } = resolve(self, None, &Platform::host()).await?;
            if let Some(demand) = self.demand {
                self.check_signature(demand, &target.digest).await?;
            }
            Ok((target, self.fetch_image(platform).await?))
        };
        tokio::select! {
            fetched = fetch => fetched,
            never = self.report() => match never {},
        }
    }

    /// Fetches the config, and then the layers, several at once.
    async fn fetch_image(&self, platform: PlatformManifest) -> Result<StoredImage, HostError> {
        let manifest = &platform.manifest;
        manifest::check_layers(manifest).map_err(|why| self.failure(&why))?;
        // The config first: an image for another platform is refused before its layers are fetched.
        self.fetch_config(manifest).await?;
        let config = read_config(self.terms.lease.containerd(), manifest).await.map_err(|error| self.blame(error))?;
        self.must_fit(manifest).await?;
        self.counters.expect(manifest.layers());
        let of = manifest.layers().len();
        stream::iter(manifest.layers().clone().into_iter().zip(1..))
            .map(|(layer, number)| self.fetch_layer(layer, number, of))
            .buffer_unordered(self.parallel.max(1))
            .try_collect::<()>()
            .await?;
        Ok(StoredImage::new(platform, config))
    }

    /// Refuses an image that there is no room for, before its layers are fetched.
    async fn must_fit(&self, manifest: &ImageManifest) -> Result<(), HostError> {
        let Some(root) = self.root else { return Ok(()) };
        let mut missing = 0_u64;
        for layer in manifest.layers() {
            if stat_blob(self.terms.lease.containerd(), layer.digest().as_ref()).await?.is_none() {
                missing = missing.saturating_add(layer.size());
            }
        }
        room::must_fit(&self.reference.to_string(), missing, self.copied, root).await
    }

    async fn fetch_config(&self, manifest: &ImageManifest) -> Result<(), HostError> {
        if manifest.config().size() > DOCUMENT_LIMIT {
            return Err(self.failure("its config is too big"));
        }
        let digest = manifest.config().digest().to_string();
        self.fetch_blob(manifest.config(), Part::Config(&digest)).await
    }

    async fn fetch_layer(&self, layer: Descriptor, number: usize, of: usize) -> Result<(), HostError> {
        let digest = layer.digest().to_string();
        self.fetch_blob(&layer, Part::Layer { digest: &digest, number, of }).await?;
        self.counters.at(&digest, layer.size());
        Ok(())
    }

    /// Fetches one blob, unless it is there.
    pub(super) async fn fetch_blob(&self, descriptor: &Descriptor, part: Part<'_>) -> Result<(), HostError> {
        let mut attempts = Attempts::new(self.attempts);
        while let Err(fault) = self.attempt_alone(descriptor, &mut attempts).await {
            // While this one waits, another pull may fetch the blob from elsewhere.
            self.after(fault, &mut attempts, part).await?;
        }
        Ok(())
    }

    /// One attempt, beside no other at the same blob: two images that share a layer fetch it once.
    async fn attempt_alone(&self, descriptor: &Descriptor, attempts: &mut Attempts) -> Result<(), Fault> {
        let digest = descriptor.digest().to_string();
        let _locked = self.locks.lock(digest.as_str()).await;
        self.terms.lease.keep_blob(&digest).await?;
        if stat_blob(self.terms.lease.containerd(), &digest).await?.is_none() {
            self.attempt(descriptor, attempts).await?;
        }
        Ok(self.note_source(&digest).await?)
    }

    async fn attempt(&self, descriptor: &Descriptor, attempts: &mut Attempts) -> Result<(), Fault> {
        let digest = descriptor.digest().to_string();
        let size = descriptor.size();
        let blob = Blob { digest: Some(&digest), size };
        let Some(mut ingest) = Ingest::open(self.terms.lease, &ingest_name(&digest), &blob).await? else {
            return Ok(());
        };
        let begun_at = ingest.offset();
        if begun_at < size {
            let copied = async {
                let bytes = self.registry.blob(descriptor, begun_at).await?;
                self.copy(bytes, &mut ingest, descriptor).await
            };
            let copied = copied.await;
            attempts.reached(ingest.offset());
            if let Err(fault) = copied {
                ingest.close().await;
                return Err(fault);
            }
        }
        match ingest.commit().await {
            Ok(_) => Ok(()),
            Err(Uncommitted::Host(error)) => Err(Fault::Host(error)),
            // What an earlier attempt left may be to blame: once more, from the first byte.
            Err(Uncommitted::Wrong(why)) if begun_at > 0 => Err(Fault::Transient(why)),
            Err(Uncommitted::Wrong(why)) => Err(Fault::Permanent(format!(
                "digest mismatch: the registry has other bytes under that name: {why}: push the image again"
            ))),
        }
    }

    /// Writes what comes from where the ingest ends; on an error what came before it is written too, for the next attempt
    /// to go on from.
    async fn copy(&self, bytes: Bytestream, ingest: &mut Ingest, descriptor: &Descriptor) -> Result<(), Fault> {
        let (digest, size) = (descriptor.digest().as_ref(), descriptor.size());
        let Bytestream { resumed, size: found, mut stream } = bytes;
        let damaged = |has: &str| {
            Fault::Permanent(format!("damaged: the registry {has} that its manifest says: push the image again"))
        };
        match found {
            Some(found) if found > size => return Err(damaged(&format!("has {found} bytes, more than the {size}"))),
            Some(found) if found < size => return Err(damaged(&format!("has only {found} of the {size} bytes"))),
            _ => {}
        }
        // A registry that knows no ranges sends again what is here already.
        let mut skip = if resumed { 0 } else { ingest.offset() };
        let mut buffer = Vec::with_capacity(CHUNK);
        let ended = loop {
            let mut chunk = match timeout(self.stall, stream.next()).await {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(fault))) => break Err(fault),
                Ok(None) => break Ok(()),
                Err(_) => break Err(Fault::Transient(format!("no byte came for {:?}", self.stall))),
            };
            self.counters.receive(chunk.len());
            self.terms.fetched.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            let skipped = chunk.split_to(usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len()));
            skip -= skipped.len() as u64;
            let here = ingest.offset() + (buffer.len() + chunk.len()) as u64;
            self.counters.at(digest, here);
            if here > size {
                return Err(damaged(&format!("sends more than the {size} bytes")));
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
        let info = stat_blob(self.terms.lease.containerd(), digest).await?.unwrap_or_default();
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
        label_blob(self.terms.lease.containerd(), digest, HashMap::from([(label, sources)])).await
    }

    async fn fetch_manifest(&self, digest: Option<&str>) -> Result<bytes::Bytes, HostError> {
        let mut attempts = Attempts::new(self.attempts);
        loop {
            match self.registry.manifest(digest).await {
                Ok(bytes) => return Ok(bytes),
                Err(fault) => self.after(fault, &mut attempts, digest.map_or(Part::Named, Part::Manifest)).await?,
            }
        }
    }

    /// After an attempt that failed: waits, or says why there is no point in another.
    pub(super) async fn after(&self, fault: Fault, attempts: &mut Attempts, part: Part<'_>) -> Result<(), HostError> {
        let named = matches!(part, Part::Named);
        let of_part = |why: &str| if named { self.failure(why) } else { self.failure(&format!("{part}: {why}")) };
        let why = match fault {
            Fault::Transient(why) => why,
            Fault::Busy { why, wait } => match self.wait(&why, wait, attempts).await {
                Ok(true) => return Ok(()),
                Ok(false) => why,
                Err(why) => return Err(of_part(&why)),
            },
            // It was there a moment ago: a restart.
            Fault::Unreachable(why) if self.registry.was_answered() => why,
            Fault::Unreachable(why) => return Err(of_part(&why)),
            Fault::Untrusted(why) => return Err(self.failure(&self.registry.distrust(&why))),
            Fault::Denied(words) => return Err(of_part(&self.registry.denial(&words))),
            Fault::NotFound if named => return Err(self.failure("not found there: check the name and the tag")),
            Fault::NotFound => {
                let why = "was pushed only in part, or has lost it since: push the image again";
                return Err(self.failure(&format!("{part} is not there: the image {why}")));
            }
            Fault::Permanent(why) => return Err(of_part(&why)),
            Fault::NotInRange => return Err(of_part("it refused the range of the whole")),
            Fault::Host(error) => return Err(error),
        };
        let Some(pause) = attempts.fail() else {
            return Err(of_part(&format!("{why} (tried {} times)", attempts.failed())));
        };
        tracing::warn!(image = %self.reference, %part, why, failed = attempts.failed(), "pull: trying again");
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        Ok(())
    }

    /// Waits as long as the server asks for; whether it did. A mirror is not waited for: it counts as one that failed.
    async fn wait(&self, why: &str, asked: Duration, attempts: &mut Attempts) -> Result<bool, String> {
        let wait = attempts.wait(asked);
        if self.registry.is_mirror() {
            return match asked > MIRROR_PATIENCE {
                true => Err(format!("{why}, and asks to wait {} s", asked.as_secs())),
                false => Ok(false),
            };
        }
        if wait >= self.terms.deadline.saturating_duration_since(Instant::now()) {
            return Err(format!(
                "{why}, and asks to wait {} s: that is longer than the pull may still take (pull-timeout, {} s)",
                asked.as_secs(),
                self.terms.limit.as_secs()
            ));
        }
        tracing::warn!(image = %self.reference, why, wait = asked.as_secs(), "pull: the registry asks to wait");
        self.counters.wait(wait);
        // Those that were asked to wait equally long don't come back all at once.
        sleep(wait + Duration::from_millis(rand::random_range(0..500))).await;
        Ok(true)
    }

    /// An error about what came from this registry, with its name.
    pub(crate) fn blame(&self, error: HostError) -> HostError {
        match error {
            HostError::Image(why) => self.failure(&why),
            other => other,
        }
    }

    async fn report(&self) -> std::convert::Infallible {
        loop {
            sleep(REPORT_EVERY).await;
            let Progress { pulled, total, .. } = self.counters.progress();
            tracing::info!(image = %self.reference, from = self.registry.name(), bytes = pulled, of = total, "pulling");
        }
    }

    pub(super) fn failure(&self, why: &str) -> HostError {
        HostError::Image(format!("can't pull {} from {}: {why}", self.reference, self.registry.name()))
    }
}

#[async_trait]
impl Documents for Pull<'_> {
    async fn manifest(&self, digest: Option<&str>) -> Result<Vec<u8>, HostError> {
        let bytes = self.fetch_manifest(digest).await?;
        let found = sha256(&bytes);
        if digest.or_else(|| self.reference.digest()).is_some_and(|wanted| wanted != found) {
            return Err(self.failure(&format!("digest mismatch: its manifest is {found}, not what was asked for")));
        }
        // What can't be read is not worth a place among the blobs.
        manifest::parse(&bytes).map_err(|why| self.failure(&why))?;
        write_blob(self.terms.lease, &bytes).await?;
        self.note_source(&found).await?;
        Ok(bytes.into())
    }

    async fn config(&self, manifest: &ImageManifest) -> Result<ImageConfiguration, HostError> {
        self.fetch_config(manifest).await?;
        read_any_config(self.terms.lease.containerd(), manifest).await.map_err(|error| self.blame(error))
    }

    fn wrong(&self, _digest: &str, why: &str) -> HostError {
        self.failure(why)
    }
}
