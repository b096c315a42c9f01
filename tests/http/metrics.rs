use std::time::Duration;

use actord::function::{Phase, Uptime};

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
async fn a_crash_loop_can_be_seen_and_a_deleted_function_leaves_with_its_labels() {
    let house = House::public().await;
    house.add("good", "i");
    house.add("loop", "i");
    let id = "loop".parse().unwrap();
    {
        let mut script = house.script.lock().unwrap();
        let status = &mut script.functions.get_mut(&id).unwrap().status;
        (status.phase, status.ready) = (Phase::BackingOff { until: Uptime(Duration::from_secs(9)) }, 0);
        status.restarts = 41;
    }
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

    house.script.lock().unwrap().functions.get_mut(&id).unwrap().status.phase = Phase::Ready;
    let page = scrape(&house).await;
    assert!(!page.contains("backing_off"), "the phase before is gone: {page}");
    house.script.lock().unwrap().functions.remove(&id);
    let page = scrape(&house).await;
    assert!(!page.contains("loop.openfaas-fn") && page.contains("good.openfaas-fn"), "{page}");
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
    house.endpoints.forget(&"echo".parse().unwrap());
    assert_eq!(house.get("/function/echo").await.status, 404);
    assert_eq!(house.get("/function/echo").await.status, 404);
    house.publish("echo", mirror().await);
    assert_eq!(house.get("/function/echo").await.status, 200);
}
