//! How far pulls are, counted where bytes arrive, and read without a question to the host.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use oci_spec::image::Descriptor;
use tokio::time::Instant;

use crate::host::Progress;

/// The counters of one pull.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// One per layer, from when the manifest is known.
    layers: OnceLock<Vec<Layer>>,
    /// Bytes that came, also those that came twice.
    received: AtomicU64,
    /// The wait that the registry asked for, and when it is over.
    waits: Mutex<Option<(Duration, Instant)>>,
}

#[derive(Debug)]
struct Layer {
    digest: String,
    size: u64,
    /// How much of it is here.
    at: AtomicU64,
}

impl Counters {
    /// The manifest is known.
    pub(crate) fn expect(&self, layers: &[Descriptor]) {
        let layer = |layer: &Descriptor| Layer {
            digest: layer.digest().to_string(),
            size: layer.size(),
            at: AtomicU64::default(),
        };
        let _ = self.layers.set(layers.iter().map(layer).collect());
    }

    /// So many bytes of the blob are here.
    pub(crate) fn at(&self, digest: &str, bytes: u64) {
        for layer in self.layers.get().into_iter().flatten().filter(|layer| layer.digest == digest) {
            layer.at.store(bytes.min(layer.size), Ordering::Relaxed);
        }
    }

    /// So many bytes came.
    pub(crate) fn receive(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that came so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The registry asks to be left alone so long. Of several such waits the one that is over last is told.
    pub(crate) fn wait(&self, wait: Duration) {
        let over = Instant::now() + wait;
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if waits.is_none_or(|(_, before)| before < over) {
            *waits = Some((wait, over));
        }
    }

    /// How far the pull is.
    pub(crate) fn progress(&self) -> Progress {
        let waits = *self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let layers = self.layers.get();
        Progress {
            pulled: layers.into_iter().flatten().map(|layer| layer.at.load(Ordering::Relaxed)).sum(),
            total: layers.map(|layers| layers.iter().map(|layer| layer.size).sum()),
            wait: waits.filter(|(_, over)| Instant::now() < *over).map(|(wait, _)| wait),
        }
    }
}

/// The pulls under way, by the whole names of their images. Each is known for as long as its counters are held.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulls(Arc<Mutex<HashMap<String, Weak<Counters>>>>);

impl Pulls {
    /// Counters for a pull that begins.
    pub(crate) fn begin(&self, image: &str) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        let mut pulls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pulls.retain(|_, pull| pull.strong_count() > 0);
        pulls.insert(image.to_owned(), Arc::downgrade(&counters));
        counters
    }

    /// How far the pull of this image is, if there is one.
    pub(crate) fn progress(&self, image: &str) -> Option<Progress> {
        let pulls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pulls.get(image)?.upgrade().map(|counters| counters.progress())
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use oci_spec::image::{Digest, MediaType};

    use super::*;

    fn layer(digit: char, size: u64) -> Descriptor {
        let digest = Digest::from_str(&format!("sha256:{}", digit.to_string().repeat(64))).unwrap();
        Descriptor::new(MediaType::ImageLayer, size, digest)
    }

    #[test]
    fn the_total_is_known_with_the_manifest_and_what_is_here_never_exceeds_it() {
        let counters = Counters::default();
        assert_eq!(counters.progress(), Progress { pulled: 0, total: None, wait: None });
        let layers = [layer('a', 100), layer('b', 50)];
        counters.expect(&layers);
        let a = layers[0].digest().to_string();
        counters.at(&a, 70);
        assert_eq!(counters.progress(), Progress { pulled: 70, total: Some(150), wait: None });
        counters.at(&a, 10);
        counters.at("sha256:the-config", 10);
        counters.at(layers[1].digest().as_ref(), 9000);
        assert_eq!(counters.progress(), Progress { pulled: 60, total: Some(150), wait: None });
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_the_registry_asked_for_is_told_until_it_is_over() {
        let counters = Counters::default();
        counters.wait(Duration::from_secs(9));
        counters.wait(Duration::from_secs(2));
        for (after, told) in [(0, Some(9)), (8, Some(9)), (2, None)] {
            tokio::time::sleep(Duration::from_secs(after)).await;
            assert_eq!(counters.progress().wait, told.map(Duration::from_secs));
        }
    }

    #[test]
    fn a_pull_is_known_until_it_ends() {
        let pulls = Pulls::default();
        assert_eq!(pulls.progress("a"), None);
        let first = pulls.begin("a");
        assert!(pulls.progress("a").is_some() && pulls.progress("b").is_none());
        drop(first);
        assert_eq!(pulls.progress("a"), None);
        let _second = pulls.begin("b");
        assert_eq!(pulls.0.lock().unwrap().len(), 1, "what ended is forgotten");
    }
}
