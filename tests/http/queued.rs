//! `/async-function/...`: what is accepted, what is refused before it is read, and what the function and who is called back get.

use std::time::Duration;

use actord::function::Outlook;
use actord::http::ApiFlavor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{AUTH, House, Reply, function, nobody, read_reply};
use crate::tokens::token;

/// What a function, or who is called back, got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Got {
    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    fn sorted(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.head.trim_end().lines().map(str::to_owned).collect();
        lines[1..].sort();
        lines
    }
}

/// What a listener got, in order.
pub(crate) struct Inbox(mpsc::UnboundedReceiver<Got>);

impl Inbox {
    pub(crate) async fn next(&mut self) -> Got {
        timeout(Duration::from_secs(20), self.0.recv()).await.expect("nothing came").unwrap()
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// Listens as a function, or who is called back, would; `answer` says what it answers, by the head and by how many came before.
pub(crate) async fn inbox(answer: impl Fn(&str, usize) -> String + Clone + 'static) -> (std::net::SocketAddr, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let count = std::rc::Rc::new(std::cell::Cell::new(0));
    let address = function(move |mut connection| {
        let (sender, answer, count) = (sender.clone(), answer.clone(), count.clone());
        async move {
            loop {
                let head = connection.head().await;
                if head.is_empty() {
                    return;
                }
                let got = Got { head, body: String::new() };
                let length = got.all("content-length").first().map_or(0, |length| length.parse().unwrap());
                let body = connection.read(length).await;
                let said = answer(&got.head, count.replace(count.get() + 1));
                let _ = sender.send(Got { body, ..got });
                connection.say(&said).await;
            }
        }
    });
    (address.await, Inbox(receiver))
}

pub(crate) const FINE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nfine";

/// A house with a function of this name that answers so.
pub(crate) async fn house_of(name: &str, answer: &'static str) -> (House, Inbox) {
    let house = House::public().await;
    let (address, inbox) = inbox(move |_, _| answer.to_owned()).await;
    house.add(name, "i");
    house.publish(name, address);
    (house, inbox)
}

pub(crate) async fn post(house: &House, path: &str, headers: &str, body: &str) -> Reply {
    house.ask(&format!("POST /async-function/{path} HTTP/1.1\r\nHost: gateway\r\n{headers}"), body).await
}

#[actix_web::test]
async fn a_call_is_answered_with_its_id_and_nothing_else() {
    let (house, mut inbox) = house_of("echo", FINE).await;
    let reply = post(&house, "echo", "X-Call-Id: mine\r\n", "hello").await;
    assert_eq!((reply.status, reply.text().as_str()), (202, ""), "{reply:?}");
    let names: Vec<_> = reply.head.lines().skip(1).map(|line| line.split(':').next().unwrap().to_lowercase()).collect();
    let beside = ["connection", "content-length", "date", "x-call-id"];
    assert!(names.iter().all(|name| beside.contains(&name.as_str())), "{reply:?}");
    let id = reply.header("x-call-id").unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "7"), "our own id, not the caller's: {id}");
    let got = inbox.next().await;
    assert_eq!(got.body, "hello");
    assert_eq!((got.all("x-call-id"), got.all("x-actord-call")), (vec!["mine"], vec![id.as_str()]));
}

#[actix_web::test]
async fn the_function_gets_what_it_would_get_of_a_caller_who_waits() {
    let (house, mut inbox) = house_of("echo", FINE).await;
    for (method, path, headers, body) in [
        ("POST", "echo", "", "hello"),
        ("GET", "echo.openfaas-fn/a%2Fb/../c?x=%20+&y", "Accept: a/b\r\nX-Many: 1\r\nX-Many: 2\r\n", ""),
        ("PUT", "echo//x?", "Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n", "{}"),
        ("PATCH", "echo/", "User-Agent: me\r\nCookie: a=b\r\nExpect: \r\n", "x"),
        ("OPTIONS", "echo", "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=x\r\nX-Real-IP: 1.2.3.4\r\n", ""),
        ("TRACE", "echo", "X-Bytes: \u{e4}\u{e4}\r\n", ""),
    ] {
        let mut seen = Vec::new();
        for route in ["function", "async-function"] {
            let head = format!("{method} /{route}/{path} HTTP/1.1\r\nHost: gateway\r\n{headers}");
            let reply = house.ask(&head, body).await;
            assert!(reply.status == 200 || reply.status == 202, "{method} {path}: {reply:?}");
            let got = inbox.next().await;
            let own = ["x-call-id", "x-start-time", "x-actord-call", "x-forwarded-for"];
            let mut lines = got.sorted();
            // The port of who asks is another one each time.
            assert!(got.all("x-forwarded-for").iter().all(|peer| peer.starts_with("127.0.0.1:")), "{got:?}");
            lines.retain(|line| !own.iter().any(|name| line.to_lowercase().starts_with(name)));
            seen.push((lines, got.body));
        }
        assert_eq!(seen[0], seen[1], "{method} {path}");
    }
}

