//! Who may import whom, read from the source.
//!
//! ```text
//! http -> { engine, routes } -> function      actors -> { engine, routes, host (traits), store } <- host::{ containerd, cni, fake }
//! ```
//! Adapters and actors never see each other; `daemon` introduces them. What is compiled for tests alone
//! (`#[cfg(test)] mod`) is free.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a source that can't be read is a failure")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every room, and the rooms that it may look into. The longest name that fits is a file's room.
const ROOMS: &[(&str, &[&str])] = &[
    ("function", &[]),
    ("durable", &[]),
    ("host", &["function"]),
    ("host::containerd", &["function", "host", "durable"]),
    ("host::cni", &["function", "host", "durable"]),
    ("host::fake", &["function", "host"]),
    ("wire", &["function"]),
    ("routes", &["function"]),
    ("store", &["function", "durable"]),
    ("engine", &["function"]),
    ("actors", &["function", "engine", "host", "routes", "store"]),
    ("http", &["function", "engine", "routes", "credentials", "wire"]),
    ("archive", &[]),
    ("config", &["function", "host"]),
    ("data_dir", &["durable"]),
    ("credentials", &["data_dir"]),
    ("telemetry", &["config"]),
    ("stack", &["function", "durable"]),
    ("cli", &["config", "archive", "credentials", "function", "data_dir", "store", "stack", "doctor", "wire"]),
    ("doctor", &["config", "credentials", "store", "host::cni", "host::containerd"]),
    (
        "daemon",
        &[
            "actors",
            "config",
            "credentials",
            "data_dir",
            "doctor",
            "engine",
            "function",
            "host",
            "host::cni",
            "host::containerd",
            "http",
            "routes",
            "store",
        ],
    ),
];

/// Files that read the environment beside `config`, and why.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("cli/client/environment.rs", "takes OPENFAAS_URL, and what stack files name, as faas-cli does"),
    ("host/containerd/daemon/process.rs", "hands PATH on to containerd"),
];

/// Crates that only some rooms may name, beside the program itself.
const CRATES: &[(&str, &[&str])] = &[
    ("actix", &["actors", "daemon"]),
    ("actix_web", &["http", "daemon"]),
    ("anyhow", &["daemon"]),
    ("clap", &["config", "cli"]),
    ("clap_complete", &["cli"]),
    ("containerd_client", &["host::containerd"]),
    ("indicatif", &["cli"]),
    ("oci_client", &["host::containerd"]),
    ("prost", &["host::containerd"]),
    ("prost_types", &["host::containerd"]),
    ("reqwest", &["host::containerd", "cli"]),
    ("rscni_types", &["host::cni"]),
    ("rusqlite", &["store"]),
    ("serde_saphyr", &["stack", "cli"]),
    ("tonic", &["host::containerd"]),
    ("utoipa", &["http", "wire"]),
];

/// Crates that the heart may name. It has no clock, no I/O and no async.
const HEART: &[&str] = &["std", "serde", "thiserror"];
/// Parts of the standard library that the heart may not name.
const HEART_NOT: &[&str] = &["fs", "io", "env", "process", "thread"];

