//! `ls`, `describe`, `rm`, `scale` and `invoke`.

use std::process::Stdio;
use std::time::Duration;

use actord::engine::Engine as _;
use actord::function::{Phase, Tier};
use serde_json::json;

use super::Person;
use crate::support::{Connection, House, Seen, answering, function, mirror};

#[actix_web::test]
async fn functions_are_listed_by_name() {
    let house = House::public().await;
    house.add("b", "docker.io/me/b:1");
    house.add("a", "docker.io/me/a:1");
    house.add("c.dev", "docker.io/me/c:1");
    let person = Person::root(house.address);
    let told = person.actord(&["ls"]).await;
    let table = "NAME  READY  STATE  INVOCATIONS  IMAGE\n\
                 a     1/1    ready  0            docker.io/me/a:1\n\
                 b     1/1    ready  0            docker.io/me/b:1\n";
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, table, ""));
    let listed = person.actord(&["list", "--namespace", "dev", "--output", "json"]).await.json();
    let expected = json!([{"name": "c", "image": "docker.io/me/c:1", "namespace": "dev", "replicas": 1,
        "labels": {}, "annotations": {},
        "availableReplicas": 1, "createdAt": "2026-01-02T03:04:05.000000006Z"}]);
    assert_eq!(listed, expected);
}

