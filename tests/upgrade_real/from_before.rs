//! What an earlier program left is taken over.
//!
//! - `before/data` and `before/export` were written by the program of commit f0c23d5; `before/make` is how. `make test`
//!   reads them.
//! - With the earlier program itself, named by `ACTORD_BEFORE`, functions that it runs go on under today's. `make soak`
//!   builds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use actord::credentials::Credentials;
use actord::data_dir::DataDir;
use actord::function::{
    Desired, FunctionId, Generation, GoodGeneration, History, Namespace, Resources, Spec, SpecDraft,
};
use actord::store::{Secrets, Store};

use crate::load::Load;
use crate::manager::{Manager, until};
use crate::restart::habits;

fn before() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade_real/before")
}

/// A copy of the earlier program's data directory: what opens a store writes beside it.
fn copied(directory: &Path) -> PathBuf {
    let data = directory.join("data");
    let copied = Command::new("cp").arg("-r").arg(before().join("data")).arg(&data).status().unwrap();
    assert!(copied.success());
    data
}

fn id(text: &str) -> FunctionId {
    text.parse().unwrap()
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn spec(draft: SpecDraft) -> Arc<Spec> {
    Arc::new(Spec::try_from(draft).unwrap())
}

/// What `before/make` asked for, as it was when it ended.
fn what_was_desired() -> Vec<(FunctionId, Desired)> {
    let hello = |version: u32| SpecDraft { image: format!("docker.io/actord/hello:{version}"), ..SpecDraft::default() };
    let good = spec(SpecDraft { env_vars: texts([("N", "2")]), ..hello(2) });
    let good = GoodGeneration { generation: Generation(2), spec: good, accepted_at: String::new() };
    let fallen = Desired {
        generation: Generation(3),
        spec: spec(hello(3)),
        replicas: 1,
        kept_down: false,
        idle: false,
        adjusted: None,
        accepted_at: String::new(),
        history: [good].into_iter().collect(),
        has_served: false,
        failed: Some(
            "the image runs as user \"a-user-that-the-image-has-not\", which its /etc/passwd does not have: mend the \
             image's USER, or give a number"
                .to_owned(),
        ),
        created_at: "2026-11-26T02:05:56.387453566Z".to_owned(),
        refused: None,
    };
    let plain = SpecDraft {
        env_vars: texts([("GREETING", "good day")]),
        secrets: vec!["token".parse().unwrap()],
        labels: texts([("com.openfaas.scale.min", "2")]),
        annotations: texts([("topic", "news")]),
        limits: Some(Resources {
            memory: Some("64Mi".to_owned()),
            cpu: Some("500m".to_owned()),
            ..Resources::default()
        }),
        requests: Some(Resources { memory: Some("32Mi".to_owned()), ..Resources::default() }),
        read_only_root_filesystem: true,
        ..hello(1)
    };
    let plain = Desired {
        generation: Generation(1),
        spec: spec(plain),
        replicas: 2,
        kept_down: false,
        idle: false,
        adjusted: None,
        accepted_at: String::new(),
        history: History::default(),
        has_served: true,
        failed: None,
        created_at: "2026-11-26T02:05:56.13350842Z".to_owned(),
        refused: None,
    };
    vec![(id("fallen.openfaas-fn"), fallen), (id("plain.team"), plain)]
}

fn assert_secrets(data: &Path) {
    let secrets = Secrets::new(data.join("secrets"));
    for (namespace, name, value) in [("openfaas-fn", "key", &b"\x00\x01\x02\xff"[..]), ("team", "token", b"s3cret")] {
        let name = name.parse().unwrap();
        let read = secrets.read(&namespace.parse().unwrap(), std::slice::from_ref(&name)).unwrap();
        assert_eq!(read[&name], value);
    }
}

#[tokio::test]
async fn a_data_directory_of_before_reads_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let data = copied(directory.path());
    assert_eq!(Store::read(&data.join("actord.db.good")).unwrap(), what_was_desired());
    let store = Store::open(&data.join("actord.db")).unwrap();
    assert_eq!(store.all().await.unwrap(), what_was_desired());
    let calls: BTreeMap<FunctionId, u64> = store.invocations().await.unwrap().into_iter().collect();
    assert_eq!(calls, [(id("fallen.openfaas-fn"), 3), (id("plain.team"), 2)].into());

    let team: Namespace = "team".parse().unwrap();
    assert_eq!(store.namespaces(), [Namespace::default(), team.clone()]);
    let metadata = store.namespace(&team).unwrap();
    assert_eq!(metadata.labels, texts([("openfaas", "1"), ("owner", "ops")]));
    assert_eq!(metadata.annotations, texts([("note", "kept")]));

    assert_secrets(&data);
    let same = |file: &str| fs::read_to_string(before().join("data").join(file)).unwrap().trim().to_owned();
    assert_eq!(DataDir::open(&data).unwrap().host_id(), same("host-id"));
    let password = same("auth/basic-auth-password");
    assert!(!password.is_empty());
    Credentials::read_or_make(&data.join("auth")).unwrap();
    assert_eq!(fs::read_to_string(data.join("auth/basic-auth-password")).unwrap().trim(), password);
}