/// What is wrong with a file: one sentence each.
fn violations(file: &str, source: &str) -> BTreeSet<String> {
    let module = module_of(file);
    let Some((room, allowed)) = room_of(&module) else {
        return [format!("{file}: no rule for it: add its room to the table")].into();
    };
    let may_read = room == "config" || ENVIRONMENT.iter().any(|(name, _)| *name == file);
    let mut found = BTreeSet::new();
    for path in paths(&product_code(source)) {
        let text = path.join("::");
        if let Some(target) = absolute(&path, &module)
            && let Some((target, _)) = room_of(&target)
            && target != room
            && !allowed.contains(&target)
        {
            found.insert(format!("{file}: {room} must not import {target} ({text})"));
        }
        let [first, second, ..] = path.as_slice() else { continue };
        if let Some((name, rooms)) = CRATES.iter().find(|(name, _)| name == first)
            && !rooms.contains(&room)
        {
            found.insert(format!("{file}: {room} must not use the crate {name} ({text})"));
        }
        let reads = |name: &str| name.starts_with("var") || matches!(name, "set_var" | "remove_var");
        if !may_read && path.windows(2).any(|pair| pair[0] == "env" && reads(&pair[1])) {
            found.insert(format!("{file}: only config reads the environment ({text})"));
        }
        let external = |name: &str| DEPENDENCIES.contains(&name) && !HEART.contains(&name);
        if room == "function" && (external(first) || (first == "std" && HEART_NOT.contains(&second.as_str()))) {
            found.insert(format!("{file}: the heart must stay pure ({text})"));
        }
    }
    found
}

/// Every crate that a path can begin with, as far as the heart is concerned.
const DEPENDENCIES: &[&str] = &[
    "actix",
    "actix_web",
    "async_trait",
    "bytes",
    "dashmap",
    "futures_util",
    "hyper",
    "hyper_util",
    "rand",
    "rustix",
    "rusqlite",
    "serde",
    "serde_json",
    "std",
    "thiserror",
    "tokio",
    "tokio_util",
    "tonic",
    "tracing",
];

/// `host/cni/exec.rs` -> `host`, `cni`, `exec`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The room that a module path leads into: the longest that fits.
fn room_of(module: &[String]) -> Option<(&'static str, &'static [&'static str])> {
    let path = module.join("::");
    let fits = |room: &str| path == room || path.starts_with(&format!("{room}::"));
    ROOMS.iter().filter(|(room, _)| fits(room)).max_by_key(|(room, _)| room.len()).copied()
}

/// Where a path leads, if it leads to something of ours.
fn absolute(path: &[String], module: &[String]) -> Option<Vec<String>> {
    match path[0].as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            let base = module.len().checked_sub(up)?;
            Some(module[..base].iter().chain(&path[up..]).cloned().collect())
        }
        // After `use crate::host`, the adapters can be reached without `crate`.
        "host" => Some(path.to_vec()),
        _ => None,
    }
}

/// A source without its comments, its texts and its tests.
fn product_code(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_text(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = hashes + 2;
            rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
        } else if c == '"' {
            text_length(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            rest[2..].find('\'').map_or(rest.len(), |end| end + 3)
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skip..];
    }
    let inline_tests = code.match_indices("#[cfg(test)]\nmod ").find(|(at, found)| {
        let name = &code[at + found.len()..];
        name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').trim_start().starts_with('{')
    });
    match inline_tests {
        Some((at, _)) => code[..at].to_owned(),
        None => code,
    }
}

/// The names of the modules that a file declares in other files, with the lines before `mod` that say what for.
fn declared<'a>(source: &'a str, attribute: &str) -> impl Iterator<Item = &'a str> {
    let lines = source.lines().zip(source.lines().skip(1));
    let wanted = lines.filter(move |(before, _)| attribute.is_empty() || *before == attribute);
    wanted.filter_map(|(_, line)| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
}

/// What is neither a test nor part of the program that puts the rooms together.
fn library(files: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut free: Vec<Vec<String>> = vec![vec!["main".to_owned()], vec!["lib".to_owned()]];
    for (file, source) in &files {
        let mut parent = module_of(file);
        let attribute = if file == "main.rs" { "" } else { "#[cfg(test)]" };
        if matches!(file.as_str(), "main.rs" | "lib.rs") {
            parent.clear();
        }
        free.extend(declared(source, attribute).map(|name| [parent.as_slice(), &[name.to_owned()]].concat()));
    }
    files.into_iter().filter(|(file, _)| !free.iter().any(|module| module_of(file).starts_with(module))).collect()
}

