use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_client_is_let_go_when_it_has_asked_for_nothing_since_its_last_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut stream = ClientStream::new(listener.accept().await.unwrap().0, None, Strangers::default());
    let (turn, mut buffer) = (stream.turn(), [0; 1024]);
    for _ in 0..3 {
        client.write_all(REQUEST).await.unwrap();
        assert_eq!(stream.read(&mut buffer).await.unwrap(), REQUEST.len());
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        turn.end();
        stream.flush().await.unwrap();
        sleep(KEEP_ALIVE - Duration::from_secs(1)).await;
    }
    let last = Instant::now();
    assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    let waited = last.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(2), "{waited:?}");
}
