//! Replays what a real faas-cli sent, byte for byte, and expects the statuses that made it succeed, or fail, as recorded.

use actord::function::Namespace;
use actord::host::fake::Method;

use crate::support::{House, Reply, ask, function, read_reply};

/// One request and the status of its answer.
struct Turn {
    head: String,
    body: String,
    status: u16,
}

impl Turn {
    /// The recorded status; but a change that the stand-in answered with 200 is answered with 202 like every other, and
    /// there are no asynchronous invocations.
    fn expected(&self) -> u16 {
        let changes =
            ["PUT /system/", "POST /system/", "DELETE /system/"].iter().any(|line| self.head.starts_with(line));
        match self.status {
            _ if self.head.starts_with("POST /async-function/") => 501,
            200 if changes => 202,
            status => status,
        }
    }
}

/// Reads a recording (see `recorded/README.md`).
fn turns(recording: &str) -> Vec<Turn> {
    let mut turns = Vec::new();
    let (mut head, mut body, mut in_body) = (String::new(), String::new(), false);
    for line in recording.lines() {
        if let Some(sent) = line.strip_prefix('>') {
            let sent = sent.strip_prefix(' ').unwrap_or(sent);
            if in_body {
                body.push_str(sent);
            } else if sent.is_empty() {
                in_body = true;
            } else if head.is_empty() {
                head = format!("{sent} HTTP/1.1\r\nHost: gateway\r\n");
            } else {
                head.push_str(&format!("{sent}\r\n"));
            }
        } else if let Some(status) = line.strip_prefix("< ").and_then(|text| text.parse().ok()) {
            // A numeric answer body would look like a status: none of the recordings has one.
            let (head, body) = (std::mem::take(&mut head), std::mem::take(&mut body));
            turns.push(Turn { head, body, status });
            in_body = false;
        }
    }
    turns
}

/// A house as the stand-in was: one function named `known`, of whatever namespace, and what else it took for granted.
async fn stand_in() -> House {
    let house = House::public().await;
    // It answers as soon as it has the whole short request.
    let known = function(|mut connection| async move {
        let head = connection.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        connection.read(length.parse().unwrap()).await;
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nanswer").await;
    })
    .await;
    for name in ["known", "known.dev"] {
        let instance = format!("{}-1", name.replace('.', "-")).parse().unwrap();
        house.host.begin_log(&instance, &name.parse().unwrap());
        house.host.write_log(&instance, b"hello\n", jiff::Timestamp::now());
        house.add(name, "docker.io/library/known:1");
        house.publish(name, known);
    }
    let (default, dev) = (Namespace::default(), "dev".parse().unwrap());
    for (namespace, name) in [(&default, "taken"), (&default, "s1"), (&dev, "s1")] {
        house.namespaces.create_secret(namespace, name.parse().unwrap(), Vec::new()).await.unwrap();
    }
    house
}

/// The answer to one who follows, until actord ends: the recording's client was ended by hand.
async fn followed(house: &House, client: &mut tokio::net::TcpStream) -> Reply {
    let drain = async {
        house.host.called(Method::LogsChanged, 1).await;
        house.draining.raise();
    };
    futures_util::join!(read_reply(client), drain).0
}

async fn replay(name: &str, recording: &str) {
    let house = stand_in().await;
    let turns = turns(recording);
    assert!(!turns.is_empty(), "{name}");
    if name == "namespace-create" {
        house.namespaces.delete(&"dev".parse().unwrap()).await.unwrap();
    }
    for turn in turns {
        // The recorded head has its own Content-Length.
        let head = format!("{}Connection: close\r\n\r\n{}", turn.head, turn.body);
        let mut client = tokio::net::TcpStream::connect(house.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut client, head.as_bytes()).await.unwrap();
        let follows = turn.head.contains("follow=true");
        let reply = if follows { followed(&house, &mut client).await } else { read_reply(&mut client).await };
        assert_eq!(reply.status, turn.expected(), "{name}: {}{}: {reply:?}", turn.head, turn.body);
        if turn.head.contains("/system/logs") {
            let line: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(line["text"], "hello", "{name}: {reply:?}");
        }
    }
}

