//! The packages that the program depends on are those whose programs it starts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Files of the product that start a program, and the Debian packages that it is of; none: it is no part of what must be there.
const STARTS: &[(&str, &[&str], &str)] = &[
    ("bundle/debs.rs", &[], "reads the package for another machine by dpkg-deb"),
    ("bundle/programs.rs", &[], "has apt and dpkg bring packages together, or in: those are every Debian's"),
    ("cli/bundle/apply.rs", &[], "starts this program for its other verbs"),
    ("daemon/for_good.rs", &[], "asks systemctl, where there is one, whether the machine shuts down"),
    ("daemon/upgrade.rs", &[], "becomes the program that an upgrade put in its place"),
    ("doctor/source.rs", &[], "asks programs for their versions, and says which are missing"),
    (
        "host/cni/exec.rs",
        &["containernetworking-plugins", "iptables"],
        "runs plugins, and iptables for what they leave",
    ),
    ("host/containerd/daemon/process.rs", &["containerd"], "runs the private containerd"),
    ("host/containerd/images/credentials.rs", &[], "runs the helper that the operator's own file of credentials names"),
    ("host/containerd/instances/own_shim.rs", &[], "starts this program as a shim"),
    ("shim/bootstrap.rs", &[], "starts this program as a shim"),
    ("upgrade/deb.rs", &[], "installs a package by dpkg, which is where packages are"),
    ("upgrade/describe.rs", &[], "asks a program that is to take this one's place what it is"),
    ("upgrade/service.rs", &[], "asks systemctl, where there is one, to start what an upgrade needs"),
    ("upgrade/start.rs", &[], "starts the kept program as the watcher"),
];

fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            found.push((path.to_str().unwrap().to_owned(), product));
        }
    }
}

/// Whether a source takes the means to start programs, of the standard library or of tokio's.
fn starts_programs(source: &str) -> bool {
    source.contains("process::Command") || source.contains("process::{") && source.contains("Command::new(")
}

#[test]
fn what_the_program_starts_the_package_depends_on() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let prefix = format!("{}/src/", root.display());
    let starting: BTreeSet<&str> = files
        .iter()
        .filter(|(_, source)| starts_programs(source))
        .map(|(file, _)| file.strip_prefix(&prefix).unwrap())
        .collect();
    let known: BTreeSet<&str> = STARTS.iter().map(|(file, ..)| *file).collect();
    assert_eq!(starting, known, "a file that starts a program says in STARTS which package has it");

    let manifest: toml::Table = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
    let depends = manifest["package"]["metadata"]["deb"]["depends"].as_str().unwrap();
    let depends: BTreeSet<&str> = depends.split(", ").filter(|name| *name != "$auto").collect();
    let needed: BTreeSet<&str> = STARTS.iter().flat_map(|(_, packages, _)| packages.iter().copied()).collect();
    assert_eq!(depends, needed, "Cargo.toml, [package.metadata.deb], and STARTS");
}

#[test]
fn the_unit_names_the_place_of_the_program_once_for_the_package_to_put_in_its_own() {
    let unit = include_str!("../../config/actord.service");
    let lines: Vec<&str> = unit.lines().filter(|line| line.contains("/usr/local")).collect();
    assert_eq!(lines, ["ExecStart=/usr/local/bin/actord up"], "config/package replaces it by /usr/bin");
}
