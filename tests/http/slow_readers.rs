//! Clients that ask for much and don't take it: what waits for them is bounded, and they are closed.

use std::time::Duration;

use actord::http::{ApiFlavor, ReadingLimits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::support::{House, ask, function};

const LENGTH: usize = 16 << 20;
const CLIENTS: usize = 40;

/// The most that waits for one client outside of the kernel: what actix collects before it stops to read, and one piece, which is
/// small for a client that was not quick before.
const HELD: u64 = (4 << 10) + (4 << 10);

/// One number of the metrics page.
async fn metric(house: &House, name: &str) -> u64 {
    let page = ask(house.metrics, "GET /metrics HTTP/1.1\r\nHost: h\r\n", "").await.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}: {page}")).parse().unwrap()
}

/// How much waits for those that do not read. What still counted for one that did is gone when it is looked at again.
async fn waiting(house: &House) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..3 {
        least = least.min(metric(house, "actord_answers_waiting_bytes").await);
        sleep(Duration::from_millis(10)).await;
    }
    least
}

/// Asks for the long answer, and reads nothing of it.
async fn deaf(house: &House) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // As little as the kernel allows, less than the first piece: one that its kernel took at once would make the next one larger.
    socket.set_recv_buffer_size(1).unwrap();
    let mut client = socket.connect(house.address).await.unwrap();
    client.write_all(b"GET /function/long HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    client
}

#[actix_web::test]
async fn what_waits_for_clients_that_do_not_read_is_bounded_and_they_are_closed_and_others_are_served() {
    let house = House::with(ApiFlavor::Public, |settings| {
        settings.reading = ReadingLimits { idle: Duration::from_secs(3), floor: 256, memory: usize::MAX };
    })
    .await;
    let long = function(|mut connection| async move {
        while !connection.head().await.is_empty() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
            // The proxy goes away where its client does.
            if connection.0.write_all(head.as_bytes()).await.is_err()
                || connection.0.write_all(&vec![b'x'; LENGTH]).await.is_err()
            {
                return;
            }
        }
    });
    house.publish("long", long.await);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(deaf(&house).await);
    }
    let mut most = 0;
    while metric(&house, "actord_slow_clients_closed_total").await < CLIENTS as u64 {
        most = most.max(waiting(&house).await);
        let reply = house.get("/function/long").await;
        assert_eq!((reply.status, reply.body.len()), (200, LENGTH), "a client that reads is served");
    }
    assert!(most > 0 && most <= CLIENTS as u64 * HELD, "{most} bytes waited for {CLIENTS} clients");
    // Each is told that its answer is not whole.
    for mut client in clients {
        let mut came = Vec::new();
        client.read_to_end(&mut came).await.expect_err("it was reset");
        assert!(came.len() < LENGTH, "{}", came.len());
    }
    while metric(&house, "actord_answers_waiting_bytes").await > 0
        || metric(&house, "gateway_function_invocation_inflight{function_name=\"long.openfaas-fn\"}").await > 0
    {
        sleep(Duration::from_millis(20)).await;
    }
}
