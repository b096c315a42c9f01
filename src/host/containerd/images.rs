//! Images on containerd: the pull policy decides between what is here and what a registry has.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use containerd_client::types::Descriptor as Target;
use oci_spec::distribution::Reference;
use tokio::sync::OwnedMutexGuard;

use super::channel::Containerd;
use super::content::{chain_ids, find_manifest, read_config, stat_blob};
use super::lease::{self, Lease};
use super::locks::Locks;
use super::manifest;
use super::mirrors::{self, Mirror, Source};
use super::progress::Pulls;
use super::pull::Pull;
use super::record::{self, Origin};
use super::reference;
use super::registry::{Access, Registry};
use super::unpack::has_snapshot;
use crate::host::{HostError, Image, Images, Progress, PullPolicy};

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
    /// How many layers of an image are fetched at once.
    pub parallel_layers: usize,
    /// How long a registry may send nothing before the attempt is given up.
    pub stall: Duration,
    /// How many attempts in a row may fail before a pull does.
    pub attempts: u32,
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
            parallel_layers: 3,
            stall: Duration::from_secs(60),
            attempts: 5,
        }
    }
}

/// The images of one containerd.
#[derive(Debug, Clone)]
pub struct ContainerdImages {
    containerd: Containerd,
    options: ImagesOptions,
    access: Access,
    locks: Locks,
    pulls: Pulls,
}

impl ContainerdImages {
    /// Images of `containerd`. Speaks to nobody yet.
    #[must_use]
    pub fn new(containerd: Containerd, options: ImagesOptions) -> Self {
        let access = Access {
            docker_config: options.docker_config.clone(),
            insecure: options.insecure_registries.clone(),
            authorities: options.authorities.clone(),
            stall: options.stall,
        };
        Self { containerd, options, access, locks: Locks::default(), pulls: Pulls::default() }
    }

    /// Ends the leases that a killed run of this installation left, before anything is pulled. Returns how many.
    ///
    /// # Errors
    /// As containerd says.
    pub async fn recover(&self) -> Result<usize, HostError> {
        lease::end_stale(&self.containerd).await
    }

    /// The image, if all that is needed to run it is on this machine. Unpacks it again where only that is missing.
    async fn local(&self, reference: &Reference) -> Result<Option<Image>, HostError> {
        let _turn = self.turn(&reference.whole()).await;
        match self.find_local(reference).await {
            // A part is missing, or can't be read: as good as not here. A pull replaces it.
            Err(HostError::NotFound(what) | HostError::Image(what)) => {
                tracing::info!(image = %reference, what, "the image on this machine is not complete");
                Ok(None)
            }
            found => found,
        }
    }

    async fn find_local(&self, reference: &Reference) -> Result<Option<Image>, HostError> {
        let name = reference.whole();
        let recorded = record::look_up(&self.containerd, &name).await?;
        if recorded.as_ref().is_some_and(|recorded| recorded.unwanted_since.is_some()) {
            record::note_unwanted(&self.containerd, &name, None).await?;
        }
        let recorded = recorded.map(|recorded| recorded.target);
        let recorded_digest = recorded.as_ref().map(|target| target.digest.clone());
        let target = match (recorded, reference.digest()) {
            (Some(target), Some(digest)) if target.digest != digest => self.by_digest(digest).await?,
            (Some(target), _) => Some(target),
            // Content is known by its digest whatever name it came under.
            (None, Some(digest)) => self.by_digest(digest).await?,
            (None, None) => None,
        };
        let Some(target) = target else { return Ok(None) };
        let found = find_manifest(&self.containerd, &target.digest).await?;
        let config = read_config(&self.containerd, &found.manifest).await?;
        let top = chain_ids(config.rootfs().diff_ids()).pop().unwrap_or_default();
        let named = recorded_digest.as_ref() == Some(&target.digest);
        if named && !top.is_empty() && has_snapshot(&self.containerd, &self.options.snapshotter, &top).await? {
            return Ok(Some(Image { reference: name, digest: found.digest }));
        }
        for layer in found.manifest.layers() {
            if stat_blob(&self.containerd, layer.digest().as_ref()).await?.is_none() {
                return Err(HostError::NotFound(format!("layer {}", layer.digest())));
            }
        }
        let lease = self.lease().await?;
        let completed = self.complete(&lease, &target, &name, Origin::Here).await;
        let digest = lease.settle(completed).await?;
        Ok(Some(Image { reference: name, digest }))
    }

