use std::time::Duration;

use actord::function::{InstanceId, SpecDraft};
use actord::host::HostError;
use actord::host::fake::{Fault, Method, Phase, Rule};
use actord::http::ApiFlavor;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{AUTH, LocalHouse, Reply, read_reply};

const SOON: Duration = Duration::from_secs(10);

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Lets an instance of a function write some lines, at these times.
fn wrote(house: &LocalHouse, function: &str, instance: &str, lines: &[(Timestamp, &str)]) -> InstanceId {
    let id: InstanceId = instance.parse().unwrap();
    house.host.begin_log(&id, &function.parse().unwrap());
    for (time, line) in lines {
        house.host.write_log(&id, format!("{line}\n").as_bytes(), *time);
    }
    id
}

/// A house with a function `echo` whose two instances wrote by turns.
fn furnish(house: &LocalHouse) {
    house.add("echo", "image:1");
    let [one, two, three, four] = [1, 2, 3, 4].map(|n| time(&format!("2026-01-02T03:04:05.00000000{n}Z")));
    wrote(house, "echo", "echo-a", &[(one, "first"), (four, "fourth")]);
    wrote(house, "echo", "echo-b", &[(two, "second"), (three, "third")]);
}

async fn logs(house: &LocalHouse, query: &str) -> Reply {
    house.system(&format!("GET /system/logs?{query}"), "").await
}

fn texts(reply: &Reply) -> Vec<String> {
    assert_eq!((reply.status, reply.complete), (200, true), "{reply:?}");
    reply
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().into())
        .collect()
}

/// One who follows, on a connection that stays open.
struct Follower {
    client: TcpStream,
    got: String,
}

impl Follower {
    async fn start(house: &LocalHouse, query: &str) -> Self {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        let ask = format!("GET /system/logs?follow=true&{query} HTTP/1.1\r\nHost: h\r\n{AUTH}\r\n");
        client.write_all(ask.as_bytes()).await.unwrap();
        Self { client, got: String::new() }
    }

    /// Reads until some text has come.
    async fn gets(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        while !self.got.contains(text) {
            let read = timeout(SOON, self.client.read(&mut buffer)).await;
            let count = read.unwrap_or_else(|_| panic!("{text:?} did not come: {}", self.got)).unwrap();
            assert!(count > 0, "it ended before {text:?} came: {}", self.got);
            self.got += &String::from_utf8_lossy(&buffer[..count]);
        }
    }

    /// Reads to the end of the answer.
    async fn ends(mut self) -> Reply {
        self.gets("0\r\n\r\n").await;
        Reply::parse(self.got.as_bytes())
    }
}

#[actix_web::test]
async fn lines_come_as_json_in_the_order_of_their_times_on_both_ports() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = LocalHouse::with(flavor, |_| {}).await;
        furnish(&house);
        let reply = logs(&house, "name=echo&tail=10").await;
        assert_eq!(reply.header("content-type").as_deref(), Some("application/x-ndjson"));
        assert_eq!(reply.header("transfer-encoding").as_deref(), Some("chunked"));
        assert_eq!(texts(&reply), ["first", "second", "third", "fourth"]);
        let first = "{\"name\":\"echo\",\"namespace\":\"openfaas-fn\",\"instance\":\"echo-a\",\
                     \"timestamp\":\"2026-01-02T03:04:05.000000001Z\",\"text\":\"first\"}\n";
        assert!(reply.text().starts_with(first), "{}", reply.text());
    }
}

#[actix_web::test]
async fn nobody_reads_logs_without_credentials() {
    let house = LocalHouse::public().await;
    assert_eq!(house.get("/system/logs?name=echo").await.status, 401);
    assert_eq!(house.system("POST /system/logs?name=echo", "").await.status, 405);
}