#[actix_web::test]
async fn a_body_in_chunks_reaches_the_function_with_its_length() {
    let (house, mut inbox) = house_of("echo", FINE).await;
    let head =
        "POST /async-function/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(format!("{head}5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(read_reply(&mut client).await.status, 202);
    let got = inbox.next().await;
    assert_eq!((got.body.as_str(), got.all("content-length")), ("hello, world", vec!["12"]));
    assert_eq!(got.all("transfer-encoding"), Vec::<&str>::new());
}

#[actix_web::test]
async fn whom_no_function_is_known_for_is_told_so_and_a_function_that_is_not_up_is_waited_for() {
    let house = House::public().await;
    for path in ["nobody", "nobody.dev", "NO%20NAME", "x.y.z"] {
        let reply = post(&house, path, "", "x").await;
        assert_eq!((reply.status, reply.text()), (404, format!("function {path} not found\n")), "{path}");
    }
    assert_eq!(post(&house, "", "", "").await.status, 400);
    for outlook in [Outlook::Coming, Outlook::KeptDown] {
        house.routes.announce(&"late".parse().unwrap(), outlook);
        assert_eq!(post(&house, "late", "", "x").await.status, 202);
    }
}

#[actix_web::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let (house, mut inbox) = house_of("echo", FINE).await;
    let head = "POST /async-function/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n";
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    timeout(Duration::from_secs(5), client.read_exact(&mut begin)).await.expect("it waits for the body").unwrap();
    assert_eq!(&begin, b"HTTP/1.1 413");
    let just = "x".repeat(1 << 20);
    assert_eq!(post(&house, "echo", "", &just).await.status, 202);
    assert_eq!(inbox.next().await.body.len(), just.len());
    let chunks = format!("{:x}\r\n{just}\r\n1\r\nx\r\n0\r\n\r\n", just.len());
    let head =
        "POST /async-function/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(format!("{head}{chunks}").as_bytes()).await.unwrap();
    let reply = read_reply(&mut client).await;
    let words = "the request's body is longer than 1048576 bytes (queue-max-body)\n";
    assert_eq!((reply.status, reply.text().as_str()), (413, words));
    assert!(inbox.is_empty());
}

#[actix_web::test]
async fn more_calls_than_may_wait_are_refused_and_told_when_to_come_back() {
    let house = House::queueing(|queue| queue.max_calls = 1).await;
    house.routes.announce(&"late".parse().unwrap(), Outlook::KeptDown);
    assert_eq!(post(&house, "late", "", "x").await.status, 202);
    let reply = post(&house, "late", "", "x").await;
    assert_eq!((reply.status, reply.header("retry-after").as_deref()), (503, Some("10")), "{reply:?}");
    assert!(reply.text().contains("(queue-max-calls)"), "{reply:?}");
}

#[actix_web::test]
async fn what_can_not_be_meant_is_refused_in_words() {
    let (house, mut inbox) = house_of("echo", FINE).await;
    for (headers, words) in [
        ("X-Call-Deadline: soon\r\n", "X-Call-Deadline: expected"),
        ("X-Call-Deadline: 2001-01-01T00:00:00Z\r\n", "X-Call-Deadline"),
        ("X-Callback-Url: nonsense\r\n", "X-Callback-Url: "),
        ("X-Callback-Url: ftp://example.com/x\r\n", "X-Callback-Url: "),
        ("X-Callback-Url: http://127.0.0.1:1/\r\n", "X-Callback-Url: "),
        ("X-Callback-Url: http://2130706433/\r\n", "X-Callback-Url: "),
        ("X-Callback-Url: http://[::ffff:127.0.0.1]/\r\n", "X-Callback-Url: "),
        ("X-Callback-Url: http://169.254.169.254/latest\r\n", "X-Callback-Url: "),
        ("X-Callback-Url: http://gateway:8080/system/functions\r\n", "X-Callback-Url: "),
    ] {
        let reply = post(&house, "echo", headers, "x").await;
        assert_eq!(reply.status, 400, "{headers}: {reply:?}");
        assert!(reply.text().starts_with(words) && reply.text().ends_with('\n'), "{headers}: {reply:?}");
    }
    assert!(inbox.is_empty());
    assert_eq!(post(&house, "echo", "X-Call-Deadline: 10m\r\n", "x").await.status, 202);
}

