//! What the program is made of: the crates of Cargo.lock are held to `deny.toml`, and its bill of materials lists them.
//!
//! ```text
//! cargo metadata -> graph -> licences, sources, bans, versions of deny.toml
//!                         -> what is linked == config/sbom's components
//! ```
//! cargo-deny reads the same file in `make audit`. It takes longer to build than these tests take, all together.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a file that can't be read is a failure")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use graph::{Graph, Id};
use serde::Deserialize;

mod bill;
mod graph;
mod licenses;

/// The registry, as cargo calls it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What these tests read of deny.toml. A key that they don't know would be a promise that they don't hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Policy {
    graph: Targets,
    /// For cargo-deny alone.
    #[serde(rename = "advisories")]
    _advisories: toml::Table,
    licenses: Licenses,
    bans: Bans,
    sources: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Targets {
    targets: Vec<String>,
    all_features: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Licenses {
    include_dev: bool,
    #[serde(rename = "confidence-threshold")]
    _confidence_threshold: f64,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    wildcards: String,
    allow_wildcard_paths: bool,
    multiple_versions: String,
    multiple_versions_include_dev: bool,
    deny: Vec<Named>,
    skip: Vec<Named>,
    skip_tree: Vec<Named>,
}

/// A crate, with its version behind an `@` where only that is meant, and why it is listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

impl Named {
    fn id(&self) -> Id {
        let (name, version) = self.name.split_once('@').unwrap_or_else(|| panic!("{}: no version", self.name));
        (name.to_owned(), version.to_owned())
    }
}

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap();
    toml::from_str(&text).unwrap()
});

/// One for each target.
static GRAPHS: LazyLock<Vec<Graph>> =
    LazyLock::new(|| POLICY.graph.targets.iter().map(|target| Graph::of(target)).collect());

#[test]
fn every_crate_may_be_given_on() {
    assert!(POLICY.licenses.include_dev);
    for (id, known) in GRAPHS.iter().flat_map(|graph| &graph.0) {
        let license = known.license.as_deref().unwrap_or_else(|| panic!("{id:?} says no licence"));
        let met = licenses::is_met(license, &POLICY.licenses.allow).unwrap_or_else(|why| panic!("{id:?}: {why}"));
        assert!(met, "{id:?} has the licence {license}, which deny.toml does not allow");
    }
    // What no crate asks for is not allowed in advance.
    let all: String =
        GRAPHS.iter().flat_map(|graph| graph.0.values()).filter_map(|known| known.license.clone()).collect();
    for license in &POLICY.licenses.allow {
        assert!(all.contains(license), "deny.toml allows {license}, which no crate has");
    }
}

#[test]
fn every_crate_comes_from_the_registry() {
    assert_eq!(POLICY.sources.get("unknown-registry").map(String::as_str), Some("deny"));
    assert_eq!(POLICY.sources.get("unknown-git").map(String::as_str), Some("deny"));
    assert_eq!(POLICY.sources.len(), 2, "another registry is allowed: {:?}", POLICY.sources);
    for (id, known) in GRAPHS.iter().flat_map(|graph| &graph.0) {
        let is_ours = known.source.is_none() && id.0 == env!("CARGO_PKG_NAME");
        assert!(is_ours || known.source.as_deref() == Some(REGISTRY), "{id:?} comes from {:?}", known.source);
    }
    // Cargo.lock has the others too: those of other systems. Each has a checksum, so no registry can give another file.
    let locked = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let locked: toml::Table = toml::from_str(&locked).unwrap();
    for package in locked["package"].as_array().unwrap() {
        let is_ours = package["name"].as_str() == Some(env!("CARGO_PKG_NAME"));
        let source = package.get("source").and_then(toml::Value::as_str);
        assert!(is_ours || source == Some(REGISTRY), "{package}");
        assert!(is_ours || package.get("checksum").is_some(), "{package} has no checksum");
    }
}

#[test]
fn no_crate_is_one_that_is_banned() {
    for banned in &POLICY.bans.deny {
        let found = GRAPHS.iter().flat_map(|graph| graph.0.keys()).find(|id| id.0 == banned.name);
        assert_eq!(found, None, "banned: {}", banned.reason);
    }
}

#[test]
fn no_version_of_a_crate_is_left_open() {
    assert!(POLICY.bans.wildcards == "deny" && POLICY.bans.allow_wildcard_paths && POLICY.graph.all_features);
    for (id, known) in GRAPHS.iter().flat_map(|graph| &graph.0) {
        let open = known.asked.iter().find(|(_, version)| version == "*");
        assert!(open.is_none() || known.source.is_some(), "{id:?} asks for any version of {open:?}");
    }
}

#[test]
fn no_crate_is_there_in_two_versions_but_those_that_are_listed() {
    assert!(POLICY.bans.multiple_versions == "deny" && POLICY.bans.multiple_versions_include_dev);
    let mut unused: BTreeSet<Id> = POLICY.bans.skip.iter().chain(&POLICY.bans.skip_tree).map(Named::id).collect();
    for graph in GRAPHS.iter() {
        let mut counted: BTreeSet<&Id> = graph.0.keys().collect();
        for tree in POLICY.bans.skip_tree.iter().map(Named::id).filter(|id| graph.0.contains_key(id)) {
            unused.remove(&tree);
            graph.tree(&tree).iter().for_each(|id| _ = counted.remove(id));
        }
        let after_trees = counted.clone();
        for skipped in POLICY.bans.skip.iter().map(Named::id) {
            let has_another = after_trees.iter().any(|id| id.0 == skipped.0 && id.1 != skipped.1);
            if counted.remove(&skipped) && has_another {
                unused.remove(&skipped);
            }
        }
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        counted.iter().for_each(|(name, version)| versions.entry(name).or_default().push(version));
        versions.retain(|_, versions| versions.len() > 1);
        assert!(versions.is_empty(), "in more than one version, and not listed in deny.toml: {versions:?}");
    }
    assert!(unused.is_empty(), "deny.toml lists what is no longer there in two versions: {unused:?}");
}