#[actix_web::test]
async fn each_parameter_chooses_among_the_lines() {
    let house = LocalHouse::public().await;
    furnish(&house);
    house.add("echo.dev", "image:1");
    wrote(&house, "echo.dev", "echo-c", &[(time("2026-01-02T03:04:05Z"), "elsewhere")]);
    for (query, lines) in [
        ("name=echo&tail=2", vec!["third", "fourth"]),
        ("name=echo&tail=3&tail=1", vec!["fourth"]),
        ("name=echo&tail=9&instance=echo-b", vec!["second", "third"]),
        ("name=echo&tail=1&instance=echo-b", vec!["third"]),
        ("name=echo&tail=9&instance=nobody", vec![]),
        ("name=echo&since=2026-01-02T03:04:05.000000003Z", vec!["third", "fourth"]),
        ("name=echo&since=2026-01-02T04%3A04%3A05.000000003%2B01%3A00&tail=-1", vec!["third", "fourth"]),
        ("name=echo&since=2026-01-02T03:04:05Z&tail=0", vec!["first", "second", "third", "fourth"]),
        ("name=echo&since=2026-01-02T03:04:05.000000002Z&tail=1", vec!["fourth"]),
        ("name=echo&since=2027-01-02T03:04:05Z", vec![]),
        ("name=echo&namespace=dev&tail=9", vec!["elsewhere"]),
        ("name=echo&namespace=&tail=1", vec!["fourth"]),
        ("name=echo", vec![]),
    ] {
        assert_eq!(texts(&logs(&house, query).await), lines, "{query}");
    }
}

#[actix_web::test]
async fn a_function_that_is_not_there_is_a_404_with_words_and_to_a_gateway_one_that_says_nothing() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = LocalHouse::with(flavor, |_| {}).await;
        furnish(&house);
        // Its instance may be there yet; it is nobody's any more.
        house.add("gone", "image:1");
        wrote(&house, "gone", "gone-a", &[(Timestamp::now(), "words")]);
        house.engine.remove(&"gone".parse().unwrap());
        let no_name = "no function can have that name: ask with ?name=NAME&namespace=NAMESPACE\n";
        for (query, line) in [
            ("name=unknown", "function unknown.openfaas-fn not found: it has no logs\n"),
            ("name=gone&tail=9", "function gone.openfaas-fn not found: it has no logs\n"),
            ("name=echo&namespace=dev&tail=-1", "function echo.dev not found: it has no logs\n"),
            ("name=echo&namespace=nope", "function echo.nope not found: it has no logs\n"),
            ("name=no/name&tail=9", no_name),
            ("name=echo&namespace=..", no_name),
            ("name=&tail=9", no_name),
            ("tail=9", no_name),
            ("", no_name),
        ] {
            for follow in ["", "&follow=true"] {
                let reply = logs(&house, &format!("{query}{follow}")).await;
                match flavor {
                    ApiFlavor::Public => {
                        assert_eq!((reply.status, reply.text().as_str()), (404, line), "{query}");
                        assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
                    }
                    ApiFlavor::Provider => {
                        assert_eq!((reply.status, reply.complete, reply.text().as_str()), (200, true, ""), "{query}");
                        assert_eq!(reply.header("content-type").as_deref(), Some("application/x-ndjson"));
                    }
                }
            }
        }
    }
}

