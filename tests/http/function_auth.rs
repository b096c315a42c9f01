//! Functions that ask for a token: who may call them, and what they see of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actord::http::ApiFlavor;

use crate::support::{AUTH, House, Reply, answering, mirror};
use crate::tokens::token;

async fn call(house: &House, name: &str, header: &str) -> Reply {
    house.ask(&format!("GET /function/{name} HTTP/1.1\r\nHost: h\r\n{header}"), "").await
}

#[actix_web::test]
async fn a_function_that_asks_for_a_token_is_called_only_with_one_that_may_call_in_its_namespace() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let counting = answering(move |head| {
            counted.fetch_add(1, Ordering::Relaxed);
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())
        });
        house.routes.guard(&"f.dev".parse().unwrap(), true);
        house.publish("f.dev", counting.await);
        let (id, right) = token(&house, &["invoke"], &["dev"]).await;
        let everywhere = token(&house, &["invoke"], &["*"]).await.1;
        let elsewhere = token(&house, &["invoke"], &["openfaas-fn"]).await.1;
        let other = token(&house, &["read", "write"], &["dev"]).await.1;
        for (header, status) in [
            ("", 401),
            ("Authorization: Bearer \r\n", 401),
            ("Authorization: Bearer actord_x\r\n", 401),
            // Functions are no place to guess the password at.
            (AUTH, 401),
            (elsewhere.as_str(), 403),
            (other.as_str(), 403),
        ] {
            let reply = call(&house, "f.dev", header).await;
            assert_eq!(reply.status, status, "{header}: {reply:?}");
            assert_eq!(reply.header("x-openfaas-internal").as_deref(), Some("proxy"));
            assert_eq!(reply.header("www-authenticate").is_some(), status == 401);
        }
        assert_eq!(calls.load(Ordering::Relaxed), 0, "nothing reached the function");
        assert_eq!(house.routes.find(&"f.dev".parse().unwrap()).unwrap().calls(), 0, "and nothing counts as load");
        for header in [&right, &everywhere] {
            let reply = call(&house, "f.dev/path", header).await;
            assert_eq!(reply.status, 200);
            assert!(!reply.text().to_lowercase().contains("authorization"), "{reply:?}");
        }
        // Any method, and any way to name it.
        let head = format!("POST /function/f.dev?x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n{elsewhere}");
        assert_eq!(house.ask(&head, "").await.status, 403);
        house.system(&format!("DELETE /system/tokens/{id}"), "").await;
        assert_eq!(call(&house, "f.dev", &right).await.status, 401);
        house.routes.guard(&"f.dev".parse().unwrap(), false);
        assert_eq!(call(&house, "f.dev", "").await.status, 200);
    }
}

#[actix_web::test]
async fn an_address_that_sends_many_wrong_tokens_is_slowed_and_a_right_one_waits_for_none_of_them() {
    let house = House::public().await;
    house.routes.guard(&"f.dev".parse().unwrap(), true);
    house.publish("f.dev", mirror().await);
    house.publish("open", mirror().await);
    let (id, right) = token(&house, &["invoke"], &["dev"]).await;
    let wrong = "Authorization: Bearer actord_wrong\r\n";
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) && statuses.len() < 100 {
        let reply = call(&house, "f.dev", wrong).await;
        assert_eq!(reply.header("retry-after").is_some(), reply.status == 429, "{reply:?}");
        statuses.push(reply.status);
    }
    // One comes back in six seconds, which a slow machine may have taken.
    assert!((11..20).contains(&statuses.len()), "{statuses:?}");
    // Several right ones are answered before one wrong one is.
    let slowed = call(&house, "f.dev", wrong);
    let answered = async {
        for _ in 0..5 {
            assert_eq!(call(&house, "f.dev", &right).await.status, 200);
        }
        assert_eq!(call(&house, "open", "").await.status, 200);
        let elsewhere = call(&house, "f.dev", "").await;
        assert_eq!(elsewhere.status, 401, "without one nothing is guessed: {elsewhere:?}");
    };
    tokio::select! {
        biased;
        () = answered => {}
        reply = slowed => panic!("a wrong one was answered first: {reply:?}"),
    }
    // What calls a function with an old token does not slow down the operator.
    let wrong_for_system = format!("GET /system/functions HTTP/1.1\r\nHost: h\r\n{wrong}");
    assert_eq!(house.ask(&wrong_for_system, "").await.status, 401);
    house.system(&format!("DELETE /system/tokens/{id}"), "").await;
    assert_ne!(call(&house, "f.dev", &right).await.status, 200, "one that was revoked is as wrong as any");
}

#[actix_web::test]
async fn other_functions_are_called_without_a_token_and_see_what_was_sent_but_no_token_of_ours() {
    let house = House::public().await;
    house.publish("open", mirror().await);
    let (_, real) = token(&house, &["invoke"], &["*"]).await;
    for header in [&real, "Authorization: bearer actord_made-up\r\n"] {
        let reply = call(&house, "open", header).await;
        assert_eq!(reply.status, 200);
        assert!(!reply.text().to_lowercase().contains("authorization"), "{reply:?}");
    }
    let reply = call(&house, "open", "Authorization: Bearer its-own\r\n").await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().to_lowercase().contains("authorization: bearer its-own"), "{reply:?}");
}
