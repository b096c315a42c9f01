//! Bodies that come bit by bit, in both directions.

use serde_json::json;

use crate::actord::Actord;
use crate::client::{Connection, Request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_streamed_both_ways_and_upgrades_pass() {
    // The function's end would wait for the hour that it is asked to sleep.
    let actord = Actord::start_with(&["--grace-period", "1s"]).await;
    actord.deploy("flows", json!({})).await;

    // Each line arrives before the next is written: the second would take an hour.
    let mut connection = Connection::open(actord.public).await.unwrap();
    connection.send(&Request::get("/function/flows/stream?n=2&ms=3600000")).await.unwrap();
    assert_eq!(connection.read_head().await.unwrap().0, 200);
    assert_eq!(connection.chunk().await.unwrap().unwrap(), b"tick 1\n");
    drop(connection);

    // Each piece of a request's body comes back before the next is sent.
    let mut connection = Connection::open(actord.public).await.unwrap();
    let head = "POST /function/flows/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.write(format!("{head}5\r\nfirst\r\n").as_bytes()).await.unwrap();
    assert_eq!(connection.read_head().await.unwrap().0, 200);
    assert_eq!(connection.chunk().await.unwrap().unwrap(), b"first");
    connection.write(b"6\r\nsecond\r\n").await.unwrap();
    assert_eq!(connection.chunk().await.unwrap().unwrap(), b"second");
    connection.write(b"0\r\n\r\n").await.unwrap();
    assert_eq!(connection.chunk().await.unwrap(), None);

    // Bodies that no buffer holds, both ways at once.
    let large = vec![b'x'; 8 << 20];
    let answer = actord.ask(Request::new("POST", "/function/flows/echo").body(large.clone())).await;
    assert!(answer.status == 200 && answer.body == large);
    let mut connection = Connection::open(actord.public).await.unwrap();
    let answer = connection.ask(&Request::get("/function/flows/bytes?n=5000000")).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 5_000_000));

    let mut connection = Connection::open(actord.public).await.unwrap();
    let upgrade = Request::get("/function/flows/upgrade")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    connection.send(&upgrade).await.unwrap();
    assert_eq!(connection.read_head().await.unwrap().0, 101);
    for word in ["one", "two"] {
        connection.write(word.as_bytes()).await.unwrap();
        assert_eq!(connection.read(word.len()).await.unwrap(), word.as_bytes());
    }
    // A stopping actord would wait for it.
    drop(connection);
    actord.finish().await;
}
