//! The bill of materials that `config/sbom` writes with each release build.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::graph::{Graph, Id, list, text};

/// What it writes, of this commit at this time.
fn written(program: Option<&Path>) -> String {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sbom"));
    command.args(program).env("ACTORD_COMMIT", "c0ffee").env("SOURCE_DATE_EPOCH", "86400");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

static BILL: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&written(None)).unwrap());

fn id(component: &Value) -> Id {
    (text(&component["name"]), text(&component["version"]))
}

/// The crates of a scope; the compiler's own library is none.
fn crates(bill: &Value, scope: &str) -> BTreeSet<Id> {
    let of_scope = list(&bill["components"]).filter(|component| component["scope"] == scope);
    of_scope.map(id).filter(|(name, _)| name != "rust-std").collect()
}

fn host() -> String {
    let told = Command::new("rustc").arg("-vV").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    told.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn the_bill_of_materials_lists_every_crate_that_is_linked_and_none_of_tests() {
    let bill = &*BILL;
    let graph = Graph::of(&host());
    let own = id(&bill["metadata"]["component"]);
    let mut linked = graph.linked();
    assert!(linked.remove(&own) && linked.len() > 100, "{own:?} of {linked:?}");
    assert_eq!(crates(bill, "required"), linked);
    // What is only there to build it is told apart, and what only tests need is not there.
    let building = crates(bill, "excluded");
    assert!(building.iter().any(|(name, _)| name == "syn") && building.is_disjoint(&linked));
    for of_tests in ["proptest", "divan", "rcgen", "cni-plugin"] {
        let is_it = |(name, _): &Id| name == of_tests;
        assert!(graph.0.keys().any(is_it), "{of_tests} is no crate of tests any more");
        assert!(!building.iter().chain(&linked).any(is_it), "{of_tests}");
    }
}

#[test]
fn each_part_of_the_bill_is_what_cargo_locked_with_its_licence_and_what_it_stands_on() {
    let bill = &*BILL;
    assert_eq!((text(&bill["bomFormat"]), text(&bill["specVersion"])), ("CycloneDX".to_owned(), "1.5".to_owned()));
    assert_eq!(bill["metadata"]["timestamp"], "1970-01-02T00:00:00Z");
    assert_eq!(bill["metadata"]["component"]["properties"][0]["value"], "c0ffee");
    let locked = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let locked: toml::Table = toml::from_str(&locked).unwrap();
    let locked = locked["package"].as_array().unwrap();
    let (graph, mut named) = (Graph::of(&host()), BTreeSet::from([text(&bill["metadata"]["component"]["bom-ref"])]));
    for component in list(&bill["components"]) {
        let (name, version) = id(component);
        assert!(named.insert(text(&component["bom-ref"])), "{name} {version} is there twice");
        if name == "rust-std" {
            continue;
        }
        let is_it = |package: &&toml::Value| {
            package["name"].as_str() == Some(&name) && package["version"].as_str() == Some(&version)
        };
        let package = locked.iter().find(is_it).unwrap_or_else(|| panic!("{name} {version} is not in Cargo.lock"));
        assert_eq!(component["hashes"][0]["content"].as_str(), package["checksum"].as_str(), "{name}");
        assert_eq!(text(&component["purl"]), format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")));
        let license = graph.0[&(name, version)].license.as_deref().unwrap();
        let license = license.replace(" / ", "/").replace('/', " OR ");
        assert_eq!(component["licenses"][0]["expression"], *license);
    }
    let refs: BTreeSet<String> = list(&bill["dependencies"]).map(|needs| text(&needs["ref"])).collect();
    for needs in list(&bill["dependencies"]) {
        for needed in list(&needs["dependsOn"]) {
            assert!(named.contains(needed.as_str().unwrap()), "{needed} of {needs} is no part");
        }
    }
    assert!(named.iter().all(|part| refs.contains(part) || part.starts_with("rust-std@")), "{named:?} {refs:?}");
}

#[test]
fn a_bill_of_the_same_program_is_the_same_to_the_byte_and_names_its_hash() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("actord");
    fs::write(&program, "a program").unwrap();
    let first = written(Some(&program));
    assert_eq!(first, written(Some(&program)));
    let bill: Value = serde_json::from_str(&first).unwrap();
    let hash = "d69ea8cda2433733c1ce02de65da8f48e6a3dbba6bb18876a2062908e54ef7cb";
    assert_eq!(text(&bill["metadata"]["component"]["hashes"][0]["content"]), hash);
    fs::write(&program, "another program").unwrap();
    let other: Value = serde_json::from_str(&written(Some(&program))).unwrap();
    assert_ne!(bill["serialNumber"], other["serialNumber"]);
}