#[test]
fn an_export_of_before_is_imported_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let imported = Command::new(env!("CARGO_BIN_EXE_actord"))
        .args(["import", "--config", "/dev/null", "--data-dir"])
        .args([&data, &before().join("export")])
        .output()
        .unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    assert_eq!(Store::read(&data.join("actord.db")).unwrap(), what_was_desired());
    assert_secrets(&data);
}

/// The log of `hello`, once its first line and the three that it was asked for are told.
async fn told(manager: &Manager) -> String {
    let mut logs = String::new();
    until("four lines are told", async || {
        logs = manager.ask("GET", "/system/logs?name=hello&tail=100", "").await;
        logs.lines().count() == 4
    })
    .await;
    logs
}

/// Whether all ports of the functions' bridge are isolated and have their filters.
fn are_apart(manager: &Manager) -> bool {
    let shown = |program: &str, arguments: &[&str]| {
        String::from_utf8(Command::new(program).args(arguments).output().unwrap().stdout).unwrap()
    };
    let bridge = manager.actord.traces(BTreeSet::new()).bridge;
    let ports = shown("ip", &["-o", "link", "show", "master", &bridge]);
    let mut ports = ports.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next()).peekable();
    ports.peek().is_some()
        && ports.all(|port| {
            shown("bridge", &["-d", "link", "show", "dev", port]).contains("isolated on")
                && shown("tc", &["filter", "show", "dev", port, "ingress"]).contains("direct-action")
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_an_earlier_program_runs_go_on_under_todays() {
    let Some(before) = std::env::var_os("ACTORD_BEFORE").filter(|path| !path.is_empty()) else {
        println!("ACTORD_BEFORE names no earlier program: nothing is taken over");
        return;
    };
    let mut manager = Manager::new();
    let today = std::mem::replace(&mut manager.program, before.into());
    manager.start().await;
    manager.deploy("hello").await;
    manager.ask("POST", "/system/secrets", r#"{"name":"token","value":"one"}"#).await;
    let pair = r#"{"service":"pair","image":"docker.io/test/hello:1","secrets":["token"],
        "labels":{"com.openfaas.scale.min":"2"}}"#;
    manager.ask("POST", "/system/functions", pair).await;
    manager.ask("GET", "/function/hello/log?lines=3&bytes=20", "").await;
    until("three instances run", async || manager.functions().len() == 3).await;
    let processes = manager.functions();
    let logs = told(&manager).await;

    let load = Load::start(manager.actord.public, habits());
    load.reaches(500).await;
    assert!(manager.actord.stop().await.success(), "{}", manager.actord.end_of_log());
    manager.program = today;
    manager.start().await;
    load.reaches(1_000).await;
    assert_eq!(manager.functions(), processes, "the functions' processes were left alone");
    until("each is alone on its link, and held to its own addresses", async || are_apart(&manager)).await;
    assert_eq!(told(&manager).await, logs, "the log of before is told as it was");

    // What the earlier program made is changed and removed by today's.
    manager.ask("PUT", "/system/secrets", r#"{"name":"token","value":"another"}"#).await;
    let secret = manager.ask("GET", "/function/pair/file?path=/var/openfaas/secrets/token", "").await;
    assert_eq!(secret, "another");
    manager.ask("PUT", "/system/functions", r#"{"service":"hello","image":"docker.io/test/hello:2"}"#).await;
    assert_eq!(manager.ask("GET", "/function/hello/version", "").await.trim(), "2");
    load.reaches(1_500).await;
    let seen = load.finish().await;
    println!("under load, from the earlier program to today's and through an update: {seen}");
    assert_eq!(seen.failed, [""; 0]);

    for name in ["hello", "pair"] {
        manager.ask("DELETE", "/system/functions", &format!(r#"{{"functionName":"{name}"}}"#)).await;
    }
    assert_eq!(manager.ask("GET", "/system/functions", "").await.trim(), "[]");
    until("no process is left", async || manager.functions().is_empty()).await;
    let traces = manager.actord.traces(BTreeSet::new());
    until("nothing is left in containerd", async || traces.in_containerd().is_empty()).await;
    manager.actord.finish().await;
}