#[actix_web::test]
async fn a_namesake_has_only_its_own_lines_and_who_follows_the_one_before_gets_its_last_words_and_an_end() {
    let house = LocalHouse::public().await;
    let id: actord::function::FunctionId = "echo".parse().unwrap();
    let forget = async || house.host.host().logs.forget(&id, Timestamp::now()).await.unwrap();
    house.add("echo", "image:1");
    let old = wrote(&house, "echo", "echo-a", &[(Timestamp::now(), "old")]);
    let mut follower = Follower::start(&house, "name=echo").await;
    follower.gets("\"old\"").await;
    house.host.called(Method::LogsChanged, 1).await;

    // Deleted and made anew, while the old instance is on its way out.
    house.engine.remove(&id);
    forget().await;
    let again = SpecDraft { image: "image:1".into(), ..SpecDraft::default() };
    house.engine.put_at(&id, again.try_into().unwrap(), Timestamp::now());
    let new = wrote(&house, "echo", "echo-b", &[(Timestamp::now(), "new")]);
    assert_eq!(texts(&logs(&house, "name=echo").await), ["new"]);
    let mut its_own = Follower::start(&house, "name=echo").await;
    its_own.gets("\"new\"").await;
    house.host.write_log(&old, b"last words\n", Timestamp::now());
    house.host.write_log(&new, b"more\n", Timestamp::now());
    assert_eq!(texts(&logs(&house, "name=echo&tail=9").await), ["new", "more"]);
    house.host.end_log(&old);
    assert_eq!(texts(&follower.ends().await), ["old", "last words"]);
    its_own.gets("\"more\"").await;
    assert!(!its_own.got.contains("last words"), "{}", its_own.got);
}

#[actix_web::test]
async fn without_a_time_or_a_number_of_lines_the_last_five_minutes_are_told() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    let ago = |minutes: i64| Timestamp::now().checked_sub(minutes.minutes()).unwrap();
    wrote(&house, "echo", "echo-a", &[(ago(6), "before"), (ago(4), "lately")]);
    assert_eq!(texts(&logs(&house, "name=echo").await), ["lately"]);
    assert_eq!(texts(&logs(&house, "name=echo&tail=-1").await), ["lately"]);
    assert_eq!(texts(&logs(&house, "name=echo&tail=5").await), ["before", "lately"]);
}

#[actix_web::test]
async fn what_can_not_be_read_as_a_request_is_a_422() {
    let house = LocalHouse::public().await;
    furnish(&house);
    for bad in ["tail=x", "tail=1.5", "since=yesterday", "since=2026-01-02", "since=-5m", "tail=1&tail=x"] {
        let reply = logs(&house, &format!("name=echo&{bad}")).await;
        assert_eq!((reply.status, reply.text().as_str()), (422, "could not parse the log request\n"), "{bad}");
        assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"));
    }
}

#[actix_web::test]
async fn a_host_that_fails_or_panics_is_a_500() {
    let house = LocalHouse::public().await;
    furnish(&house);
    for method in [Method::LogsKept, Method::LogsRead] {
        for fault in [Fault::Error(HostError::Failed("disk".into())), Fault::Panic] {
            house.host.fault(Rule::on(method, fault));
            let reply = logs(&house, "name=echo&tail=2").await;
            let said = (reply.status, reply.text());
            assert_eq!(said, (500, "function log request failed\n".to_owned()), "{method:?}");
            assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
            assert_eq!(texts(&logs(&house, "name=echo&tail=2").await), ["third", "fourth"]);
        }
    }
}

#[actix_web::test]
async fn a_host_that_fails_in_the_middle_cuts_the_answer_off_so_that_it_is_seen() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    let id = wrote(&house, "echo", "echo-a", &[]);
    house.host.write_log(&id, &b"a line that is repeated\n".repeat(20_000), Timestamp::now());
    let query = "name=echo&tail=100000";
    assert_eq!(texts(&logs(&house, query).await).len(), 20_000);
    let last = house.host.count(Method::LogsRead) - 1;
    house.host.fault(Rule::on(Method::LogsRead, Fault::Error(HostError::Failed("disk".into()))).after(last));
    let reply = logs(&house, query).await;
    assert_eq!((reply.status, reply.complete), (200, false));
}

#[actix_web::test]
async fn a_thousand_reads_give_the_same_answer() {
    let house = LocalHouse::public().await;
    furnish(&house);
    let first = logs(&house, "name=echo&tail=100").await.body;
    for _ in 0..1_000 {
        assert_eq!(logs(&house, "name=echo&tail=100").await.body, first);
    }
}