#[actix_web::test]
async fn a_function_is_described_and_one_that_is_not_there_is_told_with_its_namespace() {
    let house = House::public().await;
    house.add("a.dev", "docker.io/me/a:1");
    let person = Person::root(house.address);
    let told = person.actord(&["describe", "a", "-n", "dev"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    for line in ["Name:        a", "State:       ready", "Ready:       1/1"] {
        assert!(told.out.contains(&format!("{line}\n")), "{line}: {}", told.out);
    }
    assert!(told.out.contains(&format!("{}/function/a.dev\n", person.gateway())), "{}", told.out);
    assert_eq!(person.actord(&["describe", "a.dev", "-o", "json"]).await.json()["name"], "a");

    let told = person.actord(&["describe", "a"]).await;
    assert_eq!((told.code, told.out.as_str()), (4, ""));
    assert!(told.err.contains("no function a.openfaas-fn") && told.err.contains("actord ls"), "{}", told.err);
}

#[actix_web::test]
async fn where_a_function_stands_that_rests_or_follows_its_load_is_listed_and_described() {
    let house = House::public().await;
    for (name, keys) in [
        ("busy", &[("type", "capacity"), ("target", "20"), ("min", "2"), ("max", "10")][..]),
        ("cold", &[]),
        ("cool", &[("zero", "true")]),
    ] {
        let labels = keys.iter().map(|(key, value)| (format!("com.openfaas.scale.{key}"), (*value).to_owned()));
        house.add_with(name, |draft| draft.labels = labels.collect());
    }
    house.engine.adjust(&"busy".parse().unwrap(), 5, "90 requests in flight".into()).await.unwrap();
    house.engine.rest(&"cold".parse().unwrap(), Tier::Stopped).await.unwrap();
    house.show("cold", |view| view.in_phase_for = Some(Duration::from_secs(7200)));
    house.show("cool", |view| {
        (view.status.phase, view.status.frozen) = (Phase::Frozen, 1);
        view.in_phase_for = Some(Duration::from_secs(180));
    });
    let person = Person::root(house.address);
    let table = "NAME  READY  STATE      INVOCATIONS  IMAGE\n\
                 busy  5/5    ready      0            i\n\
                 cold  0/0    idle 2h    0            i\n\
                 cool  1/1    frozen 3m  0            i\n";
    assert_eq!(person.actord(&["ls"]).await.out, table);
    let listed = person.actord(&["ls", "--output", "json"]).await.json();
    assert_eq!((&listed[1]["lifecycle"]["phase"], &listed[2]["lifecycle"]["frozen"]), (&json!("idle"), &json!(1)));
    for (name, lines) in [
        (
            "busy",
            &[
                "State:       ready\n",
                "Ready:       5/5\n",
                "Replicas:    5, 2 were asked for: 90 requests in flight\n",
                "Scaling:     2 to 10 replicas, 20 requests in flight each (type capacity), planned with 90 % of it\n",
            ][..],
        ),
        (
            "cold",
            &["State:       idle for 2h\nNext step:   the next call starts it\n", "Replicas:    0, 1 were asked for\n"],
        ),
        (
            "cool",
            &["State:       frozen for 3m\nNext step:   the next call thaws it\n", "Ready:       1/1, 1 frozen\n"],
        ),
    ] {
        let told = person.actord(&["describe", name]).await.out;
        for line in lines {
            assert!(told.contains(line), "{line}: {told}");
        }
    }
}

#[actix_web::test]
async fn one_that_can_not_be_removed_keeps_none_of_the_others() {
    let house = House::public().await;
    house.add("a", "i");
    house.add("b.dev", "i");
    let person = Person::root(house.address);
    let told = person.actord(&["rm", "a", "gone", "b.dev"]).await;
    assert_eq!((told.code, told.out.as_str()), (4, "a.openfaas-fn removed\nb.dev removed\n"));
    assert!(told.err.contains("gone.openfaas-fn: there is no function"), "{}", told.err);
    assert!(house.engine.functions().is_empty());
    let told = person.actord(&["rm", "a", "-o", "json"]).await;
    assert_eq!((told.code, told.json()), (4, json!({"removed": []})));
}

#[actix_web::test]
async fn a_function_is_scaled() {
    let house = House::public().await;
    house.add("a.dev", "i");
    let person = Person::root(house.address);
    let told = person.actord(&["scale", "a.dev", "3"]).await;
    assert_eq!((told.code, told.out.as_str()), (0, "a.dev is to have 3 instances\n"));
    let told = person.actord(&["scale", "a.dev", "0", "--output", "json"]).await;
    assert_eq!(told.json(), json!({"function": "a.dev", "replicas": 0}));
    let id: actord::function::FunctionId = "a.dev".parse().unwrap();
    assert_eq!(house.seen(), [Seen::Scaled(id.clone(), 3), Seen::Scaled(id, 0)]);
    let told = person.actord(&["scale", "a.dev", "5000"]).await;
    assert_eq!(told.code, 4);
    assert!(told.err.contains("from 0 to 1000"), "{}", told.err);
}

#[actix_web::test]
async fn a_function_is_stopped_and_started_by_hand_and_shown_so() {
    let house = House::public().await;
    house.add("a.dev", "i");
    let person = Person::root(house.address);
    let told = person.actord(&["stop", "a.dev"]).await;
    assert_eq!((told.code, told.out.as_str()), (0, "a.dev is stopped: `actord start a.dev` ends that\n"));
    let told = person.actord(&["ls", "-n", "dev"]).await;
    assert!(told.out.contains("stopped by hand"), "{}", told.out);
    let told = person.actord(&["describe", "a.dev"]).await;
    assert!(told.out.contains("State:       stopped\n") && told.out.contains("`actord start a.dev`"), "{}", told.out);
    let told = person.actord(&["start", "a", "-n", "dev", "--output", "json"]).await;
    assert_eq!(told.json(), json!({"function": "a.dev", "keptDown": false}));
    let told = person.actord(&["ls", "-n", "dev"]).await;
    assert!(!told.out.contains("stopped"), "{}", told.out);
    for verb in ["stop", "start"] {
        let told = person.actord(&[verb, "gone"]).await;
        assert_eq!(told.code, 4);
        assert!(told.err.contains("there is no function gone.openfaas-fn"), "{}", told.err);
    }
}

#[actix_web::test]
async fn a_function_gets_the_request_as_it_was_asked_for_and_not_the_password() {
    let house = House::public().await;
    house.publish("a.dev", mirror().await);
    let person = Person::root(house.address);
    let arguments = [
        "invoke",
        "a.dev/some/path",
        "--method",
        "GET",
        "--query",
        "q=a b&c",
        "--query",
        "r=",
        "--header",
        "X-One: 1",
        "--header",
        "x-two=2",
    ];
    let told = person.actord(&arguments).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let head = told.out.to_ascii_lowercase();
    assert!(head.starts_with("get /some/path?q=a+b%26c&r= http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-one: 1\r\n") && head.contains("\r\nx-two: 2\r\n"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
}

/// A function that answers with the body it got, whichever way that was framed.
async fn echo() -> std::net::SocketAddr {
    function(|mut connection: Connection| async move {
        let head = connection.head().await.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
        let mut body = String::new();
        match length {
            Some(length) => body = connection.read(length.parse().unwrap()).await,
            None => loop {
                let mut size = String::new();
                while !size.ends_with("\r\n") {
                    size += &connection.read(1).await;
                }
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                body += &connection.read(size + 2).await[..size];
                if size == 0 {
                    break;
                }
            },
        }
        let chunked = length.is_none();
        let kind = head.split("content-type: ").nth(1).unwrap().split('\r').next().unwrap().to_owned();
        let head = format!("X-Chunked: {chunked}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.say(&format!("HTTP/1.1 200 OK\r\n{head}{body}")).await;
    })
    .await
}

#[actix_web::test]
async fn standard_input_is_the_request_short_or_long() {
    let house = House::public().await;
    house.publish("echo", echo().await);
    let person = Person::root(house.address);
    let told = person.types(&["invoke", "echo"], b"hello\n").await;
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "hello\n", ""));
    let told = person.actord(&["invoke", "echo", "--data", "typed", "--content-type", "text/x"]).await;
    assert_eq!((told.code, told.out.as_str()), (0, "typed"));

    let long = "0123456789abcdef".repeat(100_000);
    let told = person.types(&["invoke", "echo", "-o", "json"], long.as_bytes()).await.json();
    assert_eq!(told["headers"]["x-chunked"], json!(["true"]));
    assert!(told["body"] == json!(long), "{} bytes came back", told["body"].as_str().unwrap().len());
}

#[actix_web::test]
async fn the_exit_code_tells_the_answers_class_and_the_body_is_there_all_the_same() {
    let house = House::public().await;
    let person = Person::root(house.address);
    for (status, code) in [("200 OK", 0), ("204 No Content", 0), ("302 Found", 1), ("418 Teapot", 4), ("500 Oh", 5)] {
        let body = if status.starts_with("204") { "" } else { "body" };
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let answer = format!("HTTP/1.1 {status}\r\n{length}\r\n{body}");
        let name = format!("s{}", &status[..3]);
        house.publish(&name, answering(move |_| answer.clone()).await);
        let told = person.actord(&["invoke", &name, "--method", "GET"]).await;
        assert_eq!((told.code, told.out.as_str()), (code, body), "{status}");
        assert_eq!(told.err.is_empty(), code == 0, "{status}: {}", told.err);
    }
    let told = person.actord(&["invoke", "nosuch"]).await;
    assert_eq!(told.code, 4, "{told:?}");
    let told = person.actord(&["invoke", "s200", "--async"]).await;
    assert_eq!((told.code, told.out.as_str()), (0, ""), "{told:?}");
    assert!(told.err.starts_with("accepted, call id "), "{told:?}");
}

#[actix_web::test]
async fn as_json_an_answer_is_its_status_its_headers_and_its_body() {
    let house = House::public().await;
    let person = Person::root(house.address);
    house.publish("text", answering(|_| "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi".to_owned()).await);
    let told = person.actord(&["invoke", "text", "--output", "json"]).await.json();
    assert_eq!((&told["status"], &told["headers"]["x-a"], &told["body"]), (&json!(200), &json!(["1"]), &json!("hi")));
}

#[actix_web::test]
async fn a_reader_that_goes_away_is_no_reason_to_complain() {
    let house = House::public().await;
    let long = "x".repeat(2_000_000);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}", long.len());
    house.publish("long", answering(move |_| answer.clone()).await);
    let person = Person::root(house.address);
    let mut command = person.command(&["invoke", "long", "--method", "GET"]);
    command.stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let told = super::told(child).await;
    assert_eq!((told.code, told.err.as_str()), (1, ""));
}
