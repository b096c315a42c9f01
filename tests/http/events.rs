//! `/system/events`: frames, who hears what, and how a stream ends.

use std::net::SocketAddr;
use std::time::Duration;

use actord::history::Point;
use actord::http::ApiFlavor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::sessions::begin;
use crate::support::{AUTH, House, Reply};
use crate::tokens::token;

const SOON: Duration = Duration::from_secs(10);

/// One who listens, on a connection that stays open.
struct Listener {
    client: TcpStream,
    got: Vec<u8>,
}

impl Listener {
    /// Asks with these headers, and waits until the stream has begun.
    async fn start(house: &House, query: &str, headers: &str) -> Self {
        Self::at(house.address, query, headers).await
    }

    async fn at(listener: SocketAddr, query: &str, headers: &str) -> Self {
        let mut client = TcpStream::connect(listener).await.unwrap();
        let ask = format!("GET /system/events{query} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        client.write_all(ask.as_bytes()).await.unwrap();
        let mut listener = Self { client, got: Vec::new() };
        listener.gets(": hello\n\n").await;
        listener
    }

    fn reply(&self) -> Reply {
        Reply::parse(&self.got)
    }

    /// Reads until some text has come, and the frame that it is in, and returns all that came.
    async fn gets(&mut self, text: &str) -> String {
        let has_come = |all: String| all.contains(text) && all.ends_with("\n\n");
        while !has_come(self.reply().text()) {
            let read = timeout(SOON, self.client.read_buf(&mut self.got)).await;
            let count = read.unwrap_or_else(|_| panic!("{text:?} did not come: {:?}", self.reply())).unwrap();
            assert!(count > 0, "it ended before {text:?} came: {:?}", self.reply());
        }
        self.reply().text()
    }

    /// Reads to the end of the answer.
    async fn ends(mut self) -> String {
        while !self.reply().complete {
            let read = timeout(SOON, self.client.read_buf(&mut self.got)).await;
            let count = read.unwrap_or_else(|_| panic!("it does not end: {:?}", self.reply())).unwrap();
            assert!(count > 0, "it broke off: {:?}", self.reply());
        }
        self.reply().text()
    }
}

/// The events in what came: id, name and data.
fn events(text: &str) -> Vec<(Option<String>, String, Value)> {
    let frames = text.split("\n\n").filter(|frame| !frame.starts_with(':') && !frame.is_empty());
    let field = |frame: &str, key: &str| {
        frame.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).map(str::to_owned)
    };
    let event = |frame: &str| {
        let data = serde_json::from_str(&field(frame, "data")?).ok()?;
        Some((field(frame, "id"), field(frame, "event")?, data))
    };
    frames.filter_map(event).collect()
}

async fn refused(house: &House, query: &str, headers: &str) -> Reply {
    house.ask(&format!("GET /system/events{query} HTTP/1.1\r\nHost: h\r\n{headers}"), "").await
}

#[actix_web::test]
async fn a_stream_begins_at_once_and_each_event_is_a_frame_on_both_ports() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        let mut listener = Listener::start(&house, "", AUTH).await;
        let head = listener.reply();
        assert_eq!(head.status, 200);
        for (name, value) in
            [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
        {
            assert_eq!(head.header(name).as_deref(), Some(value), "{name}");
        }
        house.add("env", "me/env:1");
        let text = listener.gets("event: phase\n").await;
        let all = events(&text);
        let [(Some(first), deployed, data), (Some(second), phase, standing)] = &all[..] else { panic!("{all:?}") };
        let (boot, number) = first.split_once('-').unwrap();
        assert_eq!((boot.len(), number, second.as_str()), (8, "1", format!("{boot}-2").as_str()));
        assert_eq!((deployed.as_str(), phase.as_str()), ("deployed", "phase"));
        let time = |data: &Value| data["time"].as_str().unwrap().to_owned();
        let common = |data: &Value| json!({"function": "env", "namespace": "openfaas-fn", "time": time(data)});
        let with = |mut common: Value, more: Value| {
            common.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            common
        };
        assert_eq!(*data, with(common(data), json!({"generation": 1, "image": "me/env:1", "created": true})));
        let ready =
            json!({"phase": "ready", "generation": 1, "servingGeneration": 1, "availableReplicas": 1, "replicas": 1});
        assert_eq!(*standing, with(common(standing), ready));
        let frame = format!(
            "id: {first}\nevent: deployed\ndata: {{\"function\":\"env\",\"namespace\":\"openfaas-fn\",\"time\":\"{}\",\
             \"generation\":1,\"image\":\"me/env:1\",\"created\":true}}\n\n",
            time(data)
        );
        assert!(text.starts_with(&format!(": hello\n\n{frame}")), "{text}");
    }
}