#[actix_web::test]
async fn bytes_that_are_no_text_carriage_returns_and_control_characters_are_told_as_text() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    let id = wrote(&house, "echo", "echo-a", &[]);
    house.host.write_log(&id, b"ba\xffd\r\n\x00\x1b[1m\"\n\n<&>\n", Timestamp::now());
    assert_eq!(texts(&logs(&house, "name=echo").await), ["ba\u{fffd}d", "\u{0}\u{1b}[1m\"", "", "<&>"]);
}

#[actix_web::test]
async fn a_line_is_told_when_it_has_ended_or_its_instance_has() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    let id = wrote(&house, "echo", "echo-a", &[]);
    house.host.write_log(&id, b"whole\nbegun", Timestamp::now());
    assert_eq!(texts(&logs(&house, "name=echo&tail=1").await), ["whole"]);
    let mut follower = Follower::start(&house, "name=echo").await;
    follower.gets("\"whole\"").await;
    house.host.called(Method::LogsChanged, 1).await;
    house.host.write_log(&id, b" and ended\nlast", Timestamp::now());
    follower.gets("\"begun and ended\"").await;
    assert!(!follower.got.contains("last"));
    house.host.end_log(&id);
    follower.gets("\"last\"").await;
    assert_eq!(texts(&logs(&house, "name=echo&tail=1").await), ["last"]);
}

#[actix_web::test]
async fn who_follows_by_a_token_gets_nothing_more_from_when_it_is_revoked() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    let id = wrote(&house, "echo", "echo-a", &[(Timestamp::now(), "before")]);
    let (token, header) = crate::tokens::token(&house, &["read"], &["*"]).await;
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let ask = format!("GET /system/logs?follow=true&name=echo&tail=1 HTTP/1.1\r\nHost: h\r\n{header}\r\n");
    client.write_all(ask.as_bytes()).await.unwrap();
    let mut follower = Follower { client, got: String::new() };
    follower.gets("\"before\"").await;
    house.host.write_log(&id, b"while it holds\n", Timestamp::now());
    follower.gets("\"while it holds\"").await;
    assert_eq!(house.system(&format!("DELETE /system/tokens/{token}"), "").await.status, 202);
    house.host.write_log(&id, b"after it\n", Timestamp::now());
    let reply = follower.ends().await;
    assert_eq!(texts(&reply), ["before", "while it holds"]);
}

#[actix_web::test]
async fn who_follows_gets_what_was_what_comes_and_what_new_instances_write() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    let id = wrote(&house, "echo", "echo-a", &[(Timestamp::now(), "before"), (Timestamp::now(), "just now")]);
    let mut follower = Follower::start(&house, "name=echo&tail=1").await;
    follower.gets("\"just now\"").await;
    assert!(follower.got.starts_with("HTTP/1.1 200 OK\r\n") && !follower.got.contains("before"), "{}", follower.got);
    for n in 0..20 {
        house.host.write_log(&id, format!("line {n}\n").as_bytes(), Timestamp::now());
        follower.gets(&format!("\"line {n}\"")).await;
    }
    wrote(&house, "echo", "echo-b", &[(Timestamp::now(), "another")]);
    follower.gets("\"another\"").await;
    wrote(&house, "other", "other-a", &[(Timestamp::now(), "of nobody here")]);
    house.host.remove_log(&id);
    house.host.write_log(&"echo-b".parse().unwrap(), b"goes on\n", Timestamp::now());
    follower.gets("\"goes on\"").await;
    assert!(!follower.got.contains("of nobody"), "{}", follower.got);
}

#[actix_web::test]
async fn a_function_that_has_written_nothing_yet_can_be_followed() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    let mut follower = Follower::start(&house, "name=echo").await;
    follower.gets("\r\n\r\n").await;
    house.host.called(Method::LogsChanged, 1).await;
    wrote(&house, "echo", "echo-a", &[(Timestamp::now(), "the first word")]);
    follower.gets("\"the first word\"").await;
}