/// How many hashes a raw text begins with, if this is one.
fn raw_text(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a text with its quotes.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == '"' && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// Every path in the code, with groups written out: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(begin) = rest.find(|c: char| c.is_alphanumeric() || c == '_') {
        rest = tree(&rest[begin..], &[], &mut found);
    }
    found
}

/// Reads one path with its groups and returns what comes after it.
fn tree<'a>(code: &'a str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let end = code.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(code.len());
    let mut path = prefix.to_vec();
    path.push(code[..end].to_owned());
    let after = &code[end..];
    let Some(next) = after.strip_prefix("::") else {
        found.push(path);
        return after;
    };
    let Some(mut group) = next.strip_prefix('{') else {
        if next.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return tree(next, &path, found);
        }
        found.push(path);
        return next;
    };
    loop {
        group = group.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == '*');
        if let Some(after) = group.strip_prefix('}') {
            return after;
        }
        if !group.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return group;
        }
        group = tree(group, &path, found);
        // `a as b`: the new name is no path.
        if let Some(renamed) = group.strip_prefix(" as ") {
            group = renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        }
    }
}

fn sources(directory: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_room_imports_only_what_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &root, &mut files);
    let files = library(files);
    assert!(files.len() > 10, "the source is not where it was: {files:?}");
    let wrong: Vec<String> = files.iter().flat_map(|(file, source)| violations(file, source)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The field of a spec that the test below follows, as the heart and as the REST API call it.
const SOME_FIELD: [&str; 2] = ["read_only_root_filesystem", "readOnlyRootFilesystem"];

/// Where a field of a spec is named: what it is, how it is sent and shown, and what it does.
const PLACES: [&str; 3] = ["function/spec", "wire/function.rs", "/oci/"];

#[test]
fn a_field_of_a_spec_is_named_in_three_places() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &root, &mut files);
    let names_it = |source: &str| SOME_FIELD.iter().any(|name| product_code(source).contains(name));
    let files = library(files).into_iter().filter(|(_, source)| names_it(source));
    let elsewhere: Vec<String> =
        files.map(|(file, _)| file).filter(|file| !PLACES.iter().any(|place| file.contains(place))).collect();
    assert!(elsewhere.is_empty(), "a new field would have to be named here as well: {elsewhere:?}");
}

#[test]
fn instances_are_made_of_what_their_image_carries_and_read_nothing_of_it_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root.join("host/containerd/instances"), &root, &mut files);
    assert!(files.len() > 10, "the source is not where it was: {files:?}");
    for (file, source) in files {
        let again = |path: &Vec<String>| path.iter().any(|part| matches!(&**part, "images" | "content_client"));
        let found: Vec<_> = paths(&product_code(&source)).into_iter().filter(again).collect();
        assert!(found.is_empty(), "{file} looks into the content store: {found:?}");
    }
}

#[test]
fn the_rules_name_no_room_that_is_not_in_the_table() {
    let known: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    for (room, allowed) in ROOMS.iter().chain(CRATES) {
        assert!(allowed.iter().all(|name| known.contains(name)), "{room}: {allowed:?}");
    }
}

