//! What a bundle says that it has, as a fuzz target: whatever is taken leads nowhere but into a directory, and is written
//! and read again as the same.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use std::collections::BTreeSet;
use std::path::{Component, Path};

use super::manifest::{Manifest, archive};

pub(crate) fn manifests(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::read(bytes) else { return false };
    let mut places = BTreeSet::new();
    for member in &manifest.members {
        let path = Path::new(&member.name);
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        assert!(places.insert(path), "{path:?} is there twice");
        assert!(path.ancestors().skip(1).all(|above| !places.contains(above)), "{path:?} lies in a file");
        assert!(!member.name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\'), "{path:?}");
    }
    for digest in manifest.images.values() {
        assert!(places.contains(Path::new(&archive(digest))), "{digest} is not in it");
    }
    let written = manifest.bytes().expect("a manifest can be written");
    // Its length is a sum of numbers of its own, each of which may be the greatest.
    let _ = manifest.bundle_size(&written);
    assert_eq!(Manifest::read(&written).as_ref(), Ok(&manifest));
    true
}
