//! Functions whose instance is frozen: a call waits for the thaw, and what goes on between both sides keeps it awake.

use std::net::SocketAddr;
use std::time::Duration;

use actord::function::{FunctionId, InstanceId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::{House, ask, function, mirror, nobody};

const SECOND: Duration = Duration::from_secs(1);

fn f() -> FunctionId {
    "f".parse().unwrap()
}

#[actix_web::test]
async fn a_call_to_a_frozen_instance_is_answered_after_its_thaw_and_lets_it_be_thawed() {
    let house = House::public().await;
    let instance = house.publish("f", mirror().await);
    assert_eq!(house.get("/function/f").await.status, 200, "a connection is kept");
    for _ in 0..3 {
        assert!(house.routes.freeze(&f(), &instance), "a connection that is kept is no request");
        let calls: Vec<_> = (0..5).map(|_| call(&house)).collect();
        timeout(5 * SECOND, house.routes.called(&f(), &instance)).await.expect("its task is told");
        while house.routes.find(&f()).unwrap().load().parked < calls.len() {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(calls.iter().all(|call| !call.is_finished()));
        house.routes.thaw(&f(), &instance);
        for call in calls {
            assert_eq!(call.await.unwrap().status, 200);
        }
        let entry = house.routes.find(&f()).unwrap();
        timeout(5 * SECOND, async {
            while entry.load().in_flight > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("no lease is left");
    }
}

/// A function whose instance stands still: its kernel takes connections, and it reads none.
async fn still() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn call(house: &House) -> actix_web::rt::task::JoinHandle<crate::support::Reply> {
    let address = house.address;
    actix_web::rt::spawn(async move { ask(address, "GET /function/f HTTP/1.1\r\nHost: h\r\n", "").await })
}

/// A frozen function that stands still and is called: the call waits, with the connection that it has made meanwhile.
struct Called {
    house: House,
    listener: TcpListener,
    instance: InstanceId,
    answered: actix_web::rt::task::JoinHandle<crate::support::Reply>,
    connection: TcpStream,
}

impl Called {
    async fn while_frozen() -> Self {
        let house = House::public().await;
        let (listener, address) = still().await;
        let instance = house.publish("f", address);
        assert!(house.routes.freeze(&f(), &instance));
        let answered = call(&house);
        let (connection, _) = timeout(5 * SECOND, listener.accept()).await.expect("a connection").unwrap();
        Self { house, listener, instance, answered, connection }
    }
}

#[actix_web::test]
async fn a_frozen_instance_is_connected_to_while_it_is_thawed_and_gets_no_byte_before() {
    let Called { house, listener, instance, answered, mut connection } = Called::while_frozen().await;
    let mut byte = [0; 1];
    let early = timeout(Duration::from_millis(100), connection.peek(&mut byte)).await;
    assert!(early.is_err(), "it got something before its thaw: {early:?}");
    house.routes.thaw(&f(), &instance);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(5 * SECOND, connection.read_u8()).await.expect("the request").unwrap());
    }
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(answered.await.unwrap().status, 200);
    assert!(timeout(Duration::from_millis(100), listener.accept()).await.is_err(), "one connection is enough");
}

#[actix_web::test]
async fn an_instance_that_goes_in_place_of_its_thaw_has_got_nothing_and_another_one_answers() {
    let Called { house, listener: _listener, instance, answered, mut connection } = Called::while_frozen().await;
    house.publish("f", mirror().await);
    house.routes.retract(&f(), &instance);
    assert_eq!(answered.await.unwrap().status, 200);
    let mut got = Vec::new();
    timeout(5 * SECOND, connection.read_to_end(&mut got)).await.expect("it is closed").unwrap();
    assert_eq!(got, b"");
}

#[actix_web::test]
async fn a_frozen_instance_that_can_not_be_connected_to_is_not_waited_for_longer_than_its_thaw() {
    let house = House::public().await;
    let instance = house.publish("f", nobody());
    assert!(house.routes.freeze(&f(), &instance));
    let answered = call(&house);
    timeout(5 * SECOND, house.routes.called(&f(), &instance)).await.expect("its task is told");
    house.publish("f", mirror().await);
    house.routes.retract(&f(), &instance);
    assert_eq!(answered.await.unwrap().status, 200);
}

#[actix_web::test]
async fn a_frozen_instance_that_is_never_thawed_costs_its_caller_the_time_of_a_start() {
    let house = House::public().await;
    let instance = house.publish("f", mirror().await);
    assert!(house.routes.freeze(&f(), &instance));
    let reply = house.get("/function/f").await;
    assert_eq!((reply.status, reply.header("x-openfaas-internal").as_deref()), (503, Some("proxy")));
    assert!(reply.text().contains("no instance of function f.openfaas-fn was ready within 2s"), "{}", reply.text());
}

#[actix_web::test]
async fn a_web_socket_keeps_its_instance_awake_until_it_ends() {
    let house = House::public().await;
    let chat = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
        while let Ok(byte) = connection.0.read_u8().await {
            connection.0.write_all(&[byte]).await.unwrap();
        }
    })
    .await;
    let instance = house.publish("f", chat);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let upgrade = "GET /function/f HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nx";
    client.write_all(upgrade.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while answer.last() != Some(&b'x') {
        answer.push(timeout(5 * SECOND, client.read_u8()).await.expect("no answer").unwrap());
    }
    // Nothing is said any more.
    sleep(Duration::from_millis(50)).await;
    assert!(!house.routes.freeze(&f(), &instance));
    assert_eq!(house.routes.find(&f()).unwrap().idle_for(), Duration::ZERO);
    drop(client);
    let freezes = async {
        while !house.routes.freeze(&f(), &instance) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(5 * SECOND, freezes).await.expect("it can be frozen");
}

#[actix_web::test]
async fn an_answer_that_is_still_being_sent_keeps_its_instance_awake() {
    let house = House::public().await;
    let slow = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na").await;
        connection.0.read_u8().await.ok();
    })
    .await;
    let instance = house.publish("f", slow);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(b"GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\na") {
        answer.push(timeout(5 * SECOND, client.read_u8()).await.expect("no answer").unwrap());
    }
    assert!(!house.routes.freeze(&f(), &instance));
    drop(client);
    let freezes = async {
        while !house.routes.freeze(&f(), &instance) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(5 * SECOND, freezes).await.expect("its client is gone");
}