    /// What a digest names in the content store, if it is there.
    async fn by_digest(&self, digest: &str) -> Result<Option<Target>, HostError> {
        let Some(info) = stat_blob(&self.containerd, digest).await? else { return Ok(None) };
        let bytes = super::content::read_blob(&self.containerd, digest).await?;
        let document = manifest::parse(&bytes).map_err(|why| manifest::wrong_document(digest, &why))?;
        Ok(Some(Target {
            media_type: manifest::media_type(&document),
            digest: digest.to_owned(),
            size: info.size,
            ..Target::default()
        }))
    }

    async fn pull(&self, reference: &Reference) -> Result<Image, HostError> {
        let lease = self.lease().await?;
        let pulled = self.pull_under(&lease, reference).await;
        let digest = lease.settle(pulled).await?;
        Ok(Image { reference: reference.whole(), digest })
    }

    /// Pulls from the first mirror that can give the whole image, at last from the registry itself. What came from one
    /// that failed is kept for the next: a blob is known by its digest wherever it comes from.
    async fn pull_under(&self, lease: &Lease, reference: &Reference) -> Result<String, HostError> {
        let mut failures = Vec::new();
        for source in mirrors::sources(reference, &self.options.mirrors) {
            match self.pull_from(source, lease, reference).await {
                Err(HostError::Image(why)) => {
                    tracing::warn!(image = %reference, why, "a pull failed");
                    failures.push(why);
                }
                pulled => return pulled,
            }
        }
        Err(HostError::Image(failures.join("; ")))
    }

    async fn pull_from(&self, source: Source, lease: &Lease, reference: &Reference) -> Result<String, HostError> {
        let begun = tokio::time::Instant::now();
        // A mirror that stumbles is asked once more, and then another: that is what it is for.
        let attempts = if source.mirror { self.options.attempts.min(2) } else { self.options.attempts };
        let registry = Registry::new(source, &self.access).await?;
        let counters = self.pulls.begin(&reference.whole());
        let pull = Pull {
            lease,
            locks: &self.locks,
            registry: &registry,
            reference,
            parallel: self.options.parallel_layers,
            attempts,
            stall: self.options.stall,
            counters: counters.clone(),
            reached: AtomicBool::new(false),
        };
        let target = pull.fetch().await?;
        let digest = self.complete(lease, &target, &reference.whole(), Origin::Registry).await?;
        let (from, bytes) = (registry.name(), counters.received());
        tracing::info!(image = %reference, from, digest, bytes, took = ?begun.elapsed(), "pulled");
        Ok(digest)
    }

    /// A lease to make images under.
    pub(super) async fn lease(&self) -> Result<Lease, HostError> {
        Lease::take(&self.containerd).await
    }

    /// Makes an image of what is in the content store, and returns its manifest's digest.
    async fn complete(&self, lease: &Lease, target: &Target, name: &str, origin: Origin) -> Result<String, HostError> {
        let digest = self.prepare(lease, target).await?;
        record::put(lease, name, target, origin).await?;
        Ok(digest)
    }

    /// Unpacks and labels what is in the content store.
    pub(super) async fn prepare(&self, lease: &Lease, target: &Target) -> Result<String, HostError> {
        record::prepare(lease, &self.options.snapshotter, &self.locks, target).await
    }

    /// The containerd whose images these are.
    pub(super) fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    /// Whoever takes an image for one that is here, or removes it, takes a turn.
    pub(super) async fn turn(&self, name: &str) -> OwnedMutexGuard<()> {
        self.locks.lock(&format!("image {name}")).await
    }

    /// The locks that this machine's pulls and imports share.
    pub(super) fn locks(&self) -> &Locks {
        &self.locks
    }
}

#[async_trait]
impl Images for ContainerdImages {
    async fn ensure(&self, reference: &str, policy: PullPolicy) -> Result<Image, HostError> {
        let reference = reference::parse(reference)?;
        if policy != PullPolicy::Always
            && let Some(image) = self.local(&reference).await?
        {
            return Ok(image);
        }
        if policy == PullPolicy::Never {
            return Err(HostError::Image(format!(
                "image {reference} is not complete on this machine and the pull policy is Never: import it, or allow pulling"
            )));
        }
        self.pull(&reference).await
    }

    fn progress(&self, reference: &str) -> Option<Progress> {
        self.pulls.progress(&reference::parse(reference).ok()?.whole())
    }

    async fn import(&self, archive: &Path) -> Result<Vec<String>, HostError> {
        self.import_archive(archive).await
    }
}
