//! `logs`, `secret`, `namespace`, `token` and `password`.

use actord::function::InstanceId;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{PATIENCE, Person};
use crate::support::{Connection, House, LocalHouse, answering, function};

fn time(nanos: u32) -> Timestamp {
    format!("2026-01-02T03:04:05.{nanos:09}Z").parse().unwrap()
}

/// Lets an instance of a function write some lines.
fn wrote(house: &LocalHouse, name: &str, instance: &str, lines: &[(u32, &str)]) -> InstanceId {
    let id: InstanceId = instance.parse().unwrap();
    house.host.begin_log(&id, &name.parse().unwrap());
    for (at, line) in lines {
        house.host.write_log(&id, format!("{line}\n").as_bytes(), time(*at));
    }
    id
}

#[actix_web::test]
async fn what_a_function_wrote_is_shown_with_its_time_and_instance() {
    let house = LocalHouse::public().await;
    house.add("echo.dev", "i");
    wrote(&house, "echo.dev", "echo-a", &[(1, "one"), (3, "three")]);
    wrote(&house, "echo.dev", "echo-b", &[(2, "two")]);
    let person = Person::root(house.address);
    let told = person.actord(&["logs", "echo.dev"]).await;
    let expected = "2026-01-02T03:04:05.000000001Z echo (echo-a) one\n2026-01-02T03:04:05.000000002Z echo (echo-b) two\n\
                    2026-01-02T03:04:05.000000003Z echo (echo-a) three\n";
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, expected, ""));
    let texts = async |arguments: &[&str]| -> Vec<String> {
        let told = person.actord(&[&["logs", "echo", "-n", "dev", "-o", "json"], arguments].concat()).await;
        assert_eq!(told.code, 0, "{told:?}");
        let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
        told.out.lines().map(line).collect()
    };
    assert_eq!(texts(&["--tail", "1"]).await, ["three"]);
    assert_eq!(texts(&["--since", "2026-01-02T03:04:05.000000002Z"]).await, ["two", "three"]);
    assert_eq!(texts(&["--instance", "echo-b"]).await, ["two"]);
    assert_eq!(texts(&["--since", "1m"]).await, [""; 0]);

    let told = person.actord(&["logs", "nosuch"]).await;
    assert_eq!((told.code, told.out.as_str()), (4, ""));
    assert!(told.err.contains("no function nosuch.openfaas-fn"), "{}", told.err);
    assert_eq!(person.actord(&["logs", "echo", "--since", "yesterday"]).await.code, 2);
}