#[actix_web::test]
async fn who_follows_what_is_not_there_or_is_deleted_is_not_left_waiting() {
    let house = LocalHouse::public().await;
    let mut unknown = Follower::start(&house, "name=unknown").await;
    unknown.gets("function unknown.openfaas-fn not found: it has no logs\n").await;

    house.add("echo", "image:1");
    let id = wrote(&house, "echo", "echo-a", &[(Timestamp::now(), "hello")]);
    let mut follower = Follower::start(&house, "name=echo").await;
    follower.gets("\"hello\"").await;
    house.host.called(Method::LogsChanged, 1).await;
    house.engine.clear();
    house.host.write_log(&id, b"bye\n", Timestamp::now());
    house.host.end_log(&id);
    assert_eq!(texts(&follower.ends().await), ["hello", "bye"]);
}

#[actix_web::test]
async fn an_actord_that_ends_ends_the_following_politely() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    wrote(&house, "echo", "echo-a", &[(Timestamp::now(), "hello")]);
    let mut follower = Follower::start(&house, "name=echo").await;
    follower.gets("\"hello\"").await;
    house.draining.raise();
    assert_eq!(texts(&follower.ends().await), ["hello"]);

    // Who comes now is answered, told to come back, and not kept either.
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let ask = format!("GET /system/logs?name=echo&follow=1 HTTP/1.1\r\nHost: h\r\n{AUTH}\r\n");
    client.write_all(ask.as_bytes()).await.unwrap();
    let reply = read_reply(&mut client).await;
    assert_eq!((texts(&reply), reply.header("connection").as_deref()), (vec!["hello".to_owned()], Some("close")));
}

#[actix_web::test]
async fn nothing_is_read_any_more_for_a_client_that_has_left() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    let id = wrote(&house, "echo", "echo-a", &[(Timestamp::now(), "hello")]);
    let mut follower = Follower::start(&house, "name=echo").await;
    follower.gets("\"hello\"").await;
    house.host.called(Method::LogsChanged, 1).await;
    drop(follower);
    let dropped = async {
        let waits = |house: &LocalHouse| {
            let calls = house.host.calls();
            let ends = calls.iter().filter(|call| call.method == Method::LogsChanged && call.phase != Phase::Began);
            house.host.count(Method::LogsChanged) - ends.count()
        };
        while waits(&house) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, dropped).await.expect("its wait is given up");
    let before = house.host.calls().len();
    house.host.write_log(&id, b"to nobody\n", Timestamp::now());
    assert_eq!(texts(&logs(&house, "name=echo&tail=1").await), ["to nobody"]);
    assert!(house.host.calls().len() - before <= 6, "{:?}", &house.host.calls()[before..]);
}

#[actix_web::test]
async fn a_wait_that_fails_is_begun_again() {
    let house = LocalHouse::public().await;
    house.add("echo", "image:1");
    let id = wrote(&house, "echo", "echo-a", &[(Timestamp::now(), "hello")]);
    house.host.fault(Rule::on(Method::LogsChanged, Fault::Error(HostError::Failed("watch".into()))));
    house.host.fault(Rule::on(Method::LogsChanged, Fault::Panic));
    let mut follower = Follower::start(&house, "name=echo").await;
    follower.gets("\"hello\"").await;
    house.host.called(Method::LogsChanged, 3).await;
    house.host.write_log(&id, b"on\n", Timestamp::now());
    follower.gets("\"on\"").await;
}

#[actix_web::test]
async fn what_faas_cli_decodes_is_always_there() {
    let house = LocalHouse::public().await;
    furnish(&house);
    for line in logs(&house, "name=echo&tail=9").await.text().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(json!(keys), json!(["instance", "name", "namespace", "text", "timestamp"]));
    }
}
