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
