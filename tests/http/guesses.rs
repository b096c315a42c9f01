//! Wrong passwords: who sends many has to wait, and nobody is shut out.

use std::net::SocketAddr;

use actord::http::ApiFlavor;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use crate::support::{AUTH, House, Reply, mirror, read_reply};

const WRONG: &str = "Authorization: Basic YWRtaW46d3Jvbmc=\r\n";

/// Asks for the list of functions from this address of loopback.
async fn list(house: &House, from: &str, headers: &str) -> Reply {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut client = socket.connect(house.address).await.unwrap();
    let request = format!("GET /system/functions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    read_reply(&mut client).await
}

/// Guesses until that is refused; after how many.
async fn guess(house: &House, from: &str, headers: &str) -> (usize, Reply) {
    for n in 0..100 {
        let reply = list(house, from, &format!("{headers}{WRONG}")).await;
        if reply.status != 401 {
            return (n, reply);
        }
    }
    panic!("a hundred wrong passwords were looked at");
}

#[actix_web::test]
async fn an_address_that_guesses_is_slowed_and_shuts_nobody_out() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        house.publish("echo", mirror().await);
        let (after, refused) = guess(&house, "127.0.0.2", "").await;
        // One comes back in six seconds, which a slow machine may have taken.
        assert!((10..20).contains(&after), "{after}");
        assert_eq!(refused.status, 429, "{refused:?}");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=6).contains(&wait), "{refused:?}");
        assert!(refused.text().contains("127.0.0.2"), "{refused:?}");
        // Who knows the password gets in beside the one who guesses, and whatever that one sends meanwhile.
        let guesser = async {
            let guesses = (0..200).map(|_| list(&house, "127.0.0.2", WRONG));
            futures_util::future::join_all(guesses).await.iter().filter(|reply| reply.status == 429).count()
        };
        let (late, right) = futures_util::future::join(guesser, list(&house, "127.0.0.2", AUTH)).await;
        assert_eq!(right.status, 200, "{right:?}");
        assert!(late > 190, "{late}: all but those whose time had come");
        assert_eq!(list(&house, "127.0.0.2", "").await.status, 401, "without credentials nothing is guessed");
        assert_eq!(list(&house, "127.0.0.3", AUTH).await.status, 200, "the operator comes from another address");
        assert_eq!(list(&house, "127.0.0.3", WRONG).await.status, 401);
        assert_eq!(house.get("/function/echo").await.status, 200, "functions ask for no password");
    }
}

#[actix_web::test]
async fn what_can_be_no_credentials_is_no_guess() {
    let house = House::public().await;
    for header in ["", "Authorization: \r\n", "Authorization: Bearer \r\n", "Authorization: Basic \r\n"] {
        for _ in 0..15 {
            assert_eq!(list(&house, "127.0.0.2", header).await.status, 401, "{header:?}");
        }
    }
    assert_eq!(list(&house, "127.0.0.2", WRONG).await.status, 401);
}

#[actix_web::test]
async fn many_right_passwords_are_no_guesses() {
    let house = House::public().await;
    for _ in 0..50 {
        assert_eq!(list(&house, "127.0.0.2", AUTH).await.status, 200);
    }
}

#[actix_web::test]
async fn behind_a_trusted_proxy_it_is_the_client_that_has_to_wait() {
    let house = House::with(ApiFlavor::Public, |settings| {
        settings.trusted_proxies = vec!["127.0.0.4/32".parse().unwrap()];
    })
    .await;
    let bad = "X-Forwarded-For: 203.0.113.1, 198.51.100.7\r\n";
    let (_, refused) = guess(&house, "127.0.0.4", bad).await;
    assert!(refused.status == 429 && refused.text().contains("198.51.100.7"), "{refused:?}");
    let other = format!("X-Forwarded-For: 198.51.100.8\r\n{WRONG}");
    assert_eq!(list(&house, "127.0.0.4", &other).await.status, 401);
    // Any other peer can't take another's name: neither to get around its own wait, nor to make another wait.
    guess(&house, "127.0.0.5", "X-Forwarded-For: 198.51.100.8\r\n").await;
    assert_eq!(list(&house, "127.0.0.5", &format!("X-Forwarded-For: 1.2.3.4\r\n{WRONG}")).await.status, 429);
    assert_eq!(list(&house, "127.0.0.4", &other).await.status, 401);
}
