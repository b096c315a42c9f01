//! Replays what a real faas-cli sent, byte for byte, on one connection for each command, and compares the answers with
//! those that are due.
//!
//! ```text
//! recorded/NAME.txt -> requests -> a house as the recording's stand-in was -> answers <-> the table at the end
//! ```

mod expected;

use std::time::Duration;

use actord::engine::Used;
use actord::function::Namespace;
use actord::host::fake::Method;
use tokio::time::timeout;

use self::expected::Expected::{self, Accepted, Bare, Called, Json, Line, Log};
use crate::raw_client::{Answer, Connection};
use crate::support::{LocalHouse, function};

/// How long an answer may take before its test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// When the log's line was written: later than any time that lines are asked for from.
const WRITTEN: &str = "2126-01-02T03:04:05.000000006Z";

/// The requests of a recording (see `recorded/README.md`), as they were sent.
fn requests(recording: &str) -> Vec<String> {
    let turns = recording.split("\n\n").filter(|paragraph| paragraph.starts_with("> "));
    let request = |turn: &str| {
        let lines = turn.lines().map_while(|line| line.strip_prefix('>'));
        let lines: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        let mut parts = lines.splitn(2, |line| line.is_empty());
        let (line, headers) = parts.next().unwrap().split_first().unwrap();
        let body = parts.next().unwrap_or_default().join("\n");
        // The recording leaves out the protocol's version and the host.
        format!("{line} HTTP/1.1\r\nHost: gateway\r\n{}\r\n\r\n{body}", headers.join("\r\n"))
    };
    turns.map(request).collect()
}

/// A house as the stand-in was: one function named `known`, of whatever namespace, and what else it took for granted.
async fn stand_in() -> LocalHouse {
    let house = LocalHouse::public().await;
    // It says what it was asked, as soon as it has the whole short request.
    let known = function(|mut connection| async move {
        let head = connection.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let body = connection.read(length.parse().unwrap()).await;
        let answer = format!("{}: {body}", head.lines().next().unwrap());
        let length = answer.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}");
        connection.say(&answer).await;
    })
    .await;
    for name in ["known", "known.dev"] {
        let (id, instance) = (name.parse().unwrap(), format!("{}-1", name.replace('.', "-")).parse().unwrap());
        house.host.begin_log(&instance, &id);
        house.host.write_log(&instance, b"hello\n", WRITTEN.parse().unwrap());
        house.add_with(name, |draft| {
            draft.image = "docker.io/library/known:1".into();
            draft.env_vars = [("a".into(), "b".into())].into();
            draft.labels = [("l".into(), "m".into())].into();
            draft.annotations = [("n".into(), "o".into())].into();
        });
        let used = Used { cpu_millis: 1.5, memory_bytes: 1 << 20, cpu_total: Duration::ZERO };
        house.script.lock().unwrap().used.insert(id.clone(), used);
        house.publish(name, known);
        house.routes.restore_count(&id, 3);
    }
    let (default, dev) = (Namespace::default(), "dev".parse().unwrap());
    for (namespace, name) in [(&default, "taken"), (&default, "s1"), (&dev, "s1")] {
        house.namespaces.create_secret(namespace, name.parse().unwrap(), Vec::new()).await.unwrap();
        house.add_secret(namespace, name).await;
    }
    house
}

/// The answer to one who follows comes to its end with actord: the recording's client was ended by hand.
async fn exchange(house: &LocalHouse, connection: &mut Connection, request: &str) -> Answer {
    let drain = async {
        if request.contains("follow=true") {
            house.host.called(Method::LogsChanged, 1).await;
            house.draining.raise();
        }
    };
    let both = async { futures_util::join!(connection.exchange(request.as_bytes()), drain).0 };
    timeout(PATIENCE, both).await.expect("no whole answer came").unwrap()
}

async fn replay(name: &str, recording: &str, due: &[Expected]) {
    let house = stand_in().await;
    if name == "namespace-create" {
        house.namespaces.delete(&"dev".parse().unwrap()).await.unwrap();
    }
    let requests = requests(recording);
    assert_eq!(requests.len(), due.len(), "{name}");
    let mut connection = Connection::open(house.address).await.unwrap();
    for (request, due) in requests.iter().zip(due) {
        let answer = exchange(&house, &mut connection, request).await;
        due.compare(&answer, request);
        // Also after an answer that made nothing of the request's body.
        assert!(!answer.closes(), "{request}: {answer:?}");
        assert!(!connection.is_closed(), "it goes on, with nothing more on it: {request}");
    }
}

