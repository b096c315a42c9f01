//! The documents name what the code reads and tells: labels, annotations and variables of functions, and metrics.
//!
//! ```text
//! src/**/*.rs without its tests -> string literals -> names of one kind <-> the document's words in backticks
//! ```
//! Settings are compared by `config`'s own tests, which know each setting's default.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a source or document that can't be read is a failure")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The string literals of the product's code; words in comments and tests don't count.
fn literals(room: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room), &mut found);
    assert!(!found.is_empty(), "src/{room} holds no text at all");
    found
}

fn collect(path: &Path, found: &mut BTreeSet<String>) {
    let name = path.file_name().unwrap().to_str().unwrap();
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        entries.filter(|_| name != "tests").for_each(|entry| collect(&entry.unwrap().path(), found));
    } else if name.ends_with(".rs") && name != "tests.rs" {
        let source = fs::read_to_string(path).unwrap();
        let product = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = product.lines().filter(|line| !line.trim_start().starts_with("//"));
        // Every second piece between quotes is a literal: those that are looked for hold no quote of their own.
        let text = |line: &str| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        found.extend(lines.flat_map(text));
    }
}

/// What stands in backticks in a document.
fn named(document: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn missing(names: &BTreeSet<String>, from: &BTreeSet<String>) -> Vec<String> {
    names.difference(from).cloned().collect()
}

fn is_metric(name: &str) -> bool {
    let known = ["actord_", "gateway_", "http_request", "provider_http_", "pod_", "process_", "queue_worker_"];
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    plain && !name.ends_with('_') && known.iter().any(|prefix| name.starts_with(prefix))
}

#[test]
fn every_label_and_annotation_that_the_code_reads_is_in_the_document() {
    let key = |text: &String| {
        let of_ours = text.starts_with("com.openfaas.") || text.starts_with("actord.apply/");
        of_ours && !text.contains([' ', '{'])
    };
    let annotation = |text: &String| text.starts_with("actord.") && !text.contains([' ', '{']);
    let own = literals("function").into_iter().filter(annotation);
    let read: BTreeSet<String> = literals("").into_iter().filter(key).chain(own).collect();
    assert!(read.len() >= 10, "only {read:?} were found: have they moved?");
    // The two checks are prefixes in the code, with the same keys behind them.
    let whole = |name: String| if name.ends_with(".http") { format!("{name}.path") } else { name };
    assert_eq!(missing(&read.into_iter().map(whole).collect(), &named("docs/functions.md")), [""; 0]);
}

#[test]
fn every_key_of_a_check_is_in_the_document() {
    let key = |text: &String| {
        let ends = ["Threshold", "initialDelay", "period", "timeout"];
        ends.iter().any(|end| text.ends_with(end)) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let read: BTreeSet<String> = literals("function").into_iter().filter(key).collect();
    assert_eq!(read.len(), 5, "{read:?}");
    let written = named("docs/functions.md");
    for key in read {
        let long = format!("….{key}Seconds");
        assert!(written.contains(&format!("….{key}")), "….{key} is not in docs/functions.md");
        assert!(key.ends_with("Threshold") || written.contains(&long), "{long} is not in docs/functions.md");
    }
}

#[test]
fn every_variable_of_a_function_that_the_code_reads_is_in_the_document() {
    let variable = |text: &String| {
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        text == "fprocess" || plain && (text.ends_with("_timeout") || text.ends_with("_period"))
    };
    let read: BTreeSet<String> = literals("function").into_iter().filter(variable).collect();
    assert!(read.len() >= 4, "only {read:?} were found: have they moved?");
    assert_eq!(missing(&read, &named("docs/functions.md")), [""; 0]);
}

#[test]
fn the_document_lists_the_metrics_that_there_are_and_no_others() {
    let told: BTreeSet<String> = literals("").into_iter().filter(|name| is_metric(name)).collect();
    assert!(told.len() >= 25, "only {told:?} were found: have they moved?");
    let written: BTreeSet<String> = named("docs/operations.md").into_iter().filter(|name| is_metric(name)).collect();
    assert_eq!(missing(&told, &written), [""; 0], "not in docs/operations.md");
    assert_eq!(missing(&written, &told), [""; 0], "in docs/operations.md alone");
}

#[test]
fn the_page_on_security_shows_the_table_of_routes_as_it_is() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).unwrap();
    let table = actord::http::table_of_routes();
    assert!(text.contains(&table), "docs/security.md should have:\n{table}");
}

