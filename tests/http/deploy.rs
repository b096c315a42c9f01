use actord::engine::{Mode, Refused};
use actord::function::{Invalid, Spec, SpecDraft};
use std::time::Duration;

use crate::support::{House, Seen};
use actord::http::ApiFlavor;

fn spec(image: &str) -> Box<Spec> {
    Box::new(SpecDraft { image: image.into(), ..SpecDraft::default() }.try_into().unwrap())
}

#[actix_web::test]
async fn a_deployment_arrives_at_the_registry_as_it_was_sent() {
    let house = House::public().await;
    house.add_secret(&"dev".parse().unwrap(), "s1").await;
    let body = r#"{"service":"new","image":"docker.io/library/new:1","envProcess":"cat","envVars":{"a":"b","c":"d=e"},
        "constraints":["arch=amd64"],"secrets":["s1"],"labels":{"l":"m"},"annotations":{"topic":"cron"},
        "limits":{"memory":"64Mi","cpu":"100m"},"requests":{"memory":"32Mi"},"readOnlyRootFilesystem":true,
        "namespace":"dev","network":"","registryAuth":"","somethingNew":{"x":1}}"#;
    let reply = house.system("POST /system/functions", body).await;
    assert_eq!((reply.status, reply.text().as_str()), (202, ""));
    let [Seen::Applied(Mode::Create, id, spec)] = &house.seen()[..] else { panic!("{:?}", house.seen()) };
    assert_eq!(id.to_string(), "new.dev");
    assert_eq!(spec.image, "docker.io/library/new:1");
    assert_eq!(spec.env_process, "cat");
    assert_eq!(spec.env_vars["c"], "d=e");
    assert_eq!(spec.constraints, ["arch=amd64"]);
    assert_eq!(spec.secrets[0].as_str(), "s1");
    assert_eq!(spec.labels["l"], "m");
    assert_eq!(spec.annotations["topic"], "cron");
    assert_eq!(spec.memory_limit_bytes(), Some(64 << 20));
    assert_eq!(spec.requests.as_ref().unwrap().memory.as_deref(), Some("32Mi"));
    assert!(spec.read_only_root_filesystem);
}

#[actix_web::test]
async fn null_empty_and_other_cases_are_read_as_go_reads_them() {
    let house = House::public().await;
    let body = r#"{"Service":"new","IMAGE":"i","labels":null,"annotations":null,"limits":null,"requests":{"memory":""},
        "secrets":null,"envVars":null,"namespace":"","readOnlyRootFilesystem":null}"#;
    assert_eq!(house.system("POST /system/functions", body).await.status, 202);
    assert_eq!(house.seen(), [Seen::Applied(Mode::Create, "new".parse().unwrap(), spec("i"))]);
}