#[actix_web::test]
async fn a_function_that_asks_for_a_token_takes_no_call_without_one_and_never_sees_it() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        let (address, mut inbox) = inbox(|_, _| FINE.to_owned()).await;
        house.add("f.dev", "i");
        house.publish("f.dev", address);
        house.routes.guard(&"f.dev".parse().unwrap(), true);
        let right = token(&house, &["invoke"], &["dev"]).await.1;
        let elsewhere = token(&house, &["invoke"], &["openfaas-fn"]).await.1;
        for (header, status) in [("", 401), (AUTH, 401), ("Authorization: Bearer actord_x\r\n", 401), (&elsewhere, 403)]
        {
            // The body is not waited for.
            let head = format!("POST /async-function/f.dev HTTP/1.1\r\nHost: h\r\n{header}Content-Length: 9\r\n\r\n");
            let mut client = TcpStream::connect(house.address).await.unwrap();
            client.write_all(head.as_bytes()).await.unwrap();
            let mut begin = [0; 12];
            timeout(Duration::from_secs(5), client.read_exact(&mut begin)).await.expect("it waits").unwrap();
            assert_eq!(String::from_utf8_lossy(&begin), format!("HTTP/1.1 {status}"), "{header}");
        }
        assert_eq!(post(&house, "f.dev", &right, "x").await.status, 202);
        assert_eq!(inbox.next().await.all("authorization"), Vec::<&str>::new());
    }
}

