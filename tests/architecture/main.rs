//! Who may import whom, read from the source.
//!
//! ```text
//! http -> { engine, routes, wire } -> function      actors -> { engine, routes, store, host } -> function
//!                                                   host::{ containerd, cni } -> host
//! ```
//! Adapters and actors never see each other, doors see neither; `daemon` introduces them. No arrow runs back, between
//! rooms or between files. What is compiled for tests alone (`#[cfg(test)] mod`) is free.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a source that can't be read is a failure")]

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::source::{paths, product_code};

/// Every room, and the rooms that it may look into. The longest name that fits is a file's room.
const ROOMS: &[(&str, &[&str])] = &[
    ("function", &[]),
    ("cgroups", &[]),
    ("process", &[]),
    ("durable", &[]),
    ("host", &["function"]),
    ("host::containerd", &["function", "host", "durable", "cgroups", "process"]),
    ("host::cni", &["function", "host", "durable"]),
    ("host::fake", &["function", "host"]),
    ("wire", &["function"]),
    ("routes", &["function"]),
    ("store", &["function", "durable"]),
    ("store::calls", &["function", "durable", "store"]),
    ("engine", &["function"]),
    ("actors", &["function", "engine", "host", "routes", "store"]),
    ("tls", &[]),
    ("queue", &["function", "engine", "routes", "store::calls"]),
    ("cron", &["function", "engine", "routes", "queue"]),
    ("history", &["function", "engine", "routes"]),
    ("events", &["function", "engine", "queue", "history"]),
    (
        "http",
        &["audit", "function", "engine", "routes", "queue", "cron", "history", "events", "credentials", "tls", "wire"],
    ),
    ("scaler", &["function", "engine", "routes"]),
    ("shim", &["cgroups", "process"]),
    ("archive", &[]),
    ("bundle", &["durable"]),
    ("audit", &[]),
    ("config", &["function", "host"]),
    ("data_dir", &["durable", "process"]),
    ("upgrade", &["durable", "process"]),
    ("credentials", &["data_dir", "function"]),
    ("telemetry", &["config"]),
    ("stack", &["function", "durable"]),
    (
        "cli",
        &[
            "config",
            "archive",
            "bundle",
            "credentials",
            "function",
            "data_dir",
            "store",
            "store::calls",
            "queue",
            "stack",
            "doctor",
            "upgrade",
            "wire",
        ],
    ),
    (
        "doctor",
        &[
            "config",
            "credentials",
            "function",
            "process",
            "store",
            "store::calls",
            "host",
            "host::cni",
            "host::containerd",
            "tls",
        ],
    ),
    (
        "fuzz_targets",
        &[
            "bundle",
            "function",
            "host::cni",
            "host::containerd",
            "http",
            "queue",
            "cron",
            "events",
            "stack",
            "store",
            "cli",
            "wire",
        ],
    ),
    ("daemon", EVERY_ROOM),
];

/// For the room that introduces the others.
const EVERY_ROOM: &[&str] = &[
    "actors",
    "audit",
    "config",
    "credentials",
    "cron",
    "data_dir",
    "doctor",
    "engine",
    "events",
    "function",
    "history",
    "host",
    "host::cni",
    "host::containerd",
    "http",
    "queue",
    "routes",
    "scaler",
    "shim",
    "store",
    "store::calls",
    "tls",
    "upgrade",
    "wire",
];

/// Files that read the environment beside `config`, and why.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("cli/client/environment.rs", "takes OPENFAAS_URL, and what stack files name, as faas-cli does"),
    ("daemon/up.rs", "warns of variables that no setting has"),
    ("host/containerd/daemon/process.rs", "hands PATH on to containerd"),
    ("shim/mod.rs", "containerd names its socket for events in TTRPC_ADDRESS"),
    ("shim/container/seal.rs", "goes on as itself with the same variables"),
];

