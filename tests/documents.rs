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
    let known = ["actord_", "gateway_", "http_request", "provider_http_", "pod_", "process_"];
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    plain && !name.ends_with('_') && known.iter().any(|prefix| name.starts_with(prefix))
}

#[test]
fn every_label_and_annotation_that_the_code_reads_is_in_the_document() {
    let key = |text: &String| {
        let of_ours = text.starts_with("com.openfaas.") || text.starts_with("actord.apply/");
        of_ours && !text.contains([' ', '{'])
    };
    let read: BTreeSet<String> = literals("").into_iter().filter(key).collect();
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
fn the_first_page_stays_short() {
    let lines = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap().lines().count();
    assert!(lines <= 160, "README.md has {lines} lines: at most 160, the rest belongs into docs/");
}