#[actix_web::test]
async fn the_query_names_the_namespace_when_the_body_does_not() {
    let house = House::public().await;
    house.system("POST /system/functions?namespace=dev", r#"{"service":"a","image":"i"}"#).await;
    house
        .system("POST /system/functions?namespace=dev", r#"{"service":"a","image":"i","namespace":"openfaas-fn"}"#)
        .await;
    let ids: Vec<_> = house.engine.functions().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["a.dev", "a.openfaas-fn"]);
}

#[actix_web::test]
async fn what_can_not_be_a_deployment_is_a_400_that_says_why_and_reaches_nobody() {
    let house = House::public().await;
    for (body, why) in [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "JSON object"),
        (r#"{"image":"i"}"#, "function name"),
        (r#"{"service":"A_b","image":"i"}"#, "DNS label"),
        (r#"{"service":"../x","image":"i"}"#, "DNS label"),
        (r#"{"service":"a"}"#, "no image"),
        (r#"{"service":"a","image":"i","secrets":["../x"]}"#, "secret name"),
        (r#"{"service":"a","image":"i","limits":{"memory":"lots"}}"#, "memory quantity"),
        (r#"{"service":"a","image":"i","limits":{"nvidia.com/gpu":1}}"#, "\"nvidia.com/gpu\": expected a string"),
        (r#"{"service":"a","image":"i","requests":{"amd.com/gpu":"1\n"}}"#, "\"amd.com/gpu\": expected a quantity"),
        (r#"{"service":"a","image":"i","envVars":{"a":1}}"#, "envVars"),
        (
            r#"{"service":"a","image":"i","annotations":{"com.openfaas.ready.http.periodSeconds":"often"}}"#,
            "com.openfaas.ready.http.periodSeconds=\"often\"",
        ),
        (
            r#"{"service":"a","image":"i","annotations":{"com.openfaas.drain.timeout":"2h"}}"#,
            "com.openfaas.drain.timeout",
        ),
        (
            r#"{"service":"a","image":"i","annotations":{"com.openfaas.image.pull-policy":"sometimes"}}"#,
            "com.openfaas.image.pull-policy=\"sometimes\": expected always",
        ),
        (
            r#"{"service":"a","image":"i","labels":{"com.openfaas.scale.max":"many"}}"#,
            "invalid label com.openfaas.scale.max=\"many\": expected a number from 1 to 1000",
        ),
        (
            r#"{"service":"a","image":"i","annotations":{"com.openfaas.scale.zero-duration":"15 m"}}"#,
            "invalid annotation com.openfaas.scale.zero-duration=\"15 m\": expected a time such as 90s, 15m or 1h30m",
        ),
        (r#"{"service":"a","image":"i","annotations":{"actord.freeze-after":"soon"}}"#, "actord.freeze-after=\"soon\""),
        (r#"{"service":"a","image":"i","annotations":{"actord.spare":"many"}}"#, "actord.spare=\"many\""),
        (
            r#"{"service":"a","image":"i","limits":{"memory":"128m"}}"#,
            "m means milli, thousandths of a byte: write 128Mi",
        ),
        (r#"{"service":"a","image":"i","requests":{"cpu":"500"}}"#, "write 500m"),
        (r#"{"service":"a","image":"i","envVars":{"":"b"}}"#, "the name must not"),
        (r#"{"service":"a","image":"i","envVars":{"=b":"c"}}"#, "the name must not"),
        (r#"{"service":"a","image":"i","envVars":{"a\u0000":"b"}}"#, "the name must not"),
        (r#"{"service":"a","image":"i","envVars":{"a=b":""}}"#, "the name must not"),
        (r#"{"service":"a","image":"i","envVars":{"a":"b\u0000"}}"#, "the value holds a NUL"),
        (r#"{"service":"a","image":"i","envProcess":"a\u0000"}"#, "envProcess"),
        (r#"{"service":"a","image":"i","labels":{"":"b"}}"#, "label"),
        (r#"{"service":"a","image":"i","annotations":{"":"b"}}"#, "annotation"),
        (r#"{"service":"a","image":"i","namespace":"Nope"}"#, "namespace"),
        (r#"{"service":"a","image":"i","namespace":"kube-system"}"#, "namespace not valid\n"),
    ] {
        for method in ["POST", "PUT"] {
            let reply = house.system(&format!("{method} /system/functions"), body).await;
            assert_eq!(reply.status, 400, "{body}");
            assert!(reply.text().contains(why) && reply.text().ends_with('\n'), "{body}: {reply:?}");
            assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
            assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"));
        }
    }
    assert!(house.seen().is_empty());
}

#[actix_web::test]
async fn a_variable_that_no_process_can_be_started_with_is_refused() {
    let house = House::public().await;
    // Linux: `NAME=value` and its closing NUL take at most 32 pages.
    let longest = 32 * 4096 - "a=".len() - 1;
    for (length, status) in [(longest, 202), (longest + 1, 400)] {
        let body = serde_json::json!({"service": "a", "image": "i", "envVars": {"a": "x".repeat(length)}});
        assert_eq!(house.system("POST /system/functions", &body.to_string()).await.status, status);
    }
    let process = "x".repeat(32 * 4096 - "fprocess=".len());
    let body = serde_json::json!({"service": "b", "image": "i", "envProcess": process});
    let reply = house.system("POST /system/functions", &body.to_string()).await;
    assert!(reply.status == 400 && reply.text().contains("envProcess"), "{reply:?}");
}

#[actix_web::test]
async fn every_refusal_of_the_registry_has_its_status_and_its_words() {
    let house = House::public().await;
    let id = || "x".parse().unwrap();
    for (refused, status, text) in [
        (Refused::Invalid(Invalid("bad label".into())), 400, "bad label\n"),
        (Refused::NotFound(id()), 404, "function: x.openfaas-fn not found\n"),
        (Refused::Exists(id()), 409, "function x.openfaas-fn already exists: update it with PUT, or delete it first\n"),
        (Refused::NoSecret("s1".parse().unwrap()), 400, "unable to find secret: s1\n"),
        (Refused::Unrunnable("no such image".into()), 400, "no such image\n"),
        (Refused::Full("disk is full".into()), 507, "disk is full\n"),
        (Refused::Busy("too many".into()), 503, "too many\n"),
    ] {
        house.script.lock().unwrap().refuse = Some(refused.clone());
        let reply = house.system("PUT /system/functions", r#"{"service":"x","image":"i"}"#).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{refused:?}");
        assert_eq!(reply.header("retry-after").is_some(), status == 503, "{refused:?}");
    }
}

#[actix_web::test]
async fn a_body_that_is_too_long_is_413() {
    let house = House::public().await;
    let body = format!(r#"{{"service":"a","image":"{}"}}"#, "i".repeat(1 << 20));
    let mut client = tokio::net::TcpStream::connect(house.address).await.unwrap();
    let head = format!(
        "POST /system/functions HTTP/1.1\r\nHost: h\r\n{}Connection: close\r\nContent-Length: {}\r\n\r\n",
        crate::support::AUTH,
        body.len()
    );
    use tokio::io::AsyncWriteExt as _;
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(body.as_bytes()).await.ok();
    let reply = crate::support::read_reply(&mut client).await;
    assert_eq!(reply.status, 413, "{reply:?}");
    assert!(reply.text().contains("1048576 bytes"));
}

#[actix_web::test]
async fn a_registry_that_does_not_answer_is_a_503_that_says_when_to_come_back() {
    let house = House::with(ApiFlavor::Public, |settings| settings.answer_timeout = Duration::from_millis(50)).await;
    house.script.lock().unwrap().silent = true;
    let reply = house.system("POST /system/functions", r#"{"service":"a","image":"i"}"#).await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("retry-after").as_deref(), Some("1"));
    assert!(reply.text().contains("may still take effect"), "{reply:?}");
}

#[actix_web::test]
async fn a_registry_that_is_gone_is_a_503_and_functions_go_on() {
    let house = House::public().await;
    house.publish("echo", crate::support::mirror().await);
    house.script.lock().unwrap().stops = true;
    house.system("GET /system/function/a", "").await;
    for (line, body) in [
        ("GET /system/functions", ""),
        ("GET /system/function/a", ""),
        ("PUT /system/functions", r#"{"service":"a","image":"i"}"#),
        ("DELETE /system/functions", r#"{"functionName":"a"}"#),
        ("POST /system/scale-function/a", r#"{"replicas":1}"#),
    ] {
        let reply = house.system(line, body).await;
        assert_eq!(reply.status, 503, "{line}: {reply:?}");
        assert_eq!(reply.header("retry-after").as_deref(), Some("1"), "{line}");
    }
    assert_eq!(house.get("/function/echo").await.status, 200);
    let page = crate::support::ask(house.metrics, "GET /metrics HTTP/1.1\r\nHost: h\r\n", "").await;
    assert!(page.text().contains("gateway_function_invocation_total"), "{page:?}");
}

#[actix_web::test]
async fn a_client_that_disconnects_cancels_nothing() {
    let house = House::public().await;
    house.script.lock().unwrap().silent = true;
    let body = r#"{"service":"a","image":"i"}"#;
    let head = format!(
        "POST /system/functions HTTP/1.1\r\nHost: h\r\n{}Content-Length: {}\r\n\r\n{body}",
        crate::support::AUTH,
        body.len()
    );
    let mut client = tokio::net::TcpStream::connect(house.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut client, head.as_bytes()).await.unwrap();
    while house.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(client);
    house.script.lock().unwrap().silent = false;
    let reply = house.system("GET /system/function/a", "").await;
    assert_eq!(reply.status, 200, "the function is there although nobody waited for it");
}

#[actix_web::test]
async fn a_deletion_names_its_function_in_the_body() {
    let house = House::public().await;
    house.add("known.dev", "i");
    let reply = house.system("DELETE /system/functions", r#"{"functionName":"known","namespace":"dev"}"#).await;
    assert_eq!((reply.status, reply.text().as_str()), (202, ""));
    assert_eq!(house.seen(), [Seen::Deleted("known.dev".parse().unwrap())]);
    let reply = house.system("DELETE /system/functions", r#"{"functionName":"nosuch"}"#).await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "function nosuch.openfaas-fn not found\n"));
    assert_eq!(house.system("DELETE /system/functions", "{}").await.status, 400);
}
