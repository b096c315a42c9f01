//! Images on containerd: the pull policy decides between what is here and what a registry has.
//!
//! ```text
//! reference -> local?  record -> signatures -> content -> snapshot there ----------------> Image
//!           -> pull:   registry (credentials, certs_d, mirrors) -> resolve -> signatures -> content -> unpack -> record -> Image
//! archive   -> import: tarball -> content -> unpack -> record      export: record -> content -> archive
//! for user namespaces, between unpack and record: remap, a copy of the image's files with other owners
//! ```

mod archive_contents;
mod archive_index;
mod attempts;
mod certs_d;
pub mod content;
mod credentials;
mod digest;
mod docker_saved;
mod docker_v1;
mod export;
mod fault;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod import;
mod index;
mod ingest;
mod known;
mod manifest;
mod mirrors;
mod parked;
mod part;
mod platform;
mod progress;
mod pull;
mod record;
mod reference;
mod registry;
mod remap;
mod resolve;
mod room;
mod signatures;
mod snapshots;
mod tarball;
mod unpack;
mod zstd;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use containerd_client::types::Descriptor as Target;
use oci_spec::distribution::Reference;
use tokio::time::Instant;

use self::content::{StoredImage, read_image, stat_blob};
use self::known::{Known, KnownImage};
pub use self::mirrors::Mirror;
use self::mirrors::Source;
use self::parked::Parked;
use self::progress::Pulls;
use self::pull::{Pull, Terms};
use self::record::Origin;
use self::registry::{Access, Registry};
pub use self::signatures::SignatureKey;
use self::signatures::{Demand, Signers};
use self::unpack::has_snapshot;
use super::connection::{self, Containerd, Lease};
use crate::host::keyed_lock::{KeyGuard, KeyedLock};
use crate::host::{HostError, IdMapping, Image, Images, Progress, PullPolicy, PulledImage};

/// How images are pulled.
#[derive(Debug, Clone)]
pub struct ImagesOptions {
    /// containerd's snapshotter: `overlayfs`.
    pub snapshotter: String,
    /// docker's config.json with the registries' credentials; it need not exist.
    pub docker_config: PathBuf,
    /// Registries (`host` or `host:port`) that are spoken to in plain http, besides those on this machine.
    pub insecure_registries: Vec<String>,
    /// Registries that are asked before others, in this order.
    pub mirrors: Vec<Mirror>,
    /// Files and directories, as docker's `certs.d`, with certificates of authorities that may vouch for registries.
    pub authorities: Vec<PathBuf>,
    /// Who must have signed which images.
    pub signature_keys: Vec<SignatureKey>,
    /// How many layers of an image are fetched at once.
    pub parallel_layers: usize,
    /// How long a registry may send nothing before the attempt is given up.
    pub stall: Duration,
    /// How many attempts in a row may fail before a pull does.
    pub attempts: u32,
    /// How long a pull may take: a registry that asks to wait longer is not waited for.
    pub limit: Duration,
    /// Where containerd keeps images, to look whether one fits before it is pulled; None: that is not known.
    pub root: Option<PathBuf>,
    /// How users and groups of images are mapped in user namespaces; none: their instances have none.
    pub ids: Option<IdMapping>,
}

impl ImagesOptions {
    /// The defaults, with credentials from this file.
    #[must_use]
    pub fn new(docker_config: PathBuf) -> Self {
        Self {
            snapshotter: "overlayfs".to_owned(),
            docker_config,
            insecure_registries: Vec::new(),
            mirrors: Vec::new(),
            authorities: Vec::new(),
            signature_keys: Vec::new(),
            parallel_layers: 3,
            stall: Duration::from_secs(60),
            attempts: 5,
            limit: Duration::from_secs(30 * 60),
            root: None,
            ids: None,
        }
    }
}

/// The images of one containerd.
#[derive(Debug, Clone)]
pub struct ContainerdImages {
    containerd: Containerd,
    options: ImagesOptions,
    access: Access,
    signers: Signers,
    locks: KeyedLock<String>,
    pulls: Pulls,
    parked: Parked,
    known: Known,
}

impl ContainerdImages {
    /// Images of `containerd`. Sends nothing yet.
    #[must_use]
    pub fn new(containerd: Containerd, options: ImagesOptions) -> Self {
        let access = Access {
            docker_config: options.docker_config.clone(),
            insecure: options.insecure_registries.clone(),
            authorities: options.authorities.clone(),
            stall: options.stall,
        };
        let signers = Signers::new(options.signature_keys.clone());
        let (locks, pulls, parked, known) = Default::default();
        Self { containerd, options, access, signers, locks, pulls, parked, known }
    }