/// Files that ask what time it is on the wall, and what for. All that waits, expires or is compared goes by a clock that nobody
/// can set (tokio's): a clock that jumps by ten years must start no storm, and let nothing expire early.
const WALL_CLOCK: &[(&str, &str)] = &[
    ("actors/function/mod.rs", "when a spec was accepted, to be shown"),
    ("actors/housekeeping/last_used.rs", "in which order functions are started after a reboot"),
    ("actors/log_retention.rs", "which logs are older than a deletion; one that is made in the future loses none"),
    ("cli/import.rs", "when an image was made, to be shown"),
    ("cli/logs/mod.rs", "since when a person wants to see logs"),
    (
        "credentials/access.rs",
        "from which date on a token is refused: it outlives restarts, and its maker thinks in days",
    ),
    ("cron/driver.rs", "when a schedule is due: people set it by the wall"),
    ("daemon/dashboard.rs", "when the machine was looked at, to be shown"),
    ("daemon/down.rs", "the logs of all functions go, whenever they began"),
    ("doctor/certificate.rs", "whether a certificate is good today, to be shown"),
    ("doctor/resources.rs", "whether the clock can be right"),
    ("host/containerd/connection/lease.rs", "when containerd drops what a dead actord was pulling; a day is enough"),
    ("host/containerd/images/registry/refusal.rs", "how long a registry asks to wait, where its answer has no date"),
    ("host/containerd/logs/meta.rs", "when a log began, to tell it from one of an earlier function of its name"),
    ("http/api/events.rs", "when an event was told, to be shown"),
    ("http/api/history.rs", "when points are, to be shown"),
    ("http/api/logs/mod.rs", "since when a person wants to see logs"),
    ("http/api/subject.rs", "when a change was asked for, to be shown"),
    ("http/api/tokens.rs", "whether a token has expired, to be shown"),
    ("http/metrics/process.rs", "how old this process is, to be shown"),
    ("http/proxy/headers.rs", "X-Start-Time, as the gateway writes it"),
    ("queue/ticks.rs", "when a call was accepted, to be shown; and where the queue's own clock begins"),
    ("shim/cleanup.rs", "when a process ended, to be shown"),
    ("shim/events.rs", "when an event happened, to be shown"),
    ("shim/exits.rs", "when a process ended, to be shown"),
    ("store/files.rs", "the name of a damaged file that is kept"),
    ("upgrade/prepare.rs", "when an upgrade began, to be shown"),
];

/// Crates that only some rooms may name, beside the program itself.
const CRATES: &[(&str, &[&str])] = &[
    ("actix", &["actors", "daemon"]),
    ("actix_http", &["http"]),
    ("actix_server", &["http"]),
    ("actix_service", &["http"]),
    ("actix_web", &["http", "daemon"]),
    ("anyhow", &["daemon"]),
    ("clap", &["config", "cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("containerd_client", &["host::containerd"]),
    ("containerd_shim_protos", &["shim"]),
    ("croner", &["cron"]),
    ("h2", &["http"]),
    ("httparse", &["http"]),
    ("indicatif", &["cli"]),
    ("libseccomp", &["shim"]),
    ("prost", &["host::containerd"]),
    ("prost_types", &["host::containerd"]),
    ("reqwest", &["host::containerd", "cli", "http"]),
    ("rscni_types", &["host::cni"]),
    ("rusqlite", &["store", "store::calls"]),
    ("serde_saphyr", &["stack", "cli"]),
    ("tokio_rustls", &["http"]),
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
        let asks_the_wall = path.windows(2).any(|pair| {
            matches!(pair[0].as_str(), "Timestamp" | "SystemTime" | "Zoned" | "Utc" | "Local") && pair[1] == "now"
        });
        if asks_the_wall && !file.starts_with("host/fake/") && !WALL_CLOCK.iter().any(|(name, _)| *name == file) {
            found.insert(format!(
                "{file}: a clock on the wall can jump: go by tokio's, or say in the list why not ({text})"
            ));
        }
        let reads = |name: &str| name.starts_with("var") || matches!(name, "set_var" | "remove_var");
        if !may_read && path.windows(2).any(|pair| pair[0] == "env" && reads(&pair[1])) {
            found.insert(format!("{file}: only config reads the environment ({text})"));
        }
        let external = |name: &str| is_external(name) && !HEART.contains(&name);
        if room == "function" && (external(first) || (first == "std" && HEART_NOT.contains(&second.as_str()))) {
            found.insert(format!("{file}: the heart must stay pure ({text})"));
        }
    }
    found
}

/// Whether a path begins with the standard library or with a crate of the manifest.
fn is_external(name: &str) -> bool {
    let manifest = include_str!("../../Cargo.toml").replace('-', "_");
    name == "std" || manifest.lines().any(|line| line.split([' ', '.']).next() == Some(name) && line.contains('='))
}

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

/// The files of the library, without what is for tests alone.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &root, &mut files);
    let files = library(files);
    assert!(files.len() > 100, "the source is not where it was: {files:?}");
    files
}

