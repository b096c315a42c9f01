use std::time::Duration;

use actord::engine::{Engine as _, Used, View};
use actord::function::{Outlook, Phase, Tier, Uptime};

use crate::support::{House, answering, ask, mirror};

async fn scrape(house: &House) -> String {
    let reply = ask(house.metrics, "GET /metrics HTTP/1.1\r\nHost: h\r\n", "").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"), "{reply:?}");
    reply.text()
}

fn has(page: &str, line: &str) -> bool {
    page.lines().any(|one| one == line)
}

#[actix_web::test]
async fn invocations_are_counted_by_function_and_code_under_the_gateways_names() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    house.publish("sick.dev", answering(|_| "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into()).await);
    house.add("echo", "i");
    for path in ["/function/echo", "/function/echo.openfaas-fn/x", "/function/sick.dev"] {
        house.get(path).await;
    }
    let page = scrape(&house).await;
    for line in [
        r#"gateway_function_invocation_total{code="200",function_name="echo.openfaas-fn"} 2"#,
        r#"gateway_function_invocation_total{code="500",function_name="sick.dev"} 1"#,
        r#"gateway_function_invocation_started{function_name="echo.openfaas-fn"} 2"#,
        r#"gateway_functions_seconds_count{code="200",function_name="echo.openfaas-fn"} 2"#,
        r#"gateway_service_count{function_name="echo.openfaas-fn"} 1"#,
        "# TYPE gateway_functions_seconds histogram",
        "# TYPE gateway_function_invocation_started counter",
    ] {
        assert!(has(&page, line), "{line}\n{page}");
    }
    let shown = house.system("GET /system/function/echo", "").await.json();
    assert_eq!(shown["invocationCount"], 2);
}

#[actix_web::test]
async fn frozen_instances_are_ready_ones_and_an_idle_function_has_none() {
    let house = House::public().await;
    house.add("cool", "i");
    house.add("cold", "i");
    house.show("cool", |View { status, .. }| (status.phase, status.frozen) = (Phase::Frozen, 1));
    house.engine.rest(&"cold".parse().unwrap(), Tier::Stopped).await.unwrap();
    let page = scrape(&house).await;
    for line in [
        r#"actord_function_frozen{function_name="cool.openfaas-fn"} 1"#,
        r#"actord_function_ready{function_name="cool.openfaas-fn"} 1"#,
        r#"actord_function_phase{function_name="cool.openfaas-fn",phase="frozen"} 1"#,
        r#"actord_function_frozen{function_name="cold.openfaas-fn"} 0"#,
        r#"gateway_service_count{function_name="cold.openfaas-fn"} 0"#,
        r#"actord_function_phase{function_name="cold.openfaas-fn",phase="idle"} 1"#,
    ] {
        assert!(has(&page, line), "{line}\n{page}");
    }
}

#[actix_web::test]
async fn a_crash_loop_can_be_seen_and_a_deleted_function_leaves_with_its_labels() {
    let house = House::public().await;
    house.add("good", "i");
    house.add("loop", "i");
    let id = "loop".parse().unwrap();
    house.show("loop", |View { status, .. }| {
        (status.phase, status.ready) = (Phase::BackingOff { until: Uptime(Duration::from_secs(9)) }, 0);
        status.restarts = 41;
    });
    let page = scrape(&house).await;
    for line in [
        r#"actord_function_restarts_total{function_name="loop.openfaas-fn"} 41"#,
        r#"actord_function_restarts_total{function_name="good.openfaas-fn"} 0"#,
        r#"actord_function_phase{function_name="loop.openfaas-fn",phase="backing_off"} 1"#,
        r#"actord_function_phase{function_name="good.openfaas-fn",phase="ready"} 1"#,
        r#"actord_function_ready{function_name="loop.openfaas-fn"} 0"#,
        r#"actord_function_ready{function_name="good.openfaas-fn"} 1"#,
        "# TYPE actord_function_restarts_total counter",
    ] {
        assert!(has(&page, line), "{line}\n{page}");
    }
    assert!(has(&scrape(&house).await, r#"actord_function_restarts_total{function_name="loop.openfaas-fn"} 41"#));

    house.show("loop", |view| view.status.phase = Phase::Ready);
    let page = scrape(&house).await;
    assert!(!page.contains("backing_off"), "the phase before is gone: {page}");
    house.engine.remove(&id);
    let page = scrape(&house).await;
    assert!(!page.contains("loop.openfaas-fn") && page.contains("good.openfaas-fn"), "{page}");
}

#[actix_web::test]
async fn what_functions_use_is_told_under_the_names_that_dashboards_join_by() {
    let house = House::public().await;
    let used = Used { cpu_millis: 7.0, memory_bytes: 20 << 20, cpu_total: Duration::from_millis(1_500) };
    house.script.lock().unwrap().used =
        [("busy".parse().unwrap(), used), ("other.dev".parse().unwrap(), Used { memory_bytes: 5, ..used })].into();
    for _ in 0..2 {
        let page = scrape(&house).await;
        for line in [
            r#"pod_cpu_usage_seconds_total{function_name="busy.openfaas-fn",namespace="openfaas-fn"} 1.5"#,
            r#"pod_memory_working_set_bytes{function_name="busy.openfaas-fn",namespace="openfaas-fn"} 20971520"#,
            r#"pod_memory_working_set_bytes{function_name="other.dev",namespace="dev"} 5"#,
            "# TYPE pod_cpu_usage_seconds_total counter",
            "# TYPE pod_memory_working_set_bytes gauge",
        ] {
            assert!(has(&page, line), "{line}\n{page}");
        }
    }
    house.script.lock().unwrap().used.clear();
    assert!(!scrape(&house).await.contains("busy"), "what does not run uses nothing");
    house.script.lock().unwrap().immeasurable = true;
    house.add("good", "i");
    assert!(scrape(&house).await.contains("gateway_service_count"), "the page comes all the same");
}

#[actix_web::test]
async fn names_that_nobody_deployed_leave_no_trace() {
    let house = House::public().await;
    for i in 0..10 {
        house.get(&format!("/function/made-up-{i}")).await;
    }
    assert!(!scrape(&house).await.contains("made-up"));
}

#[actix_web::test]
async fn a_function_that_was_deleted_is_404_at_once_also_where_it_was_called_before() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    assert_eq!(house.get("/function/echo").await.status, 200);
    house.routes.forget(&"echo".parse().unwrap());
    assert_eq!(house.get("/function/echo").await.status, 404);
    assert_eq!(house.get("/function/echo").await.status, 404);
    house.publish("echo", mirror().await);
    assert_eq!(house.get("/function/echo").await.status, 200);
}

#[actix_web::test]
async fn a_function_that_is_deleted_and_made_again_starts_at_zero() {
    let house = House::public().await;
    let (echo, id) = (mirror().await, "echo".parse().unwrap());
    house.add("echo", "i");
    house.publish("echo", echo);
    for _ in 0..3 {
        house.get("/function/echo").await;
    }
    let total = |page: &str, count: u64| {
        has(
            page,
            &format!(r#"gateway_function_invocation_total{{code="200",function_name="echo.openfaas-fn"}} {count}"#),
        )
    };
    assert!(total(&scrape(&house).await, 3));
    house.routes.forget(&id);
    house.publish("echo", echo);
    let shown = house.system("GET /system/function/echo", "").await.json();
    assert_eq!(shown.get("invocationCount"), None, "{shown}");
    house.get("/function/echo").await;
    assert!(total(&scrape(&house).await, 1));
    assert_eq!(house.system("GET /system/functions", "").await.json()[0]["invocationCount"], 1);
    house.routes.forget(&id);
    house.engine.clear();
    let page = scrape(&house).await;
    assert!(!page.contains("echo.openfaas-fn"), "{page}");
}

#[actix_web::test]
async fn counting_goes_on_where_an_earlier_process_left_off_but_for_prometheus() {
    let house = House::public().await;
    house.add("echo", "i");
    house.routes.restore_count(&"echo".parse().unwrap(), 40);
    house.publish("echo", mirror().await);
    house.get("/function/echo").await;
    house.get("/function/echo").await;
    assert_eq!(house.system("GET /system/function/echo", "").await.json()["invocationCount"], 42);
    let page = scrape(&house).await;
    let line = r#"gateway_function_invocation_total{code="200",function_name="echo.openfaas-fn"} 2"#;
    assert!(has(&page, line), "{page}");
}

#[actix_web::test]
async fn answers_that_are_no_status_share_one_label() {
    let house = House::public().await;
    let odd = |head: &str| {
        let code = head.split([' ', '/']).nth(2).unwrap_or_default().to_owned();
        format!("HTTP/1.1 {code} Odd\r\nContent-Length: 0\r\n\r\n")
    };
    house.publish("odd", answering(odd).await);
    for code in [200, 599, 600, 799, 999] {
        assert_eq!(house.get(&format!("/function/odd/{code}")).await.status, code);
    }
    let page = scrape(&house).await;
    for (code, count) in [("200", 1), ("599", 1), ("other", 3)] {
        let line =
            format!(r#"gateway_function_invocation_total{{code="{code}",function_name="odd.openfaas-fn"}} {count}"#);
        assert!(has(&page, &line), "{line}\n{page}");
    }
    assert!(!page.contains("799"), "{page}");
}

#[actix_web::test]
async fn requests_for_the_api_are_counted_by_route_and_not_by_what_anybody_makes_up() {
    let house = House::public().await;
    house.add("a", "i");
    house.add("b", "i");
    for line in ["GET /system/functions", "GET /system/function/a", "GET /system/function/b", "GET /system/made/up"] {
        house.system(line, "").await;
    }
    house.system("BREW /system/functions", "").await;
    house.get("/system/functions").await;
    let page = scrape(&house).await;
    for line in [
        r#"http_requests_total{method="GET",path="/system/functions",status="200"} 1"#,
        r#"http_requests_total{method="GET",path="/system/functions",status="401"} 1"#,
        r#"http_requests_total{method="GET",path="/system/function/{name}",status="200"} 2"#,
        r#"http_requests_total{method="GET",path="other",status="404"} 1"#,
        r#"http_requests_total{method="other",path="/system/functions",status="405"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",path="/system/function/{name}",status="200"} 2"#,
    ] {
        assert!(has(&page, line), "{line}\n{page}");
    }
    assert!(!page.contains("provider_http"), "this was the other port: {page}");
    let provider = House::with(actord::http::ApiFlavor::Provider, |_| {}).await;
    provider.system("GET /system/functions", "").await;
    let line = r#"provider_http_requests_total{code="200",method="GET",path="/system/functions"} 1"#;
    assert!(has(&scrape(&provider).await, line));
}

#[actix_web::test]
async fn what_a_function_may_have_and_has_is_shown_by_the_gateways_names() {
    let house = House::public().await;
    house.add_with("f", |draft| {
        draft.labels.insert("com.openfaas.scale.min".into(), "2".into());
        draft.labels.insert("com.openfaas.scale.target".into(), "50".into());
    });
    house.show("f", |view| view.status.ready = 1);
    house.add("plain", "i");
    let page = scrape(&house).await;
    for line in [
        r#"gateway_service_ready_count{function_name="f.openfaas-fn"} 1"#,
        r#"gateway_service_min{function_name="f.openfaas-fn"} 2"#,
        r#"gateway_service_min{function_name="plain.openfaas-fn"} 1"#,
        r#"gateway_service_target{function_name="f.openfaas-fn"} 50"#,
        r#"actord_function_generation{function_name="f.openfaas-fn"} 1"#,
        concat!(r#"actord_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
    ] {
        assert!(has(&page, line), "{line}\n{page}");
    }
    assert!(!page.contains(r#"gateway_service_target{function_name="plain"#), "{page}");
    assert!(page.contains("\nprocess_cpu_seconds_total ") && page.contains("\nprocess_open_fds "), "{page}");
}

#[actix_web::test]
async fn requests_that_wait_and_requests_that_are_answered_are_seen_while_they_last() {
    let house = House::public().await;
    let slow = crate::support::function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha").await;
        connection.head().await;
    })
    .await;
    house.publish("slow", slow);
    house.routes.announce(&"late".parse().unwrap(), Outlook::Coming);
    let client = async |function: &str| {
        let mut client = tokio::net::TcpStream::connect(house.address).await.unwrap();
        let ask = format!("GET /function/{function} HTTP/1.1\r\nHost: h\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut client, ask.as_bytes()).await.unwrap();
        client
    };
    let slow = client("slow").await;
    let mut page = String::new();
    let busy = [
        r#"actord_function_requests_in_flight{function_name="slow.openfaas-fn"} 1"#,
        r#"gateway_function_invocation_inflight{function_name="slow.openfaas-fn"} 1"#,
        "actord_upstream_connections 1",
        "actord_upstream_connections_opened_total 1",
    ];
    while !busy.iter().all(|line| has(&page, line)) {
        page = scrape(&house).await;
    }
    drop(slow);
    while has(&page, busy[0]) || has(&page, busy[1]) {
        page = scrape(&house).await;
    }
    assert_eq!(house.get("/function/late").await.status, 503);
    let page = scrape(&house).await;
    assert!(has(&page, r#"actord_park_seconds_count{outcome="refused"} 1"#), "{page}");
    assert!(has(&page, r#"actord_function_requests_parked{function_name="late.openfaas-fn"} 0"#), "{page}");
}