    /// Ends the leases that a killed run of this installation left, before anything is pulled, and lets go of the copies that
    /// an earlier setting had made for user namespaces. Returns how many leases there were.
    ///
    /// # Errors
    /// As containerd says.
    pub async fn recover(&self) -> Result<usize, HostError> {
        let ended = connection::end_stale(&self.containerd).await?;
        record::let_go_of_copies(&self.containerd, &self.options.snapshotter, self.options.ids).await?;
        Ok(ended)
    }

    /// How many images there are, and how many bytes they have as they came: before they were unpacked.
    ///
    /// # Errors
    /// As containerd says.
    pub async fn kept(&self) -> Result<(usize, u64), HostError> {
        tokio::try_join!(record::count(&self.containerd), content::size(&self.containerd))
    }

    /// The image, if all that is needed to run it is on this machine. Unpacks it again where only that is missing.
    async fn local(&self, reference: &Reference, demand: Option<&Demand>) -> Result<Local, HostError> {
        let _locked = self.lock_name(&reference.whole()).await;
        match self.find_local(reference, demand).await {
            // A part is missing, or can't be read: as good as not here. A pull replaces it.
            Err(HostError::NotFound(what) | HostError::Image(what)) => {
                tracing::info!(image = %reference, what, "the image on this machine is not complete");
                Ok(Local::Absent)
            }
            found => found,
        }
    }

    async fn find_local(&self, reference: &Reference, demand: Option<&Demand>) -> Result<Local, HostError> {
        let name = reference.whole();
        let known = self.known.of(&name);
        let (recorded, complete) =
            tokio::join!(record::look_up(&self.containerd, &name), self.is_complete(known.as_ref()));
        let recorded = recorded?;
        if recorded.as_ref().is_some_and(|recorded| recorded.unneeded.is_some()) {
            record::note_unneeded(&self.containerd, &name, None).await?;
        }
        let recorded = recorded.map(|recorded| recorded.target);
        let recorded_digest = recorded.as_ref().map(|target| target.digest.clone());
        let Some(target) = self.stands_for(recorded, reference).await? else { return Ok(Local::Absent) };
        if let Some(demand) = demand {
            match demand.met_here(&self.containerd, &target.digest).await {
                Err(HostError::Image(why)) => return Ok(Local::Unsigned(why)),
                Err(error @ HostError::NotFound(_)) => return Ok(Local::Unsigned(error.to_string())),
                met => met?,
            }
        }
        let named = recorded_digest.as_ref() == Some(&target.digest);
        // What a digest stands for never changes: only whether it is there has to be asked.
        if let Some(known) = known.filter(|known| named && complete && known.target == target.digest) {
            return Ok(Local::Usable(known.image));
        }
        let stored = read_image(&self.containerd, &target.digest).await?;
        // It may be there for instances alone, since another setting let go of it.
        record::refer_to_copy(&self.containerd, &stored, &self.options.snapshotter, self.options.ids).await?;
        let config = stored.platform.manifest.config().digest().to_string();
        let image = self.image(name.clone(), &stored);
        if named && self.has_snapshots(&image).await? {
            self.known.note(KnownImage { target: target.digest, config, image: image.clone() });
            return Ok(Local::Usable(image));
        }
        for layer in stored.platform.manifest.layers() {
            if stat_blob(&self.containerd, layer.digest().as_ref()).await?.is_none() {
                return Err(HostError::NotFound(format!("layer {}", layer.digest())));
            }
        }
        let lease = self.lease().await?;
        let completed = self.complete(&lease, &stored, &target, &name, Origin::Here).await;
        lease.settle(completed).await?;
        Ok(Local::Usable(image))
    }

    /// Whether what instances begin from is there.
    async fn has_snapshots(&self, image: &Image) -> Result<bool, HostError> {
        if image.chain_id.is_empty() {
            return Ok(false);
        }
        let has = async |snapshot: &str| has_snapshot(&self.containerd, &self.options.snapshotter, snapshot).await;
        let copied = async {
            match &image.mapped {
                Some(copy) => has(&copy.snapshot).await,
                None => Ok(true),
            }
        };
        let (unpacked, copied) = tokio::join!(has(&image.chain_id), copied);
        Ok(unpacked? && copied?)
    }

