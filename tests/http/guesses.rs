//! Wrong passwords and tokens: who sends many has to wait, and nobody is shut out.

use std::net::SocketAddr;

use actord::http::ApiFlavor;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use crate::support::{AUTH, House, Reply, mirror, read_reply};
use crate::tokens::token;

const WRONG: &str = "Authorization: Basic YWRtaW46d3Jvbmc=\r\n";
/// Tokens that are none, in both ways to send one (`token:actord_wrong`), and what is not even like one.
const WRONG_TOKENS: [&str; 3] = [
    "Authorization: Bearer actord_wrong\r\n",
    "Authorization: Basic dG9rZW46YWN0b3JkX3dyb25n\r\n",
    "Authorization: Bearer a.jwt.perhaps\r\n",
];

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
async fn a_wrong_token_is_a_guess_like_a_wrong_password_and_a_right_one_is_let_in_beside_it() {
    let house = House::public().await;
    let (id, right) = token(&house, &["read"], &["*"]).await;
    for (from, wrong) in ["127.0.0.2", "127.0.0.3", "127.0.0.4"].into_iter().zip(WRONG_TOKENS) {
        let (mut after, mut last) = (0, list(&house, from, wrong).await);
        while last.status == 401 && after < 100 {
            (after, last) = (after + 1, list(&house, from, wrong).await);
        }
        assert!((10..20).contains(&after) && last.status == 429, "{after}: {last:?}");
        assert!(last.header("retry-after").is_some() && last.text().contains(from), "{last:?}");
        // Passwords and tokens are counted together, and neither shuts out the other.
        assert_eq!(list(&house, from, WRONG).await.status, 429);
        for header in [&right, AUTH] {
            assert_eq!(list(&house, from, header).await.status, 200);
        }
    }
    assert_eq!(list(&house, "127.0.0.5", WRONG_TOKENS[0]).await.status, 401, "another address is not held up");
    // One that was revoked is as wrong as any.
    house.system(&format!("DELETE /system/tokens/{id}"), "").await;
    assert_eq!(list(&house, "127.0.0.6", &right).await.status, 401);
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