macro_rules! replays {
    ($($test:ident: $file:literal),* $(,)?) => {$(
        #[actix_web::test]
        async fn $test() {
            replay($file, include_str!(concat!("recorded/", $file, ".txt"))).await;
        }
    )*};
}

replays! {
    faas_cli_updates_a_function: "deploy-known",
    faas_cli_deploys_into_a_namespace: "deploy-namespace",
    faas_cli_deploys_a_new_function: "deploy-new",
    faas_cli_removes_a_function: "remove",
    faas_cli_replaces_a_function: "deploy-replace",
    faas_cli_deploys_a_stack: "deploy-stack",
    faas_cli_describes_a_function: "describe",
    faas_cli_describes_an_unknown_function: "describe-unknown",
    faas_cli_compares_a_stack: "diff-stack",
    faas_cli_invokes_a_function: "invoke",
    faas_cli_invokes_asynchronously: "invoke-async",
    faas_cli_invokes_asynchronously_with_a_callback: "invoke-async-callback",
    faas_cli_invokes_in_a_namespace: "invoke-namespace",
    faas_cli_invokes_with_query_header_and_method: "invoke-query-header-method",
    faas_cli_lists: "list",
    faas_cli_lists_a_namespace: "list-namespace",
    faas_cli_lists_with_more: "list-verbose",
    faas_cli_logs_in: "login",
    faas_cli_follows_logs: "logs",
    faas_cli_reads_logs_in_a_namespace: "logs-namespace",
    faas_cli_reads_logs_without_following: "logs-no-tail",
    faas_cli_reads_the_last_lines_of_a_log: "logs-since-lines",
    faas_cli_waits_for_a_function: "ready-function",
    faas_cli_waits_for_the_gateway: "ready-gateway",
    faas_cli_waits_for_an_unknown_function: "ready-unknown",
    faas_cli_removes_a_stack: "remove-stack",
    faas_cli_removes_an_unknown_function: "remove-unknown",
    faas_cli_asks_for_the_version: "version",
    faas_cli_creates_a_secret_from_a_file: "secret-create-file",
    faas_cli_creates_a_secret_from_its_words: "secret-create-literal",
    faas_cli_creates_a_secret_from_its_input: "secret-create-stdin",
    faas_cli_creates_a_secret_that_is_there: "secret-create-taken",
    faas_cli_replaces_a_secret_that_is_there: "secret-create-taken-replace",
    faas_cli_lists_secrets: "secret-list",
    faas_cli_removes_a_secret: "secret-remove",
    faas_cli_removes_a_secret_of_a_namespace: "secret-remove-namespace",
    faas_cli_removes_an_unknown_secret: "secret-remove-unknown",
    faas_cli_updates_a_secret: "secret-update",
    faas_cli_updates_an_unknown_secret: "secret-update-unknown",
    faas_cli_creates_a_namespace: "namespace-create",
    faas_cli_deletes_a_namespace: "namespace-delete",
    faas_cli_shows_a_namespace: "namespace-get",
    faas_cli_lists_namespaces: "namespace-list",
    faas_cli_updates_a_namespace: "namespace-update",
    faas_cli_lists_namespaces_the_old_way: "namespaces",
}

#[actix_web::test]
async fn what_faas_cli_reads_of_a_function_is_there() {
    let house = stand_in().await;
    let head = format!("GET /system/functions HTTP/1.1\r\nHost: h\r\n{}", crate::support::AUTH);
    let list = ask(house.address, &head, "").await.json();
    for key in ["name", "image", "namespace", "replicas", "availableReplicas", "createdAt"] {
        assert!(list[0].get(key).is_some(), "{key}: {list}");
    }
}