    /// Whether all that is known of an image is there. Where that can't be told, it is read anew.
    async fn is_complete(&self, known: Option<&KnownImage>) -> bool {
        let Some(KnownImage { target, config, image }) = known else { return false };
        let has = async |digest: &str| stat_blob(&self.containerd, digest).await.is_ok_and(|blob| blob.is_some());
        let (target, manifest, config, snapshot) =
            tokio::join!(has(target), has(&image.digest), has(config), self.has_snapshots(image));
        target && manifest && config && snapshot.unwrap_or(false)
    }

    /// What a reference stands for on this machine, where its name is recorded as this.
    async fn stands_for(&self, recorded: Option<Target>, reference: &Reference) -> Result<Option<Target>, HostError> {
        match (recorded, reference.digest()) {
            (Some(target), Some(digest)) if target.digest != digest => self.by_digest(digest).await,
            (Some(target), _) => Ok(Some(target)),
            // Content is known by its digest whatever name it came under.
            (None, Some(digest)) => self.by_digest(digest).await,
            (None, None) => Ok(None),
        }
    }

    /// What a digest names in the content store, if it is there.
    async fn by_digest(&self, digest: &str) -> Result<Option<Target>, HostError> {
        let Some(info) = stat_blob(&self.containerd, digest).await? else { return Ok(None) };
        let bytes = content::read_blob(&self.containerd, digest).await?;
        let document = manifest::parse(&bytes).map_err(|why| manifest::wrong_document(digest, &why))?;
        Ok(Some(Target {
            media_type: manifest::media_type(&document),
            digest: digest.to_owned(),
            size: info.size,
            ..Target::default()
        }))
    }

    async fn pull(&self, reference: &Reference, demand: Option<&Demand>) -> Result<Image, HostError> {
        let name = reference.whole();
        let deadline = Instant::now() + self.options.limit;
        let lease = self.parked.lease(&self.containerd, &name).await?;
        let pull = async |lease: &Lease, fetched: &AtomicU64| {
            let terms = Terms { lease, fetched, limit: self.options.limit, deadline };
            self.pull_under(&terms, reference, demand).await
        };
        let pulled = lease.under(pull).await?;
        Ok(self.image(name, &pulled))
    }

    /// Pulls from the first mirror that can give the whole image, at last from the registry itself. What came from one
    /// that failed is kept for the next: a blob is known by its digest wherever it comes from.
    async fn pull_under(
        &self,
        terms: &Terms<'_>,
        reference: &Reference,
        demand: Option<&Demand>,
    ) -> Result<StoredImage, HostError> {
        let mut failures = Vec::new();
        for source in mirrors::sources(reference, &self.options.mirrors) {
            match self.pull_from(source, terms, reference, demand).await {
                Err(HostError::Image(why)) => {
                    tracing::warn!(image = %reference, why, "a pull failed");
                    failures.push(why);
                }
                pulled => return pulled,
            }
        }
        Err(HostError::Image(failures.join("; ")))
    }

    async fn pull_from(
        &self,
        source: Source,
        terms: &Terms<'_>,
        reference: &Reference,
        demand: Option<&Demand>,
    ) -> Result<StoredImage, HostError> {
        let begun = Instant::now();
        // A mirror that stumbles is asked once more, and then another: that is what it is for.
        let attempts = if source.mirror { self.options.attempts.min(2) } else { self.options.attempts };
        let registry = Registry::new(source, &self.access).await?;
        let counters = self.pulls.begin(&reference.whole());
        let pull = Pull {
            terms,
            locks: &self.locks,
            registry: &registry,
            reference,
            demand,
            parallel: self.options.parallel_layers,
            attempts,
            stall: self.options.stall,
            root: self.options.root.as_deref(),
            copied: self.options.ids.is_some(),
            counters: counters.clone(),
        };
        let (target, stored) = pull.fetch().await?;
        let completed = self.complete(terms.lease, &stored, &target, &reference.whole(), Origin::Registry).await;
        completed.map_err(|error| pull.blame(error))?;
        let (from, digest, bytes) = (registry.name(), &stored.platform.digest, counters.received());
        tracing::info!(image = %reference, from, digest, bytes, took = ?begun.elapsed(), "pulled");
        Ok(stored)
    }

    /// A lease to make images under.
    async fn lease(&self) -> Result<Lease, HostError> {
        Lease::for_image(&self.containerd).await
    }