#[actix_web::test]
async fn a_token_is_told_of_its_namespaces_alone_and_of_nothing_once_revoked() {
    let house = House::public().await;
    let (id, header) = token(&house, &["read"], &["dev"]).await;
    let (mut all, mut some) = (Listener::start(&house, "", AUTH).await, Listener::start(&house, "", &header).await);
    house.script.lock().unwrap().faults = vec!["store: the disk is full".into()];
    let told = all.gets("event: faults\n").await;
    assert!(!told.contains("\"function\""), "{told}");
    house.add("a", "i");
    house.add("b.dev", "i");
    all.gets("\"function\":\"b\"").await;
    some.gets("\"function\":\"b\"").await;
    let told = some.gets("event: phase\n").await;
    assert!(!told.contains("\"function\":\"a\"") && !told.contains("faults"), "{told}");
    for (query, status) in [("?namespace=openfaas-fn", 403), ("?namespace=nope", 403)] {
        assert_eq!(refused(&house, query, &header).await.status, status, "{query}");
    }
    assert_eq!(house.system(&format!("DELETE /system/tokens/{id}"), "").await.status, 202);
    house.add("c.dev", "i");
    let told = some.ends().await;
    assert!(!told.contains("\"function\":\"c\""), "{told}");
    all.gets("\"function\":\"c\"").await;
    assert_eq!(refused(&house, "", &header).await.status, 401);
}

#[actix_web::test]
async fn who_comes_later_is_told_what_is_wrong_with_the_machine_if_it_may_know_that() {
    let house = House::public().await;
    let (_, some) = token(&house, &["read"], &["dev"]).await;
    let mut first = Listener::start(&house, "", AUTH).await;
    house.script.lock().unwrap().faults = vec!["store: the disk is full".into()];
    first.gets("event: faults\n").await;
    let mut second = Listener::start(&house, "?after=00000000-1", AUTH).await;
    let told = events(&second.gets("event: faults\n").await);
    let names: Vec<_> = told.iter().map(|(id, name, _)| (id.is_some(), name.as_str())).collect();
    assert_eq!(names, [(true, "reset"), (false, "faults")]);
    assert_eq!(told[1].2["faults"], json!(["store: the disk is full"]));
    for (query, header) in [("", some.as_str()), ("?namespace=dev", AUTH)] {
        let mut other = Listener::start(&house, query, header).await;
        house.add("b.dev", "i");
        let told = other.gets("\"function\":\"b\"").await;
        assert!(!told.contains("faults"), "{told}");
        house.engine.remove(&"b.dev".parse().unwrap());
    }
}

#[actix_web::test]
async fn one_token_leaves_places_to_others() {
    let house = House::public().await;
    let (_, some) = token(&house, &["read"], &["dev"]).await;
    let mut all = Vec::new();
    for _ in 0..16 {
        all.push(Listener::start(&house, "", &some).await);
    }
    let reply = refused(&house, "", &some).await;
    assert_eq!((reply.status, reply.header("retry-after").as_deref()), (503, Some("5")), "{reply:?}");
    assert!(reply.text().contains("by this token"), "{reply:?}");
    let (_, other) = token(&house, &["read"], &["dev"]).await;
    Listener::start(&house, "", &other).await;
    Listener::start(&house, "", AUTH).await;
}

#[actix_web::test]
async fn a_page_is_told_of_nothing_once_its_person_signed_out() {
    let house = House::public().await;
    let dashboard = house.dashboard();
    let ((_, header), (_, other)) = (begin(&house, AUTH).await, begin(&house, AUTH).await);
    let mut page = Listener::at(dashboard, "", &header).await;
    let mut stays = Listener::at(dashboard, "", &other).await;
    house.add("a", "i");
    page.gets("\"function\":\"a\"").await;
    let out = format!("DELETE /system/session HTTP/1.1\r\nHost: h\r\n{header}");
    assert_eq!(house.ask(&out, "").await.status, 202);
    house.add("b", "i");
    let told = page.ends().await;
    assert!(!told.contains("\"function\":\"b\""), "{told}");
    stays.gets("\"function\":\"b\"").await;
    assert_eq!(refused(&house, "", &header).await.status, 401);
}

