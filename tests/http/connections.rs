//! How many connections a listener takes, and what becomes of those beyond.

use actord::http::{ApiFlavor, ConnectionLimits};
use futures_util::{StreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{House, mirror, read_reply};

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

#[actix_web::test]
async fn a_connection_too_many_is_told_so_and_there_is_room_again_when_others_leave() {
    let house = House::with(ApiFlavor::Public, |settings| {
        settings.connections = ConnectionLimits { all: 4, per_address: 0 };
    })
    .await;
    house.publish("echo", mirror().await);
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut client = crate::raw_client::Connection::open(house.address).await.unwrap();
        let reply = client.exchange(REQUEST).await.unwrap();
        assert_eq!(reply.status, 200);
        held.push(client);
    }
    // It is told before it has said anything.
    let mut other = TcpStream::connect(house.address).await.unwrap();
    let refused = read_reply(&mut other).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    assert_eq!(refused.text(), "not now: 4 connections are open, which is max-connections\n");
    // And also if it asks at once.
    let mut other = TcpStream::connect(house.address).await.unwrap();
    other.write_all(REQUEST).await.unwrap();
    assert_eq!(read_reply(&mut other).await.status, 503);
    for client in &mut held {
        assert_eq!(client.exchange(REQUEST).await.unwrap().status, 200, "those that are there are served on");
    }
    held.pop();
    loop {
        let reply = house.get("/function/echo").await;
        if reply.status == 200 {
            break;
        }
        assert_eq!(reply.status, 503, "{reply:?}");
    }
}

#[actix_web::test]
async fn hundreds_of_connections_too_many_are_all_closed_soon() {
    let house = House::with(ApiFlavor::Public, |settings| {
        settings.connections = ConnectionLimits { all: 1, per_address: 0 };
    })
    .await;
    let mut held = crate::raw_client::Connection::open(house.address).await.unwrap();
    assert_eq!(held.exchange(REQUEST).await.unwrap().status, 200);
    let more = (0..500).map(|_| async {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        read_reply(&mut client).await.status
    });
    // More than are told at a time, and no more than the kernel keeps for the listener: what it does not, it looks at again
    // after seconds only.
    let statuses: Vec<u16> = stream::iter(more).buffer_unordered(100).collect().await;
    assert!(statuses.iter().all(|status| matches!(status, 503 | 0)), "{statuses:?}");
    assert!(statuses.contains(&503), "some are told why");
    assert_eq!(held.exchange(REQUEST).await.unwrap().status, 200);
}
