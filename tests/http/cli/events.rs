//! `events`: what is shown, and that a stream which breaks off is taken up again.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::{PATIENCE, Person};
use crate::support::{Connection, House, function};

/// What a verb writes, line by line.
struct Lines {
    out: BufReader<tokio::process::ChildStdout>,
    err: BufReader<tokio::process::ChildStderr>,
    _child: Child,
}

impl Lines {
    fn of(mut child: Child) -> Self {
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        Self { out, err, _child: child }
    }

    async fn out(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.out.read_line(&mut line)).await.expect("no line comes").unwrap();
        line
    }

    async fn err(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.err.read_line(&mut line)).await.expect("no line comes").unwrap();
        line
    }
}

/// A gateway that says these one after the other, each time that it is asked, and then breaks off; what it was asked.
async fn gateway(says: &'static [&'static str]) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (noted, head) = (asked.clone(), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n");
    let address = function(move |mut connection: Connection| {
        let noted = noted.clone();
        async move {
            let request = connection.head().await;
            let turn = noted.lock().unwrap().len();
            noted.lock().unwrap().push(request.lines().next().unwrap_or_default().to_owned());
            match says.get(turn) {
                Some(events) => connection.say(&format!("{head}{events}")).await,
                None => std::future::pending().await,
            }
        }
    });
    (address.await, asked)
}

#[actix_web::test]
async fn events_are_lines_for_a_person() {
    let house = House::public().await;
    let person = Person::root(house.address);
    let mut lines = Lines::of(person.start(&["events", "-A"]));
    let moment = std::time::Duration::from_millis(100);
    // It is not known when it listens: until it was told of one, there is another one.
    let shown = loop {
        house.add("env.dev", "me/env:1");
        let created = loop {
            match timeout(moment, lines.out()).await {
                Ok(line) if line.contains(" created ") => break Some(line),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        match created {
            Some(line) => break line,
            None => house.engine.remove(&"env.dev".parse().unwrap()),
        }
    };
    assert_eq!(shown[8..], *" env.dev  created  generation 1, me/env:1\n", "{shown}");
    assert_eq!(lines.out().await[8..], *" env.dev  ready  generation 1, 1/1\n");
}

#[actix_web::test]
async fn a_follow_goes_on_after_a_restart_and_says_that_it_missed_something() {
    let (address, asked) = gateway(&[
        "id: aaaaaaaa-7\nevent: deleted\ndata: {\"function\":\"f\",\"namespace\":\"dev\"}\n\n",
        "id: bbbbbbbb-2\nevent: reset\ndata: {\"reason\":\"earlier\"}\n\nevent: pull\ndata: {\"pulled\":3}\n\n",
    ])
    .await;
    let person = Person::root(address);
    let mut lines = Lines::of(person.start(&["events", "-n", "dev", "--name", "f", "--output", "json"]));
    let mut json = Vec::<Value>::new();
    for _ in 0..3 {
        json.push(serde_json::from_str(&lines.out().await).unwrap());
    }
    assert_eq!(json[0], json!({"event": "deleted", "id": "aaaaaaaa-7", "function": "f", "namespace": "dev"}));
    assert_eq!(json[1], json!({"event": "reset", "id": "bbbbbbbb-2", "reason": "earlier"}));
    assert_eq!(json[2], json!({"event": "pull", "pulled": 3}));
    let said = lines.err().await;
    assert!(said.contains("events were missed here"), "{said}");
    let all = async {
        while asked.lock().unwrap().len() < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("it is not asked again");
    let line = |after: &str| format!("GET /system/events?namespace=dev&name=f{after} HTTP/1.1");
    assert_eq!(*asked.lock().unwrap(), [line(""), line("&after=aaaaaaaa-7"), line("&after=bbbbbbbb-2")]);
}

#[actix_web::test]
async fn a_gateway_that_has_no_events_is_told_and_not_asked_again() {
    let old = crate::support::answering(|_| {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n404 page not found\n".to_owned()
    });
    let told = Person::root(old.await).actord(&["events"]).await;
    assert_eq!(told.code, 4, "{told:?}");
    assert!(told.err.contains("has no /system/events"), "{}", told.err);
}
