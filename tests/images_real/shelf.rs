//! A registry without a process: the documents and blobs of images, by their paths.

use std::collections::BTreeMap;

use crate::proxy::{Act, Proxy, Seen};
use crate::registry::{BuiltImage, MANIFEST, digest};

/// Where a proxy without a registry behind it sends what its rule does not answer: nowhere.
pub(crate) const NO_UPSTREAM: &str = "127.0.0.1:1";

/// What a registry has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf(BTreeMap<String, (String, Vec<u8>)>);

impl Shelf {
    /// An image as `fn:v1`.
    pub(crate) fn of(image: &BuiltImage) -> Self {
        let mut shelf = Self::default();
        shelf.add_image(image);
        shelf.add_manifest("v1", MANIFEST, &image.manifest);
        shelf
    }

    /// A manifest or index under a tag.
    pub(crate) fn add_manifest(&mut self, tag: &str, kind: &str, bytes: &[u8]) {
        for name in [tag, &digest(bytes)] {
            self.0.insert(format!("/v2/fn/manifests/{name}"), (kind.to_owned(), bytes.to_vec()));
        }
    }

    /// All of an image, without a tag.
    pub(crate) fn add_image(&mut self, image: &BuiltImage) {
        self.add_manifest(&image.digest(), MANIFEST, &image.manifest);
        let layers = image.layers.iter().map(|layer| &layer.bytes);
        for blob in layers.chain([&image.config]) {
            self.0.insert(
                format!("/v2/fn/blobs/{}", digest(blob)),
                ("application/octet-stream".to_owned(), blob.clone()),
            );
        }
    }

    /// The answer to a request for what it has, or has not.
    pub(crate) fn answer(&self, path: &str) -> Act {
        match self.0.get(path) {
            Some((kind, bytes)) => Act::Answer(200, vec![("content-type", kind.clone())], bytes.clone()),
            None if path == "/v2/" => Act::Answer(200, vec![], b"{}".to_vec()),
            None => Act::Answer(404, vec![], br#"{"errors":[{"code":"BLOB_UNKNOWN","message":"unknown"}]}"#.to_vec()),
        }
    }

    /// A registry that has this, and asks `rule` first.
    pub(crate) fn serve(self, rule: impl Fn(&Seen, usize) -> Option<Act> + Send + Sync + 'static) -> Proxy {
        Proxy::start(NO_UPSTREAM, move |seen, before| rule(seen, before).unwrap_or_else(|| self.answer(&seen.path)))
    }
}
