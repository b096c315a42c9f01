//! Answers of functions at the limits of what is passed on, and beyond.

use actord::http::ApiFlavor;

use crate::support::{House, answering};

fn with_headers(count: usize, size: usize) -> String {
    let value = "v".repeat(size);
    let lines: String = (1..count).map(|n| format!("X-Header-{n}: {value}\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok")
}

#[actix_web::test]
async fn an_answer_of_many_headers_is_passed_on() {
    for (count, size) in [(119, 10), (512, 1), (300, 1000), (2, 300_000)] {
        let house = House::public().await;
        house.publish("many", answering(move |_| with_headers(count, size)).await);
        let reply = house.get("/function/many").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok"), "{count} of {size}: {}", reply.text());
        for n in 1..count {
            assert_eq!(reply.header(&format!("x-header-{n}")).map(|value| value.len()), Some(size), "{count}: {n}");
        }
    }
}

#[actix_web::test]
async fn a_request_of_many_headers_is_passed_on_or_refused_by_the_documented_limits() {
    let house = House::public().await;
    house.publish("many", crate::support::mirror().await);
    for (headers, size, status) in [(90, 100, 200), (90, 1400, 200), (97, 1, 431), (1000, 1, 431), (3, 300_000, 431)] {
        // Host, and what `ask` adds, are headers as well.
        let lines: String = (2..headers).map(|n| format!("X-Header-{n}: {}\r\n", "v".repeat(size))).collect();
        let reply = house.ask(&format!("GET /function/many HTTP/1.1\r\nHost: h\r\n{lines}"), "").await;
        assert_eq!(reply.status, status, "{headers} of {size}");
        if status == 200 {
            assert!(reply.text().contains(&format!("x-header-{}: v", headers - 1)), "{headers} of {size}");
        }
    }
}

#[actix_web::test]
async fn what_is_wrong_with_an_answer_is_told() {
    let at = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let line = |line: &str| format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 2\r\n\r\nok");
    for (answer, words) in [
        (with_headers(513, 1), "function odd answered with more than 512 headers"),
        (with_headers(2000, 1), "function odd answered with more than 512 headers"),
        (with_headers(500, 3000), "function odd answered with a head of more than 400 KiB"),
        (with_headers(2, 1_200_000), "function odd answered with a head of more than 400 KiB"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), "function odd gave an answer that is no HTTP/1.1 (invalid HTTP"),
        ("ok\n".to_owned(), "no HTTP/1.1 (invalid HTTP version"),
        ("HTTP/2 200\r\n\r\n".to_owned(), "no HTTP/1.1 (invalid HTTP version"),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}".to_owned(), "no HTTP/1.1 (invalid HTTP version"),
        (at("abc"), "no HTTP/1.1 (invalid HTTP status"),
        (at("20"), "no HTTP/1.1 (invalid HTTP status"),
        (line("No Colon"), "no HTTP/1.1 (invalid HTTP header"),
        (line("Nul: a\0b"), "no HTTP/1.1 (invalid HTTP header"),
        (line("Content-Length: 5"), "no HTTP/1.1 (invalid content-length"),
        (line("Content-Length: -2"), "no HTTP/1.1 (invalid content-length"),
    ] {
        for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
            let house = House::with(flavor, |_| {}).await;
            let answer = answer.clone();
            house.publish("odd", answering(move |_| answer.clone()).await);
            let reply = house.ask("POST /function/odd HTTP/1.1\r\nHost: h\r\n", "").await;
            let status = if flavor == ApiFlavor::Public { 502 } else { 500 };
            assert_eq!(reply.status, status, "{words}: {}", reply.text());
            assert!(reply.text().contains(words), "{words}: {}", reply.text());
            assert_eq!(reply.header("x-openfaas-internal").as_deref(), Some("proxy"), "{words}");
        }
    }
}