#[test]
fn every_room_imports_only_what_it_may() {
    let files = files();
    let wrong: Vec<String> = files.iter().flat_map(|(file, source)| violations(file, source)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What each file takes from others: modules that have files of their own, but those that it lies in or that lie in it.
fn imports(files: &[(String, String)]) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let modules: BTreeSet<Vec<String>> = files.iter().map(|(file, _)| module_of(file)).collect();
    let of = |(file, source): &(String, String)| {
        let module = module_of(file);
        let targets = paths(&product_code(source)).into_iter().filter_map(|path| absolute(&path, &module));
        let files = targets.filter_map(|mut target| {
            while !modules.contains(&target) {
                target.pop()?;
            }
            (!target.starts_with(&module) && !module.starts_with(&target)).then_some(target)
        });
        (module.clone(), files.collect())
    };
    files.iter().map(of).collect()
}

/// Takes away whatever imports nothing that is left, until only circles remain.
fn circles(mut graph: BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> BTreeSet<String> {
    loop {
        let left: BTreeSet<Vec<String>> = graph.keys().cloned().collect();
        let before = graph.len();
        graph.retain(|_, targets| targets.iter().any(|target| left.contains(target)));
        if graph.len() == before {
            return left.into_iter().map(|module| module.join("::")).collect();
        }
    }
}

#[test]
fn no_file_imports_in_a_circle() {
    let found = circles(imports(&files()));
    assert!(found.is_empty(), "in circles, or on the way into one: {found:?}");
    let file = |name: &str, source: &str| (name.to_owned(), source.to_owned());
    let circle = [file("a/b.rs", "use super::c::C;"), file("a/c.rs", "use crate::a::b;"), file("d.rs", "")];
    assert_eq!(circles(imports(&circle)).len(), 2);
}

#[test]
fn no_room_may_import_in_a_circle() {
    let room = |name: &str| vec![name.to_owned()];
    let graph = ROOMS.iter().map(|(name, allowed)| (room(name), allowed.iter().map(|name| room(name)).collect()));
    assert_eq!(circles(graph.collect()), BTreeSet::new());
}

/// The field of a spec that the test below follows, as the heart and as the REST API call it.
const SOME_FIELD: [&str; 2] = ["read_only_root_filesystem", "readOnlyRootFilesystem"];

/// Where a field of a spec is named: what it is, how it is sent and shown, and what it does.
const PLACES: [&str; 3] = ["function/spec", "wire/function.rs", "/oci/"];

#[test]
fn a_field_of_a_spec_is_named_in_three_places() {
    let names_it = |source: &str| SOME_FIELD.iter().any(|name| product_code(source).contains(name));
    let files = files().into_iter().filter(|(_, source)| names_it(source));
    let elsewhere: Vec<String> =
        files.map(|(file, _)| file).filter(|file| !PLACES.iter().any(|place| file.contains(place))).collect();
    assert!(elsewhere.is_empty(), "a new field would have to be named here as well: {elsewhere:?}");
}

#[test]
fn instances_are_made_of_what_their_image_carries_and_read_nothing_of_it_again() {
    let instances = files().into_iter().filter(|(file, _)| file.starts_with("host/containerd/instances/"));
    let instances: Vec<_> = instances.collect();
    assert!(instances.len() > 5, "the source is not where it was: {instances:?}");
    for (file, source) in instances {
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
        ("http/invoke.rs", "use crate::store::calls::Calls;"),
        ("queue/dispatcher.rs", "use crate::store::Store;"),
        ("queue/dispatcher.rs", "use crate::http::Queued;"),
        ("cron/driver.rs", "use crate::store::calls::Calls;"),
        ("store/mod.rs", "use self::calls::Calls; use crate::store::calls::Seq;"),
        ("scaler/driver.rs", "use crate::actors::LocalEngine;"),
        ("engine/mod.rs", "use crate::actors::LocalEngine;"),
        ("engine/mod.rs", "use crate::host::Image;"),
        ("http/invoke.rs", "use tonic::Status;"),
        ("http/invoke.rs", "fn f() -> anyhow::Result<()> { Ok(()) }"),
        ("store/mod.rs", "use crate::actors::messages::{self as m, Apply};"),
        ("store/mod.rs", "#[actix::main] async fn f() {}"),
        ("telemetry.rs", "fn f() { let _ = std::env::var(\"HOME\"); }"),
        ("host/cni/mod.rs", "use std::env; fn f() { env::vars_os(); }"),
        ("kitchen/mod.rs", "use std::fmt;"),
        ("actors/retry.rs", "fn f() { let _ = jiff::Timestamp::now(); }"),
        ("scaler/driver.rs", "use std::time::SystemTime; fn f() { SystemTime::now(); }"),
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
