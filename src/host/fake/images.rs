//! Images: a registry that knows what was published, and what was pulled from it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oci_spec::distribution::Reference;
use oci_spec::image::{Config, ImageConfiguration};
use tokio::time::Instant;

use super::Behaviour;
use super::machine::{Machine, State};
use crate::host::{HostError, Image, Progress, PullPolicy, PulledImage};

/// What every image weighs, in bytes.
const SIZE: u64 = 1_000_000;

/// A pull under way, for as long as a caller waits for it.
struct Pulling<'a> {
    machine: &'a Machine,
    begun: (String, Instant),
}

impl Drop for Pulling<'_> {
    fn drop(&mut self) {
        let mut state = self.machine.lock();
        let (image, begun) = &self.begun;
        if let Some(at) = state.pulls.iter().position(|(pulled, at, _)| (pulled, at) == (image, begun)) {
            state.pulls.remove(at);
        }
    }
}

/// `nginx` as `docker.io/library/nginx:latest`; what is no reference stays as it is, and is not found.
fn normal(reference: &str) -> String {
    reference.parse::<Reference>().map_or_else(|_| reference.to_owned(), |parsed| parsed.whole())
}

fn config(behaviour: &Behaviour) -> Arc<ImageConfiguration> {
    let mut variables = Config::default();
    variables.set_env(Some(behaviour.env.clone()));
    variables.set_stop_signal(behaviour.stop_signal.clone());
    let mut config = ImageConfiguration::default();
    config.set_config(Some(variables));
    Arc::new(config)
}

impl State {
    pub(super) fn publish(&mut self, reference: &str, behaviour: Behaviour) {
        self.published += 1;
        self.registry.insert(normal(reference), (self.published, behaviour));
    }

    pub(super) fn withdraw(&mut self, reference: &str) {
        self.registry.remove(&normal(reference));
    }

    /// How much of the disk is used, in percent: what is so without images, and so much for each of them.
    fn used(&self) -> u8 {
        let (base, each) = self.fullness;
        base.saturating_add(each.saturating_mul(u8::try_from(self.images.len()).unwrap_or(u8::MAX))).min(100)
    }

    /// Whether an image is still as it was when it was listed.
    fn is_untaken(&self, known: &PulledImage) -> bool {
        self.images.contains_key(&known.name) && self.unneeded.get(&known.name) == known.unneeded.as_ref()
    }

    pub(super) fn has_image(&self, reference: &str) -> bool {
        self.images.contains_key(&normal(reference))
    }

    fn complete(&mut self, reference: &str, version: u64, behaviour: Behaviour) -> Image {
        let image = Image {
            reference: reference.to_owned(),
            digest: format!("sha256:{version:064x}"),
            config: config(&behaviour),
            ..Image::default()
        };
        self.unneeded.remove(reference);
        self.unpacked.push((image.clone(), behaviour.clone()));
        self.images.insert(reference.to_owned(), (image.clone(), behaviour));
        image
    }
}

impl Machine {
    pub(super) async fn ensure(&self, reference: &str, policy: PullPolicy, _half: bool) -> Result<Image, HostError> {
        let reference = normal(reference);
        let (version, behaviour) = {
            let mut state = self.lock();
            if policy != PullPolicy::Always {
                state.unneeded.remove(&reference);
            }
            match (policy, state.images.get(&reference)) {
                (PullPolicy::IfNotPresent | PullPolicy::Never, Some((image, _))) => return Ok(image.clone()),
                (PullPolicy::Never, None) => {
                    let text = format!("image {reference} is not on this machine, and the pull policy is Never");
                    return Err(HostError::Image(text));
                }
                _ => {}
            }
            let unknown = || HostError::Image(format!("image {reference}: the registry does not have it"));
            state.registry.get(&reference).cloned().ok_or_else(unknown)?
        };
        let begun = (reference.clone(), Instant::now());
        self.lock().pulls.push((begun.0.clone(), begun.1, behaviour.pull));
        let pulling = Pulling { machine: self, begun };
        tokio::time::sleep(behaviour.pull).await;
        drop(pulling);
        if let Some(reason) = &behaviour.unpullable {
            return Err(HostError::Image(format!("image {reference}: {reason}")));
        }
        let mut state = self.lock();
        state.imported.remove(&reference);
        Ok(state.complete(&reference, version, behaviour))
    }

    pub(super) async fn pulled(&self, needed: &BTreeSet<String>, _half: bool) -> Result<Vec<PulledImage>, HostError> {
        let needed: BTreeSet<String> = needed.iter().map(|reference| normal(reference)).collect();
        let state = self.lock();
        let pulled = state.images.keys().filter(|name| !state.imported.contains(*name)).map(|name| PulledImage {
            name: name.clone(),
            needed: needed.contains(name),
            unneeded: state.unneeded.get(name).copied(),
        });
        Ok(pulled.collect())
    }

    pub(super) async fn note_unneeded(
        &self,
        known: &PulledImage,
        unneeded: Option<Duration>,
        _half: bool,
    ) -> Result<bool, HostError> {
        let mut state = self.lock();
        if !state.is_untaken(known) {
            return Ok(false);
        }
        match unneeded {
            Some(time) => state.unneeded.insert(known.name.clone(), time),
            None => state.unneeded.remove(&known.name),
        };
        Ok(true)
    }

    pub(super) async fn remove_image(&self, known: &PulledImage, _wait: bool, _half: bool) -> Result<bool, HostError> {
        let mut state = self.lock();
        if !state.is_untaken(known) {
            return Ok(false);
        }
        state.unneeded.remove(&known.name);
        Ok(state.images.remove(&known.name).is_some())
    }

    pub(super) async fn used_percent(&self, _half: bool) -> Result<u8, HostError> {
        Ok(self.lock().used())
    }

    pub(super) fn progress(&self, reference: &str) -> Option<Progress> {
        let reference = normal(reference);
        let state = self.lock();
        let (_, begun, takes) = state.pulls.iter().find(|(image, ..)| *image == reference)?;
        let wait = state.registry.get(&reference).and_then(|(_, behaviour)| behaviour.wait);
        let part = begun.elapsed().as_nanos().min(takes.as_nanos()) * u128::from(SIZE) / takes.as_nanos().max(1);
        Some(Progress { pulled: u64::try_from(part).unwrap_or(SIZE), total: Some(SIZE), wait })
    }

    pub(super) async fn import(&self, archive: &Path, _half: bool) -> Result<Vec<String>, HostError> {
        let mut state = self.lock();
        let Some(images) = state.archives.get(archive).cloned() else {
            return Err(HostError::Image(format!("archive {}: no such file", archive.display())));
        };
        let mut references = Vec::new();
        for (reference, behaviour) in images {
            state.published += 1;
            let version = state.published;
            state.imported.insert(normal(&reference));
            references.push(state.complete(&normal(&reference), version, behaviour).reference);
        }
        Ok(references)
    }
}