#[actix_web::test]
async fn who_is_called_back_gets_the_answer_and_what_became_of_the_call() {
    let (receiver, mut called_back) = inbox(|_, _| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let (address, mut inbox) = inbox(|_, _| FINE.to_owned()).await;
    let house = House::allowing(receiver).await;
    house.add("echo", "i");
    house.publish("echo", address);
    let url = format!("X-Callback-Url: http://{receiver}/done?a=1\r\nX-Call-Id: mine\r\n");
    let reply = post(&house, "echo", &url, "hello").await;
    assert_eq!(reply.status, 202, "{reply:?}");
    inbox.next().await;
    let got = called_back.next().await;
    assert!(got.head.starts_with("POST /done?a=1 HTTP/1.1\r\n"), "{got:?}");
    assert_eq!(got.body, "fine");
    for (name, value) in [
        ("x-call-id", "mine"),
        ("x-actord-call", reply.header("x-call-id").unwrap().as_str()),
        ("x-function-name", "echo.openfaas-fn"),
        ("x-function-status", "200"),
        ("x-mine", "1"),
        ("content-type", "text/plain"),
        ("user-agent", concat!("actord/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(got.all(name), [value], "{name}: {got:?}");
    }
    assert_eq!(got.all("x-duration-seconds").len(), 1, "{got:?}");
}

#[actix_web::test]
async fn redirects_are_not_followed() {
    let (elsewhere, mut never) = inbox(|_, _| FINE.to_owned()).await;
    let (receiver, mut called_back) =
        inbox(move |_, _| format!("HTTP/1.1 307 To\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"))
            .await;
    let (address, mut inbox) = inbox(|_, _| FINE.to_owned()).await;
    let house = House::allowing(receiver).await;
    house.add("echo", "i");
    house.publish("echo", address);
    let reply = post(&house, "echo", &format!("X-Callback-Url: http://{receiver}/\r\n"), "").await;
    let id = reply.header("x-call-id").unwrap();
    inbox.next().await;
    called_back.next().await;
    let shown = house.ended(&id).await;
    assert_eq!(shown["state"], "dead", "a redirect is no success, and no reason to try again: {shown}");
    assert!(never.is_empty() && called_back.is_empty());
}

#[actix_web::test]
async fn a_function_of_ours_is_called_back_without_a_connection_and_a_guarded_one_only_for_who_may_call_it() {
    let (house, mut inbox) = house_of("echo", FINE).await;
    let (address, mut next) = self::inbox(|_, _| FINE.to_owned()).await;
    house.add("next", "i");
    house.publish("next", address);
    let chained = "X-Callback-Url: http://gateway:8080/function/next/path?x=1\r\n";
    assert_eq!(post(&house, "echo", chained, "hello").await.status, 202);
    inbox.next().await;
    let got = next.next().await;
    assert!(got.head.starts_with("POST /path?x=1 HTTP/1.1\r\n"), "{got:?}");
    assert_eq!((got.body.as_str(), got.all("x-function-status")), ("fine", vec!["200"]));

    house.routes.guard(&"next".parse().unwrap(), true);
    let reply = post(&house, "echo", chained, "hello").await;
    assert_eq!(reply.status, 403);
    assert!(reply.text().contains("X-Callback-Url") && reply.text().contains("next"), "{reply:?}");
    let right = token(&house, &["invoke"], &["openfaas-fn"]).await.1;
    assert_eq!(post(&house, "echo", &format!("{chained}{right}"), "hello").await.status, 202);
    inbox.next().await;
    assert_eq!(next.next().await.all("authorization"), Vec::<&str>::new());
}

#[actix_web::test]
async fn a_function_that_can_not_be_reached_is_tried_again() {
    let house = House::public().await;
    house.add_with("echo", |draft| {
        draft.annotations.insert("com.openfaas.retry.min_wait".into(), "100ms".into());
    });
    let gone = house.publish("echo", nobody());
    let reply = post(&house, "echo", "", "hello").await;
    assert_eq!(reply.status, 202);
    let id = reply.header("x-call-id").unwrap();
    let tried = house.until(&id, |call| call["tries"].as_u64() >= Some(1)).await;
    assert_eq!(tried["lastStatus"], 502, "{tried}");
    let (address, mut inbox) = inbox(|_, _| FINE.to_owned()).await;
    house.routes.retract(&"echo".parse().unwrap(), &gone);
    house.publish("echo", address);
    assert_eq!(inbox.next().await.body, "hello");
    let done = house.ended(&id).await;
    assert_eq!((&done["state"], &done["answer"]["body"]), (&"done".into(), &"fine".into()), "{done}");
}

#[actix_web::test]
async fn one_client_that_keeps_back_the_ends_of_its_bodies_shuts_out_nobody_else() {
    let house =
        House::with(ApiFlavor::Public, |settings| settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]);
    let house = house.await;
    house.routes.announce(&"late".parse().unwrap(), Outlook::KeptDown);
    let (address, body) = (house.address, "x".repeat(1 << 20));
    // As many bodies as there is memory for in all, and more, each without its last byte.
    let (refused, mut refusals) = mpsc::unbounded_channel();
    for n in 0..80 {
        let (refused, body) = (refused.clone(), body.clone());
        actix_web::rt::spawn(async move {
            let head = format!(
                "POST /async-function/late HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 2001:db8::{n:x}\r\n\
                 Connection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(head.as_bytes()).await.unwrap();
            // Who is refused is read no further.
            let _ = client.write_all(&body.as_bytes()[1..]).await;
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer).await;
            let _ = refused.send(Reply::parse(&answer));
        });
    }
    let first = timeout(Duration::from_secs(20), refusals.recv()).await.expect("all of it is taken").unwrap();
    assert_eq!((first.status, first.header("retry-after").as_deref()), (503, Some("1")), "{first:?}");
    assert_eq!(first.text(), "too many bodies of calls are on their way from this address, or in all\n");
    for n in 0..8 {
        let reply = post(&house, "late", &format!("X-Forwarded-For: 192.0.2.{n}\r\n"), &body).await;
        assert_eq!(reply.status, 202, "{n}: {reply:?}");
    }
}

#[actix_web::test]
async fn what_there_is_no_room_for_is_refused_with_507_before_its_body_is_read() {
    let beyond = House::queueing(|queue| queue.max_bytes = Some(1)).await;
    beyond.routes.announce(&"late".parse().unwrap(), Outlook::KeptDown);
    assert_eq!(post(&beyond, "late", "", "x").await.status, 202, "nothing is kept yet");
    // No byte is free there.
    let full = House::queueing(|queue| queue.directory = Some("/proc".into())).await;
    full.routes.announce(&"late".parse().unwrap(), Outlook::KeptDown);
    for (house, words) in [
        (
            beyond,
            "the queue is full: calls take nearly all of 1 bytes (queue-max-bytes), and the rest is for answers: see `actord calls ls`\n",
        ),
        (full, "the queue is full: the disk is full: free some space in data-dir\n"),
    ] {
        let head = "POST /async-function/late HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n";
        let mut client = TcpStream::connect(house.address).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        let refused = read_reply(&mut client).await;
        assert_eq!((refused.status, refused.text().as_str()), (507, words), "{refused:?}");
        let listed = house.system("GET /system/calls", "").await;
        assert_eq!(listed.status, 200, "what is kept can be looked at: {listed:?}");
    }
}