#[actix_web::test]
async fn who_comes_back_goes_on_after_the_last_event_or_is_told_that_something_was_missed() {
    let house = House::public().await;
    let mut listener = Listener::start(&house, "", AUTH).await;
    house.add("env", "i");
    let text = listener.gets("event: phase\n").await;
    drop(listener);
    let first = events(&text)[0].0.clone().unwrap();
    house.engine.remove(&"env".parse().unwrap());
    for (query, header) in [
        (format!("?after={first}"), String::new()),
        (String::new(), format!("Last-Event-ID: {first}\r\n")),
        (format!("?after={first}"), "Last-Event-ID: 00000000-9\r\n".to_owned()),
    ] {
        let mut again = Listener::start(&house, &query, &format!("{AUTH}{header}")).await;
        let text = again.gets("event: deleted\n").await;
        let names: Vec<_> = events(&text).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names[0], "phase", "{query} {header}: {text}");
        assert!(!text.contains("reset"), "{text}");
    }
    let boot = first.split_once('-').unwrap().0;
    for (query, header, reason) in [
        ("?after=00000000-1".to_owned(), "", "earlier"),
        (String::new(), "Last-Event-ID: of another server\r\n", "earlier"),
        (format!("?after={boot}-99"), "", "gone"),
    ] {
        let mut again = Listener::start(&house, &query, &format!("{AUTH}{header}")).await;
        let text = again.gets("event: reset\n").await;
        let (id, name, data) = events(&text).remove(0);
        assert_eq!((id.as_deref(), name.as_str()), (Some(format!("{boot}-3").as_str()), "reset"), "{text}");
        assert_eq!(data, json!({"reason": reason}));
    }
}

#[actix_web::test]
async fn a_filter_is_by_namespace_and_by_name_and_one_that_can_not_be_is_refused() {
    let house = House::public().await;
    let mut named = Listener::start(&house, "?name=b", AUTH).await;
    let mut dev = Listener::start(&house, "?namespace=dev&name=", AUTH).await;
    for function in ["a", "b", "a.dev", "b.dev"] {
        house.add(function, "i");
    }
    let whose = |text: &str| {
        let mut whose: Vec<_> = events(text)
            .into_iter()
            .map(|(_, _, data)| {
                format!("{}.{}", data["function"].as_str().unwrap(), data["namespace"].as_str().unwrap())
            })
            .collect();
        whose.dedup();
        whose
    };
    let is_last = "\"namespace\":\"dev\"";
    named.gets(is_last).await;
    assert_eq!(whose(&named.gets("\"availableReplicas\"").await), ["b.openfaas-fn", "b.dev"]);
    dev.gets("\"function\":\"b\"").await;
    assert_eq!(whose(&dev.reply().text()), ["a.dev", "b.dev"]);
    for (query, status) in [
        ("?namespace=nope", 400),
        ("?namespace=No_Name", 400),
        ("?name=No_Name", 400),
        ("?after=x", 400),
        ("?after=3f9a01bc-", 400),
    ] {
        assert_eq!(refused(&house, query, AUTH).await.status, status, "{query}");
    }
    assert_eq!(refused(&house, "", "").await.status, 401);
}

#[actix_web::test]
async fn loads_are_states_without_an_id() {
    let house = House::public().await;
    house.add("env", "i");
    house.publish("env", crate::support::nobody());
    let mut listener = Listener::start(&house, "", AUTH).await;
    let point = Point { calls: 12, errors: 1, p99: 3.1, in_flight: 2, ..Point::NOTHING };
    house.services.history.keep(&house.routes.find(&"env".parse().unwrap()).unwrap(), &[point]);
    let text = listener.gets("event: load\n").await;
    let load = json!({"calls": 12, "errors": 1, "p99": 3.1, "inFlight": 2});
    let data = json!({"namespace": "openfaas-fn", "step": 10, "functions": {"env": load}});
    assert!(events(&text).contains(&(None, "load".to_owned(), data)), "{text}");
}

#[actix_web::test]
async fn a_stream_ends_when_actord_drains() {
    let house = House::public().await;
    let mut listener = Listener::start(&house, "", AUTH).await;
    house.add("env", "i");
    listener.gets("event: phase\n").await;
    house.draining.raise();
    listener.ends().await;
}

#[actix_web::test]
async fn only_so_many_streams_are_open_on_a_listener() {
    let house = House::public().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(Listener::start(&house, "", AUTH).await);
    }
    let reply = refused(&house, "", AUTH).await;
    assert_eq!((reply.status, reply.header("retry-after").as_deref()), (503, Some("5")), "{reply:?}");
    assert_eq!(house.system("GET /system/functions", "").await.status, 200, "all else is answered");
    house.draining.raise();
    for listener in open {
        listener.ends().await;
    }
}

#[actix_web::test]
async fn what_became_of_an_asynchronous_call_is_told_with_its_id() {
    let house = House::public().await;
    house.add("env", "i");
    house.publish(
        "env",
        crate::support::answering(|_| "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".into()).await,
    );
    let mut listener = Listener::start(&house, "?name=env", AUTH).await;
    let reply = house.ask("POST /async-function/env HTTP/1.1\r\nHost: h\r\n", "").await;
    assert_eq!(reply.status, 202);
    let text = listener.gets("event: call\n").await;
    let (_, _, data) = events(&text).into_iter().find(|(_, name, _)| name == "call").unwrap();
    let shown = house.ended(data["call"].as_str().unwrap()).await;
    assert_eq!((&data["ended"], &data["count"], &data["reason"]), (&json!("dead"), &json!(1), &shown["reason"]));
}