#[actix_web::test]
async fn who_follows_sees_each_line_as_it_comes_and_the_end_of_the_function() {
    let house = LocalHouse::public().await;
    house.add("echo", "i");
    let id = wrote(&house, "echo", "echo-a", &[(1, "one")]);
    let person = Person::root(house.address);
    let mut child = person.start(&["logs", "-f", "echo"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for (at, text) in [(1, "one"), (2, "two"), (3, "three")] {
        if at > 1 {
            house.host.write_log(&id, format!("{text}\n").as_bytes(), time(at));
        }
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect(text).unwrap().unwrap();
        assert!(line.ends_with(&format!(" echo (echo-a) {text}")), "{line}");
    }
    child.start_kill().unwrap();
    super::told(child).await;
}

#[actix_web::test]
async fn a_follow_that_breaks_off_is_taken_up_again_without_a_line_lost_or_doubled() {
    let line = |at: u32, text: &str| json!({"name": "echo", "namespace": "openfaas-fn", "instance": "i", "timestamp": time(at), "text": text});
    let first = format!("{}\n{}\n", line(1, "one"), line(2, "two"));
    let second = format!("{}\n{}\n{}\n", line(2, "two"), line(2, "also two"), line(3, "three"));
    // The first answer ends in the middle, the second is whole; then the function is gone.
    let gateway = function(move |mut connection: Connection| {
        let (first, second) = (first.clone(), second.clone());
        async move {
            let head = connection.head().await;
            let (status, body) = if head.contains("since=2026") && !head.contains("000000003") {
                ("200 OK", second)
            } else if head.contains("/system/logs") && head.contains("since=1970") {
                let length = first.len() + 10;
                connection.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{first}")).await;
                return;
            } else {
                ("404 Not Found", String::new())
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            connection.say(&(head + &body)).await;
        }
    })
    .await;
    let told = Person::root(gateway).actord(&["logs", "--follow", "echo"]).await;
    let texts: Vec<&str> = told.out.lines().map(|line| line.split_once("(i) ").unwrap().1).collect();
    assert_eq!(texts, ["one", "two", "also two", "three"], "{told:?}");
    assert_eq!(told.code, 0, "the function went, and with it what could be followed: {told:?}");
    assert!(told.err.contains("trying again") && told.err.contains("is gone"), "{}", told.err);
}

/// A gateway that gives back the request's line and body as the text of a 400.
async fn gateway_that_quotes() -> Person {
    let gateway = function(|mut connection: Connection| async move {
        let head = connection.head().await;
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
        let body = connection.read(length.unwrap_or(0)).await;
        let answer = format!("{} {body}", head.lines().next().unwrap());
        let head = format!("HTTP/1.1 400 Quoted\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
        connection.say(&(head + &answer)).await;
    });
    Person::root(gateway.await)
}

/// The request's line and its body, as `gateway_that_quotes` had them.
async fn asked(person: &Person, arguments: &[&str], input: &[u8]) -> (String, Value) {
    let told = person.types(arguments, input).await;
    assert_eq!(told.code, 4, "{arguments:?}: {told:?}");
    let text = told.err.trim_end().trim_start_matches("actord: ");
    let (line, body) = text.split_once(" HTTP/1.1").unwrap_or_else(|| panic!("{arguments:?}: {text}"));
    (line.to_owned(), serde_json::from_str(body.trim()).unwrap_or(Value::Null))
}

#[actix_web::test]
async fn a_secret_is_sent_byte_for_byte() {
    let person = gateway_that_quotes().await;
    std::fs::write(person.home().join("key"), b"\xff\x00\n").unwrap();
    let ns = "openfaas-fn";
    for (arguments, input, line, body) in [
        (
            &["secret", "create", "db"][..],
            &b"hunter2\r\n"[..],
            "POST /system/secrets",
            json!({"name": "db", "namespace": ns, "rawValue": "aHVudGVyMg==", "value": "hunter2"}),
        ),
        (
            &["secret", "update", "db", "--from-literal", "a\n", "-n", "dev"],
            b"",
            "PUT /system/secrets",
            json!({"name": "db", "namespace": "dev", "rawValue": "YQo=", "value": "a\n"}),
        ),
        (
            &["secret", "create", "db", "--from-file", "key"],
            b"",
            "POST /system/secrets",
            json!({"name": "db", "namespace": ns, "rawValue": "/wAK"}),
        ),
        (
            &["secret", "rm", "db", "-n", "dev"],
            b"",
            "DELETE /system/secrets?namespace=dev",
            json!({"name": "db", "namespace": "dev"}),
        ),
        (
            &["secret", "rm", "db", "-n", "dev", "--force"],
            b"",
            "DELETE /system/secrets?namespace=dev&force=true",
            json!({"name": "db", "namespace": "dev"}),
        ),
        (&["secret", "ls", "-n", "dev"], b"", "GET /system/secrets?namespace=dev", Value::Null),
    ] {
        assert_eq!(asked(&person, arguments, input).await, (line.to_owned(), body), "{arguments:?}");
    }
    let told = person.actord(&["secret", "create", "../db", "--from-literal", "x"]).await;
    assert_eq!(told.code, 2, "{told:?}");
}

#[actix_web::test]
async fn a_namespace_is_sent_with_the_label_that_makes_it_one_for_functions() {
    let person = gateway_that_quotes().await;
    for (arguments, line, body) in [
        (
            &["namespace", "create", "dev", "--label", "team=web", "--annotation", "a=b=c"][..],
            "POST /system/namespace/",
            json!({"name": "dev", "labels": {"openfaas": "1", "team": "web"}, "annotations": {"a": "b=c"}}),
        ),
        (
            &["namespace", "update", "dev"],
            "PUT /system/namespace/dev",
            json!({"name": "dev", "labels": {"openfaas": "1"}, "annotations": {}}),
        ),
        (
            &["namespace", "rm", "dev"],
            "DELETE /system/namespace/dev",
            json!({"name": "dev", "labels": {"openfaas": "1"}, "annotations": {}}),
        ),
        (&["namespace", "get", "dev"], "GET /system/namespace/dev", Value::Null),
        (&["namespace", "ls"], "GET /system/namespaces", Value::Null),
    ] {
        assert_eq!(asked(&person, arguments, b"").await, (line.to_owned(), body), "{arguments:?}");
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[actix_web::test]
async fn secrets_and_namespaces_are_listed_by_name() {
    let list = r#"[{"name":"b","namespace":"dev"},{"name":"a","namespace":"dev"}]"#;
    let person = Person::root(answering(|_| answer("200 OK", list)).await);
    assert_eq!(person.actord(&["secret", "ls"]).await.out, "NAME\na\nb\n");
    let shown = person.actord(&["secret", "ls", "-o", "json"]).await.json();
    assert_eq!(shown, json!([{"name": "a", "namespace": "dev"}, {"name": "b", "namespace": "dev"}]));
    let person = Person::root(answering(|_| answer("200 OK", r#"["openfaas-fn","dev"]"#)).await);
    assert_eq!(person.actord(&["namespace", "ls"]).await.out, "NAME\nopenfaas-fn\ndev\n");
    assert_eq!(person.actord(&["namespace", "ls", "-o", "json"]).await.json(), json!(["openfaas-fn", "dev"]));
}

#[actix_web::test]
async fn a_secret_that_is_there_or_not_is_told_with_the_verb_that_helps() {
    let taken = Person::root(answering(|_| answer("409 Conflict", "taken\n")).await);
    let told = taken.actord(&["secret", "create", "db"]).await;
    assert_eq!(told.code, 4);
    assert!(told.err.contains("there is a secret db in openfaas-fn already: --replace"), "{}", told.err);
    let missing = Person::root(answering(|_| answer("404 Not Found", "no\n")).await);
    let told = missing.actord(&["secret", "update", "db"]).await;
    assert!(told.code == 4 && told.err.contains("`actord secret create` makes it"), "{told:?}");
    let told = missing.actord(&["secret", "rm", "db"]).await;
    assert!(told.code == 4 && told.err.contains("no secret db in openfaas-fn"), "{told:?}");
    let told = missing.actord(&["namespace", "rm", "dev"]).await;
    assert!(told.code == 4 && told.err.contains("no namespace dev"), "{told:?}");

    // Taken, and replaced.
    let replacing = answering(|head| match head.starts_with("POST") {
        true => answer("409 Conflict", "taken\n"),
        false => answer("202 Accepted", ""),
    });
    let told = Person::root(replacing.await).actord(&["secret", "create", "db", "--replace"]).await;
    assert_eq!((told.code, told.out.as_str()), (0, "secret db in openfaas-fn updated\n"));
}

#[actix_web::test]
async fn a_secret_lives_as_the_verbs_say() {
    let house = LocalHouse::public().await;
    let person = Person::root(house.address);
    let stored = |path: &str| std::fs::read(house.secrets.path().join(path)).ok();
    let told = person.types(&["secret", "create", "db", "-n", "dev"], b"one\xff\n").await;
    assert_eq!((told.code, told.out.as_str()), (0, "secret db in dev created\n"), "{told:?}");
    assert_eq!(stored("dev/db").unwrap(), b"one\xff");
    let told = person.types(&["secret", "create", "db", "-n", "dev"], b"two").await;
    assert!(told.code == 4 && told.err.contains("--replace"), "{told:?}");
    assert_eq!(stored("dev/db").unwrap(), b"one\xff");
    assert_eq!(person.types(&["secret", "create", "db", "-n", "dev", "--replace"], b"two").await.code, 0);
    assert_eq!(stored("dev/db").unwrap(), b"two");
    assert_eq!(person.types(&["secret", "update", "db", "-n", "dev"], b"three").await.code, 0);
    assert_eq!(stored("dev/db").unwrap(), b"three");
    assert_eq!(person.types(&["secret", "update", "db"], b"x").await.code, 4, "not in the default namespace");
    assert_eq!(person.actord(&["secret", "ls", "-n", "dev"]).await.out, "NAME\ndb\n");
    assert_eq!(person.actord(&["secret", "ls"]).await.err, "no secrets in openfaas-fn\n");
    house.keep_with_secrets("f.dev", &["db"]).await;
    let told = person.actord(&["secret", "rm", "db", "-n", "dev"]).await;
    assert!(
        told.code == 4 && told.err.contains("secret db is used by f, which") && told.err.contains("--force"),
        "{told:?}"
    );
    assert_eq!(stored("dev/db").unwrap(), b"three");
    let told = person.actord(&["secret", "remove", "db", "-n", "dev", "--force"]).await;
    assert_eq!(told.out, "secret db in dev removed\n", "{told:?}");
    assert_eq!(stored("dev/db"), None);
}

#[actix_web::test]
async fn a_namespace_lives_as_the_verbs_say() {
    let house = House::public().await;
    let person = Person::root(house.address);
    let told = person.actord(&["namespace", "create", "shop", "--label", "team=web", "--annotation", "a=b"]).await;
    assert_eq!((told.code, told.out.as_str()), (0, "namespace shop created\n"), "{told:?}");
    let told = person.actord(&["namespace", "create", "shop"]).await;
    assert!(told.code == 4 && told.err.contains("already exists"), "{told:?}");
    assert_eq!(person.actord(&["namespace", "ls"]).await.out, "NAME\nopenfaas-fn\ndev\nshop\n");
    let shown = person.actord(&["namespace", "get", "shop"]).await.out;
    assert_eq!(shown, "Name: shop\nLabels:\n  openfaas=1\n  team=web\nAnnotations:\n  a=b\n");
    assert_eq!(person.actord(&["namespace", "update", "shop", "--label", "team=pay"]).await.code, 0);
    let shown = person.actord(&["namespace", "get", "shop", "--output", "json"]).await.json();
    assert_eq!(shown["labels"], json!({"openfaas": "1", "team": "pay"}));

    house.add("a", "i");
    house.add("b.shop", "i");
    let all = person.actord(&["ls", "-A"]).await;
    let names: Vec<&str> = all.out.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(names, ["NAME", "a", "b"], "{all:?}");
    house.engine.clear();
    assert_eq!(person.actord(&["namespace", "rm", "shop"]).await.out, "namespace shop removed\n");
    assert_eq!(person.actord(&["namespace", "get", "shop"]).await.code, 4);
}

#[actix_web::test]
async fn a_token_is_shown_once_and_does_what_it_was_made_for_until_it_is_rotated_or_revoked() {
    let house = House::public().await;
    house.add("a.dev", "i");
    let (root, stranger) = (Person::root(house.address), Person::stranger(house.address));
    let told = root.actord(&["token", "create", "-n", "dev", "--read", "--expires", "2h", "--description", "CI"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let text = told.out.trim().to_owned();
    assert!(text.starts_with("actord_") && told.err.contains("read in dev") && !told.err.contains(&text), "{told:?}");
    let url = |text: &str| format!("http://token:{text}@{}", house.address);
    let told = stranger.actord(&["ls", "-n", "dev", "--gateway", &url(&text)]).await;
    assert!(told.code == 0 && told.out.contains("a "), "{told:?}");
    let told = stranger.actord(&["rm", "a.dev", "--gateway", &url(&text)]).await;
    assert!(told.code == 4 && told.err.contains("--write"), "{told:?}");
    let told = stranger.actord(&["token", "ls", "--gateway", &url(&text)]).await;
    assert!(told.code == 4 && told.err.contains("password"), "{told:?}");

    let listed = root.actord(&["token", "ls", "-o", "json"]).await;
    assert!(!listed.out.contains(&text));
    let id = listed.json()[0]["id"].as_str().unwrap().to_owned();
    let table = root.actord(&["token", "ls"]).await.out;
    assert!(table.contains(&id) && table.contains("CI") && table.contains("dev"), "{table}");
    let rotated = root.actord(&["token", "rotate", &id, "-o", "json"]).await.json();
    let new = rotated["token"].as_str().unwrap();
    let told = stranger.actord(&["ls", "-n", "dev", "--gateway", &url(&text)]).await;
    assert!(told.code == 4 && told.err.contains("refused the credentials"), "{told:?}");
    assert_eq!(stranger.actord(&["ls", "-n", "dev", "--gateway", &url(new)]).await.code, 0);
    let told = root.actord(&["token", "revoke", &id, "t-nosuch"]).await;
    assert_eq!((told.code, told.out), (4, format!("token {id} revoked\n")));
    assert!(told.err.contains("t-nosuch"), "{}", told.err);
    assert_eq!(stranger.actord(&["ls", "-n", "dev", "--gateway", &url(new)]).await.code, 4);

    for wrong in [&["-n", "dev"][..], &["--read"], &["--read", "-n", "dev", "--expires", "soon"]] {
        assert_eq!(root.actord(&[&["token", "create"], wrong].concat()).await.code, 2, "{wrong:?}");
    }
}

#[actix_web::test]
async fn a_password_that_was_rotated_is_told_and_the_old_one_refused() {
    let house = House::public().await;
    let root = Person::root(house.address);
    let told = root.actord(&["password", "rotate"]).await;
    assert_eq!((told.code, told.out.trim().len()), (0, 40), "{told:?}");
    let old = root.actord(&["ls"]).await;
    assert!(old.code == 4 && old.err.contains("refused the credentials"), "{old:?}");
    let url = format!("http://admin:{}@{}", told.out.trim(), house.address);
    assert_eq!(root.actord(&["ls", "--gateway", &url]).await.code, 0);
    let again = root.actord(&["password", "rotate", "-o", "json", "--gateway", &url]).await.json();
    assert_eq!(again["user"], "admin");
    assert_ne!(again["password"], told.out.trim());
}
