//! What a bundle says that it has: one line for each file, with its sum. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::layout::{self, END, MANIFEST};
use super::{IMAGES, INSTALL, PACKAGE, PROGRAM};

/// The form of a bundle that this program writes, and the only one that it reads.
const FORMAT: u64 = 1;

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u64,
    /// The architecture that all of it is for, as Debian and OCI both name it.
    pub architecture: String,
    /// What it installs; none: it has images and stack files alone, for a machine where actord runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub package: Option<Package>,
    /// The digest of each image of its stack files that it has, by the reference there.
    pub images: BTreeMap<String, String>,
    /// Its files in their order.
    pub members: Vec<Member>,
}

/// The package of actord in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its version.
    pub version: String,
    /// The release of the system that all of the packages are from, such as `debian 12`.
    pub system: String,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its path in the bundle.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn new(
        architecture: String,
        package: Option<Package>,
        images: BTreeMap<String, String>,
        members: Vec<Member>,
    ) -> Self {
        Self { format: FORMAT, architecture, package, images, members }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// Why it can't be one, for a person.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            format: u64,
        }
        let wrong = |error: serde_json::Error| format!("{MANIFEST} can't be read: {error}");
        let Form { format } = serde_json::from_slice(bytes).map_err(wrong)?;
        if format != FORMAT {
            return Err(format!(
                "its form is {format}, and this actord reads {FORMAT}: apply it by the program in it, `tar --force-local -xOf \
                 BUNDLE install | sh -s BUNDLE`"
            ));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(wrong)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// What it is written as.
    pub(super) fn bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// Whether there are files in this folder.
    #[must_use]
    pub fn has_any(&self, folder: &str) -> bool {
        self.members.iter().any(|member| member.name.split('/').next() == Some(folder))
    }

    /// How long a bundle is that has it; none where no number says it.
    pub(super) fn bundle_size(&self, bytes: &[u8]) -> Option<u64> {
        let own = [bytes.len() as u64, layout::sum_line(bytes).len() as u64];
        let sizes = own.into_iter().chain(self.members.iter().map(|member| member.size));
        sizes.map(layout::blocks).try_fold(END, |all, blocks| all.checked_add(blocks?))
    }

    /// That its names lead nowhere but into the bundle, each to a place of its own, in their order, and fit together.
    fn check(&self) -> Result<(), String> {
        let mut before = None;
        let mut folders = BTreeSet::new();
        for Member { name, sha256, .. } in &self.members {
            let Some(place) = layout::place(name) else {
                return Err(format!("{name:?} is no name of a file in a bundle"));
            };
            if before.is_some_and(|before| before >= (place, name)) {
                return Err(format!("{name} is twice in it, or not at its place"));
            }
            before = Some((place, name));
            folders.extend(name.match_indices('/').map(|(at, _)| &name[..at]));
            if !is_sum(sha256) {
                return Err(format!("the sum of {name} is none: {sha256:?}"));
            }
        }
        if let Some(both) = self.members.iter().find(|member| folders.contains(member.name.as_str())) {
            return Err(format!("{} is a file and a folder", both.name));
        }
        for name in [INSTALL, PROGRAM, PACKAGE] {
            if self.has(name) != self.package.is_some() {
                return Err(format!("{name} and what {MANIFEST} says of actord's package do not go together"));
            }
        }
        for (reference, digest) in &self.images {
            if !digest.strip_prefix("sha256:").is_some_and(is_sum) || !self.has(&archive(digest)) {
                return Err(format!("the image {reference} is not in it: {digest:?}"));
            }
        }
        Ok(())
    }
}

/// The name in a bundle of the archive with the image of this digest.
#[must_use]
pub fn archive(digest: &str) -> String {
    format!("{IMAGES}/{}.tar", digest.replace(':', "-"))
}

fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn member(name: &str) -> Value {
        json!({ "name": name, "size": 3, "sha256": "0".repeat(64) })
    }

    fn read(change: impl FnOnce(&mut Value)) -> Result<Manifest, String> {
        let digest = format!("sha256:{}", "1".repeat(64));
        let archive = archive(&digest);
        let mut value = json!({
            "format": 1,
            "architecture": "amd64",
            "images": { "me/hello:1": digest },
            "members": [member(&archive), member("stacks/a.yml"), member("stacks/b/c.yml")],
        });
        change(&mut value);
        Manifest::read(value.to_string().as_bytes())
    }

    #[test]
    fn what_does_not_fit_together_is_refused_by_name() {
        read(|_| {}).unwrap();
        let refused = |expected: &str, change: &dyn Fn(&mut Value)| {
            let why = read(change).unwrap_err();
            assert!(why.contains(expected), "{expected}: {why}");
        };
        refused("stacks/../x", &|all| all["members"][2] = member("stacks/../x"));
        refused("twice", &|all| all["members"][2] = member("stacks/a.yml"));
        refused("not at its place", &|all| all["members"][0] = member("stacks/z.yml"));
        refused("a file and a folder", &|all| all["members"][1] = member("stacks/b"));
        refused("me/hello:1", &|all| all["images"]["me/hello:1"] = json!("sha256:2"));
        refused("me/other", &|all| all["images"]["me/other"] = json!(format!("sha256:{}", "2".repeat(64))));
        refused("the sum of stacks/a.yml", &|all| all["members"][1]["sha256"] = json!("ABC"));
        refused("install", &|all| all["package"] = json!({ "version": "1", "system": "debian 12" }));
        refused("its form is 2", &|all| all["format"] = json!(2));
        refused("unknown field", &|all| all["more"] = json!(1));
        refused("can't be read", &|all| *all = json!([]));
    }

    #[test]
    fn its_length_is_known_before_anything_is_read_and_is_never_too_much_for_a_number() {
        let mut manifest = read(|_| {}).unwrap();
        let bytes = manifest.bytes().unwrap();
        let own = layout::blocks(bytes.len() as u64).unwrap();
        assert_eq!(manifest.bundle_size(&bytes), Some(own + 1024 + 3 * 1024 + END));
        manifest.members[0].size = u64::MAX - 2000;
        assert_eq!(manifest.bundle_size(&bytes), None);
    }
}