/// The function `known` of a namespace, with what else is told of it.
fn known(namespace: &str, further: &str) -> String {
    let origin = format!(r#""name":"known","image":"docker.io/library/known:1","namespace":"{namespace}""#);
    let asked = r#""envVars":{"a":"b"},"labels":{"l":"m"},"annotations":{"n":"o"}"#;
    let seen = r#""invocationCount":3,"replicas":1,"availableReplicas":1"#;
    format!(r#"{{{origin},{asked},{seen},"createdAt":"2026-01-02T03:04:05.000000006Z"{further}}}"#)
}

/// To those who ask for one function, its usage is told, too.
fn described() -> Expected {
    Json(known("openfaas-fn", r#","usage":{"cpu":1.5,"totalMemoryBytes":1048576}"#))
}

fn listed(namespace: &str) -> Expected {
    Json(format!("[{}]", known(namespace, "")))
}

fn json(text: &str) -> Expected {
    Json(text.to_owned())
}

fn log(namespace: &str, instance: &str) -> Expected {
    let origin = format!(r#""name":"known","namespace":"{namespace}","instance":"{instance}""#);
    Log(format!(r#"{{{origin},"timestamp":"{WRITTEN}","text":"hello"}}"#))
}

/// The gateway's shape.
fn version() -> Expected {
    let version = format!(r#"{{"release":"{}","sha":"abc","commit_message":""}}"#, env!("CARGO_PKG_VERSION"));
    let provider = format!(r#"{{"provider":"actord","version":{version},"orchestration":"containerd"}}"#);
    Json(format!(r#"{{"provider":{provider},"version":{version},"arch":"{}"}}"#, std::env::consts::ARCH))
}

const TAKEN: Expected = Line(409, "secret taken already exists: update it, or delete it first");
const NO_SECRET: Expected = Line(404, "unable to find secret: nosuch");

macro_rules! replays {
    ($($test:ident: $file:literal => [$($due:expr),+],)*) => {$(
        #[actix_web::test]
        async fn $test() {
            replay($file, include_str!(concat!("recorded/", $file, ".txt")), &[$($due),+]).await;
        }
    )*};
}

replays! {
    faas_cli_updates_a_function: "deploy-known" => [Bare(202)],
    faas_cli_deploys_into_a_namespace: "deploy-namespace" => [Line(404, "function: new.dev not found"), Bare(202)],
    faas_cli_deploys_a_new_function: "deploy-new" => [Line(404, "function: new.openfaas-fn not found"), Bare(202)],
    faas_cli_replaces_a_function: "deploy-replace" => [Bare(202), Bare(202)],
    faas_cli_deploys_a_stack: "deploy-stack" =>
        [Line(404, "function: new.openfaas-fn not found"), Bare(202), Bare(202)],
    faas_cli_removes_a_function: "remove" => [Bare(202)],
    faas_cli_removes_a_stack: "remove-stack" => [Line(404, "function new.openfaas-fn not found"), Bare(202)],
    faas_cli_removes_an_unknown_function: "remove-unknown" => [Line(404, "function nosuch.openfaas-fn not found")],
    faas_cli_describes_a_function: "describe" => [described(), listed("openfaas-fn")],
    faas_cli_describes_an_unknown_function: "describe-unknown" => [Bare(404)],
    faas_cli_waits_for_a_function: "ready-function" => [described()],
    faas_cli_waits_for_an_unknown_function: "ready-unknown" => [Bare(404)],
    faas_cli_waits_for_the_gateway: "ready-gateway" => [Bare(200)],
    faas_cli_compares_a_stack: "diff-stack" => [listed("openfaas-fn")],
    faas_cli_lists: "list" => [listed("openfaas-fn")],
    faas_cli_lists_a_namespace: "list-namespace" => [listed("dev")],
    faas_cli_lists_with_more: "list-verbose" => [listed("openfaas-fn")],
    faas_cli_logs_in: "login" => [listed("openfaas-fn")],
    faas_cli_asks_for_the_version: "version" => [version()],
    faas_cli_invokes_a_function: "invoke" => [Called("POST / HTTP/1.1: hello")],
    faas_cli_invokes_in_a_namespace: "invoke-namespace" => [Called("POST / HTTP/1.1: hello")],
    faas_cli_invokes_with_query_header_and_method: "invoke-query-header-method" =>
        [Called("PUT /?a=1&b=2 HTTP/1.1: {}")],
    faas_cli_invokes_asynchronously: "invoke-async" => [Accepted],
    faas_cli_invokes_asynchronously_with_a_callback: "invoke-async-callback" => [Accepted],
    faas_cli_follows_logs: "logs" => [log("openfaas-fn", "known-1")],
    faas_cli_reads_logs_in_a_namespace: "logs-namespace" => [log("dev", "known-dev-1")],
    faas_cli_reads_logs_without_following: "logs-no-tail" => [log("openfaas-fn", "known-1")],
    faas_cli_reads_the_last_lines_of_a_log: "logs-since-lines" => [log("openfaas-fn", "known-1")],
    faas_cli_creates_a_secret_from_a_file: "secret-create-file" => [Bare(202)],
    faas_cli_creates_a_secret_from_its_words: "secret-create-literal" => [Bare(202)],
    faas_cli_creates_a_secret_from_its_input: "secret-create-stdin" => [Bare(202)],
    faas_cli_creates_a_secret_that_is_there: "secret-create-taken" => [TAKEN],
    faas_cli_replaces_a_secret_that_is_there: "secret-create-taken-replace" => [TAKEN, Bare(202)],
    faas_cli_lists_secrets: "secret-list" =>
        [json(r#"[{"name":"s1","namespace":"openfaas-fn"},{"name":"taken","namespace":"openfaas-fn"}]"#)],
    faas_cli_removes_a_secret: "secret-remove" => [Bare(202)],
    faas_cli_removes_a_secret_of_a_namespace: "secret-remove-namespace" => [Bare(202)],
    faas_cli_removes_an_unknown_secret: "secret-remove-unknown" => [NO_SECRET],
    faas_cli_updates_a_secret: "secret-update" => [Bare(202)],
    faas_cli_updates_an_unknown_secret: "secret-update-unknown" => [NO_SECRET],
    faas_cli_creates_a_namespace: "namespace-create" => [Bare(201)],
    faas_cli_deletes_a_namespace: "namespace-delete" => [Bare(202)],
    faas_cli_shows_a_namespace: "namespace-get" => [json(r#"{"name":"dev","labels":{"openfaas":"1"},"annotations":{}}"#)],
    faas_cli_updates_a_namespace: "namespace-update" => [Bare(202)],
    faas_cli_lists_namespaces: "namespace-list" => [json(r#"["openfaas-fn","dev"]"#)],
    faas_cli_lists_namespaces_the_old_way: "namespaces" => [json(r#"["openfaas-fn","dev"]"#)],
}
