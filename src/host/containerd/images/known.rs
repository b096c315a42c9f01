//! What this process has read of images: a start asks only whether they are there still, and reads none of them again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host::Image;

/// The most images that are remembered. Beyond that all are forgotten, and read again when they are started next.
const MOST: usize = 1_024;

/// An image that was complete when it was last looked for.
#[derive(Debug, Clone)]
pub(super) struct KnownImage {
    /// The digest that its name stood for: a manifest's or an index's.
    pub(super) target: String,
    /// Its config's digest.
    pub(super) config: String,
    pub(super) image: Image,
}

/// See the module. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<HashMap<String, KnownImage>>>);

impl Known {
    /// What was read of the image of this name.
    pub(super) fn of(&self, name: &str) -> Option<KnownImage> {
        self.map().get(name).cloned()
    }

    /// Remembers an image under its name.
    pub(super) fn note(&self, known: KnownImage) {
        let mut map = self.map();
        if map.len() >= MOST {
            map.clear();
        }
        map.insert(known.image.reference.clone(), known);
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, KnownImage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_that_was_read_under_a_name_is_known_and_there_is_an_end_to_how_many() {
        let known = Known::default();
        let image = |reference: String, target: &str, digest: &str| {
            let image = Image { reference, digest: digest.into(), ..Image::default() };
            KnownImage { target: target.into(), config: "config".into(), image }
        };
        known.note(image("a:1".into(), "index-1", "manifest-1"));
        known.note(image("a:1".into(), "index-2", "manifest-2"));
        let found = known.of("a:1").unwrap();
        assert_eq!((found.target.as_str(), found.image.digest.as_str()), ("index-2", "manifest-2"));
        assert!(known.of("b:1").is_none());
        for n in 0..3 * MOST {
            known.note(image(format!("many:{n}"), "index", "manifest"));
        }
        assert!(known.map().len() <= MOST);
    }
}