    /// Makes an image of what is in the content store.
    async fn complete(
        &self,
        lease: &Lease,
        stored: &StoredImage,
        target: &Target,
        name: &str,
        origin: Origin,
    ) -> Result<(), HostError> {
        self.prepare(lease, stored).await?;
        record::put(lease, name, target, origin).await
    }

    /// Unpacks and labels what is in the content store.
    async fn prepare(&self, lease: &Lease, stored: &StoredImage) -> Result<(), HostError> {
        record::prepare(lease, &self.options.snapshotter, &self.locks, stored, self.options.ids).await
    }

    /// What is ready to be run under a name.
    fn image(&self, reference: String, StoredImage { platform, config, chain_id }: &StoredImage) -> Image {
        let mapped = self.options.ids.map(|ids| remap::of(chain_id, ids));
        let (digest, chain_id, config) = (platform.digest.clone(), chain_id.clone(), config.clone());
        Image { reference, digest, chain_id, mapped, config }
    }

    /// What takes an image for one that is here, and what removes it, exclude each other.
    async fn lock_name(&self, name: &str) -> KeyGuard<String> {
        self.locks.lock(format!("image {name}")).await
    }

    /// The lock on the name of an image that is still as it was when it was listed: none took it since.
    async fn lock_untaken(&self, known: &PulledImage) -> Result<Option<KeyGuard<String>>, HostError> {
        let locked = self.lock_name(&known.name).await;
        let found = record::look_up(&self.containerd, &known.name).await?;
        Ok(found.is_some_and(|found| found.unneeded == known.unneeded).then_some(locked))
    }
}

/// What this machine has of an image.
enum Local {
    /// All that is needed.
    Usable(Image),
    /// Nothing, or not all.
    Absent,
    /// All, but it must be signed, and why it is not.
    Unsigned(String),
}

#[async_trait]
impl Images for ContainerdImages {
    async fn ensure(&self, reference: &str, policy: PullPolicy) -> Result<Image, HostError> {
        let reference = reference::parse(reference)?;
        let demand = self.signers.of(&reference).await?;
        let local = match policy {
            PullPolicy::Always => Local::Absent,
            _ => self.local(&reference, demand.as_ref()).await?,
        };
        match (local, policy) {
            (Local::Usable(image), _) => Ok(image),
            (Local::Absent, PullPolicy::Never) => Err(HostError::Image(format!(
                "image {reference} is not complete on this machine and the pull policy is Never: import it, or allow pulling"
            ))),
            (Local::Unsigned(why), PullPolicy::Never) => Err(HostError::Image(format!(
                "image {reference} must be signed (image-signature-key): {why}, and the pull policy is Never: allow pulling, so that its registry is asked"
            ))),
            (Local::Absent, _) => self.pull(&reference, demand.as_ref()).await,
            (Local::Unsigned(here), _) => self.pull(&reference, demand.as_ref()).await.map_err(|error| match error {
                HostError::Image(why) => HostError::Image(format!("{why}; on this machine: {here}")),
                other => other,
            }),
        }
    }

    fn progress(&self, reference: &str) -> Option<Progress> {
        self.pulls.progress(&reference::parse(reference).ok()?.whole())
    }

    async fn pulled(&self, needed: &BTreeSet<String>) -> Result<Vec<PulledImage>, HostError> {
        let parsed = needed.iter().filter_map(|text| reference::parse(text).ok());
        let needed: BTreeSet<String> = parsed.map(|reference| reference.whole()).collect();
        let pulled = record::pulled(&self.containerd).await?.into_iter();
        Ok(pulled.map(|(name, unneeded)| PulledImage { needed: needed.contains(&name), name, unneeded }).collect())
    }

    async fn note_unneeded(&self, known: &PulledImage, unneeded: Option<Duration>) -> Result<bool, HostError> {
        let Some(_locked) = self.lock_untaken(known).await? else { return Ok(false) };
        record::note_unneeded(&self.containerd, &known.name, unneeded).await?;
        Ok(true)
    }

    async fn remove(&self, known: &PulledImage, wait: bool) -> Result<bool, HostError> {
        let Some(_locked) = self.lock_untaken(known).await? else { return Ok(false) };
        record::remove(&self.containerd, &known.name, wait).await?;
        Ok(true)
    }

    async fn import(&self, archive: &Path) -> Result<Vec<String>, HostError> {
        self.import_archive(archive).await
    }
}