#[test]
fn an_import_that_is_not_allowed_is_found_however_it_is_written() {
    for (file, source) in [
        ("function/spec.rs", "use crate::host::HostError;"),
        ("function/spec.rs", "fn f() { crate::host::x() }"),
        ("function/spec.rs", "use tokio::time::Instant;"),
        ("function/spec.rs", "use std::{fmt, fs::File};"),
        ("function/mod.rs", "use super::routes::Lease;"),
        ("host/mod.rs", "use self::x; use crate::actors::messages::Ensure;"),
        ("host/cni/mod.rs", "use crate::{function::Spec, host::{HostError, containerd::Containerd}};"),
        ("host/cni/exec.rs", "use super::super::containerd::Containerd;"),
        ("host/containerd/oci.rs", "use crate::{\n    host::{\n        cni::Bridge,\n    },\n};"),
        ("host/containerd/mod.rs", "use super::fake::Fake;"),
        ("actors/function.rs", "use crate::host::containerd::Containerd;"),
        ("actors/function.rs", "use crate::host; fn f() { host::cni::attach() }"),
        ("actors/function.rs", "use crate::http::routes;"),
        ("actors/function.rs", "use actix_web::web;"),
        ("actors/function.rs", "use rusqlite::Connection;"),
        ("http/invoke.rs", "use crate::host::fake::Fake;"),
        ("http/invoke.rs", "use crate::host::HostError;"),
        ("http/invoke.rs", "use crate::actors::LocalEngine;"),
        ("http/invoke.rs", "use crate::store::Store;"),
        ("engine/mod.rs", "use crate::actors::LocalEngine;"),
        ("engine/mod.rs", "use crate::host::Image;"),
        ("http/invoke.rs", "use tonic::Status;"),
        ("http/invoke.rs", "fn f() -> anyhow::Result<()> { Ok(()) }"),
        ("store/mod.rs", "use crate::actors::messages::{self as m, Apply};"),
        ("store/mod.rs", "#[actix::main] async fn f() {}"),
        ("telemetry.rs", "fn f() { let _ = std::env::var(\"HOME\"); }"),
        ("host/cni/mod.rs", "use std::env; fn f() { env::vars_os(); }"),
        ("kitchen/mod.rs", "use std::fmt;"),
    ] {
        assert!(!violations(file, source).is_empty(), "{file}: {source}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    for (file, source) in [
        ("function/spec.rs", "use super::{Generation, name::FunctionName}; use std::collections::BTreeMap;"),
        (
            "function/spec.rs",
            "// use tokio::time;\nconst A: &str = \"crate::host::x\"; const B: char = '\"'; /* tonic::x */",
        ),
        (
            "function/spec.rs",
            "const A: &str = r#\"a \" tokio::time\"#;\n#[cfg(test)]\nmod tests {\n use tokio::time; }",
        ),
        (
            "host/cni/exec.rs",
            "use super::plugin::Plugin; use crate::host::{HostError, Network}; use tokio::process::Command;",
        ),
        ("host/containerd/oci.rs", "use containerd_client::tonic::Code; use super::channel::Containerd;"),
        ("host/mod.rs", "pub mod cni; pub mod containerd; use crate::function::Exit;"),
        ("actors/function.rs", "use super::messages::Apply; use crate::{routes::Routes, store::Store};"),
        ("http/mod.rs", "use actix_web::web; use crate::engine::{Engine, Refused as No};"),
        ("config/mod.rs", "fn f() { std::env::var(\"RUST_LOG\"); }"),
        ("cli/pack.rs", "const ARCH: &str = std::env::consts::ARCH; const V: &str = env!(\"CARGO_PKG_VERSION\");"),
        ("host/containerd/daemon/process.rs", "fn f() { std::env::var_os(\"PATH\"); }"),
    ] {
        assert_eq!(violations(file, source), BTreeSet::new(), "{file}: {source}");
    }
}

#[test]
fn only_the_program_and_tests_are_free_of_the_rules() {
    let file = |name: &str, source: &str| (name.to_owned(), source.to_owned());
    let kept = library(vec![
        file("main.rs", "use actord::cli;\n\nmod up;\nmod wiring;\n"),
        file("up.rs", ""),
        file("wiring/mod.rs", ""),
        file("lib.rs", "pub mod actors;\n"),
        file("actors/mod.rs", "mod registry;\n#[cfg(test)]\nmod supervision;\nmod waiting;\n"),
        file("actors/registry.rs", ""),
        file("actors/supervision.rs", ""),
        file("actors/waiting.rs", "#[cfg(test)]\nmod tests;\n"),
        file("actors/waiting/tests.rs", ""),
        file("function/up.rs", ""),
    ]);
    let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["actors/mod.rs", "actors/registry.rs", "actors/waiting.rs", "function/up.rs"]);
}