#[test]
fn the_first_page_stays_short() {
    let lines = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap().lines().count();
    assert!(lines <= 160, "README.md has {lines} lines: at most 160, the rest belongs into docs/");
}

/// The files and folders of the source that a text names in backticks.
fn paths(text: &str) -> Vec<&str> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|name| name.starts_with("src/") || name.starts_with("tests/")).collect()
}

#[test]
fn the_map_the_guide_and_what_was_tried_name_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (document, least) in [("docs/architecture.md", 80), ("docs/contributing.md", 15), ("docs/compatibility.md", 20)]
    {
        let text = fs::read_to_string(root.join(document)).unwrap();
        let named = paths(&text);
        assert!(named.len() >= least, "{document} names only {named:?}");
        let globs = |name: &&str| name.contains('*');
        let lost: Vec<_> = named.into_iter().filter(|name| !globs(name) && !root.join(name).exists()).collect();
        assert_eq!(lost, [""; 0], "in {document}, and not there");
    }
}

#[test]
fn each_walk_names_a_file_once() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap();
    let walks: Vec<&str> = text.split("\n### Walk ").skip(1).collect();
    assert_eq!(walks.len(), 4, "a deploy, an invocation, a kill, and a rest");
    for walk in walks {
        let (title, rest) = walk.split_once('\n').unwrap();
        let named = paths(rest.split("\n#").next().unwrap());
        assert!(named.len() >= 8, "walk {title} names only {named:?}");
        for (at, file) in named.iter().enumerate() {
            assert!(!named[..at].contains(file), "walk {title} goes back to {file}");
        }
    }
}

/// A room and those that it may import, from a row of either table: the texts between two quotes.
fn row(line: &str, quote: char) -> (String, BTreeSet<String>) {
    let mut names = line.split(quote).skip(1).step_by(2).map(str::to_owned);
    (names.next().unwrap(), names.collect())
}

#[test]
fn the_map_shows_the_rooms_and_arrows_that_the_test_of_the_architecture_holds() {
    let source = include_str!("architecture/main.rs");
    let list = |begin: &str| source.split(begin).nth(1).unwrap().split("\n];").next().unwrap();
    let every_room = list("const EVERY_ROOM: &[&str] = &[").replace('\n', "");
    // A row that is too long for one line begins like any other.
    let held = list("const ROOMS: &[(&str, &[&str])] = &[").split("\n    (").filter(|row| row.contains('"'));
    let held: Vec<_> = held.map(|text| row(&text.replace("EVERY_ROOM", &every_room), '"')).collect();

    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap();
    let table = text.split("| room | what it is | may import |\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let columns = table.lines().skip(1).map(|line| line.split('|').collect::<Vec<_>>());
    let shown: Vec<_> = columns.map(|columns| row(&[columns[1], columns[3]].concat(), '`')).collect();
    assert!(held.len() > 15, "{held:?}");
    assert_eq!(shown, held);
}

#[test]
fn the_page_of_examples_names_each_of_them_and_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/examples.md")).unwrap();
    let folders = fs::read_dir(root.join("config/examples")).unwrap();
    let folders: BTreeSet<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| [")?.split_once("](#"));
    assert_eq!(rows.map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>(), folders);
    let links: Vec<_> = text.split("](../").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    let lost: Vec<_> = links.iter().filter(|link| !root.join(link).exists()).collect();
    assert!(links.len() > folders.len() && lost.is_empty(), "{lost:?} of {links:?}");
}
