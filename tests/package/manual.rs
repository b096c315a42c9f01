//! The manual: a page for each verb, which man can read.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use actord::cli::Cli;
use clap::CommandFactory as _;

/// The names of the pages that a verb and those below it should have.
fn pages(verb: &clap::Command, name: &str, found: &mut BTreeSet<String>) {
    found.insert(format!("{name}.1"));
    for below in verb.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, &format!("{name}-{}", below.get_name()), found);
    }
}

#[test]
fn every_verb_has_a_page_and_man_has_nothing_to_say_against_any() {
    let directory = tempfile::tempdir().unwrap();
    let man = Command::new(env!("CARGO_BIN_EXE_actord"))
        .args(["man", "--date", "2026-11-27"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(man.status.success(), "{}", String::from_utf8_lossy(&man.stderr));

    let mut expected = BTreeSet::new();
    pages(&Cli::command(), "actord", &mut expected);
    let names = |section: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(directory.path().join(section)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names("man1"), expected);
    assert_eq!(names("man5"), ["actord.toml.5".to_owned()].into());

    let files = ["man1", "man5"].into_iter().flat_map(|section| fs::read_dir(directory.path().join(section)).unwrap());
    for file in files.map(|entry| entry.unwrap().path()) {
        let lint = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&lint.stdout) + String::from_utf8_lossy(&lint.stderr);
        assert!(lint.status.success(), "{}: {said}", file.display());
    }
}

#[test]
fn a_page_shows_how_a_verb_is_called_as_it_is_typed() {
    let directory = tempfile::tempdir().unwrap();
    let man = Command::new(env!("CARGO_BIN_EXE_actord")).arg("man").arg(directory.path()).output().unwrap();
    assert!(man.status.success(), "{}", String::from_utf8_lossy(&man.stderr));
    let page = directory.path().join("man1/actord-token-create.1");
    let shown = Command::new("mandoc").args(["-T", "ascii", "-O", "width=200"]).arg(page).output().unwrap();
    // A bold letter is written, taken back and written once more.
    let shown = String::from_utf8_lossy(&shown.stdout).chars().fold(String::new(), |mut text, letter| {
        if letter == '\u{8}' {
            text.pop();
        } else {
            text.push(letter);
        }
        text
    });
    for line in [
        "actord-token-create - Make a token and print it, this once",
        "actord token create --namespace staging --write --description 'CI of the shop'",
        "actord(1)",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
}
