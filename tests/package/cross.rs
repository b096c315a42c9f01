//! A build for another kind of machine is made, or it is said what it lacks: it is never left out in silence.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Runs config/cross beside a stand-in for config/setup.
fn cross(setup: &str, words: &[&str]) -> Output {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("config");
    fs::create_dir_all(&config).unwrap();
    fs::create_dir_all(root.path().join("target/tools/arm64")).unwrap();
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/cross"), config.join("cross")).unwrap();
    fs::write(config.join("setup"), format!("#!/bin/sh\n{setup}\n")).unwrap();
    fs::set_permissions(config.join("setup"), fs::Permissions::from_mode(0o755)).unwrap();
    Command::new(config.join("cross")).args(words).env_remove("CARGO_TARGET_DIR").output().unwrap()
}

#[test]
fn a_build_that_can_not_be_made_says_what_is_missing_and_how_to_get_it_and_fails() {
    let said = cross(
        "echo 'setup: a long story'; echo \"setup: Rust's own library is missing\" >&2; echo 'setup: get it: so' >&2; exit 1",
        &["arm64", "echo", "built"],
    );
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&said.stdout), "");
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(words.ends_with("\narm64: NOT BUILT, Rust's own library is missing\nget it: so\n"), "{words}");
}

#[test]
fn a_kind_of_machine_that_there_is_no_build_for_is_refused_by_its_name() {
    let said = cross("exit 0", &["riscv64", "echo", "built"]);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&said.stdout), "");
    assert!(String::from_utf8_lossy(&said.stderr).starts_with("riscv64: NOT BUILT, "));
}

#[test]
fn what_builds_is_told_the_target_the_linker_the_emulator_and_the_packages_of_that_kind() {
    let said = cross("[ \"$1\" = --arm64 ]", &["arm64", "env"]);
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    let environment = String::from_utf8_lossy(&said.stdout).into_owned();
    for line in [
        "CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc",
        "DEB_HOST_ARCH=arm64",
    ] {
        assert!(environment.lines().any(|found| found == line), "{line} is not in\n{environment}");
    }
    let value = |name: &str| environment.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
    assert!(value("RUNNER").starts_with("qemu-aarch64-static -L /"));
    assert_eq!(value("RUNNER"), value("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER"));
    // A dpkg-shlibdeps that knows its libraries goes before this machine's.
    assert!(value("PATH").split(':').next().unwrap().ends_with("/tools/arm64/bin"));
}
