//! The dashboard of the real program: the page, who is signed in, the machine, a call by hand, and a port that is taken.

use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};

use crate::actord::Actord;
use crate::client::{self, Answer, Request};

/// An address that nobody listens on.
fn free() -> SocketAddr {
    let any = || SocketAddr::from(([127, 0, 0, 1], rand::random_range(12_000..32_000)));
    std::iter::repeat_with(any).find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_in_on_the_page_sees_the_machine_calls_a_function_and_stays_over_a_restart() {
    let page = free();
    let mut actord = Actord::start_with(&["--dashboard-listen", &page.to_string()]).await;
    actord.deploy("hello", json!({})).await;
    let index = client::ask(page, Request::get("/")).await.unwrap();
    assert!(index.status == 200 && index.header("content-security-policy").is_some(), "{index:?}");
    let led = actord.get("/ui/").await;
    assert!(led.status == 200 && led.text().contains(&format!("ssh -L {}:{page} gateway", page.port())), "{led:?}");
    assert_eq!(client::ask(page, Request::get("/function/hello")).await.unwrap().status, 404);

    let begun = client::ask(page, actord.request("POST", "/system/session", &Value::Null)).await.unwrap();
    assert_eq!(begun.status, 201, "{}", begun.text());
    let bearer = format!("Bearer {}", json(&begun)["token"].as_str().unwrap());
    let signed_in = |method: &str, path: &str| Request::new(method, path).header("Authorization", &bearer);

    let machine = json(&client::ask(page, signed_in("GET", "/system/machine")).await.unwrap());
    let disks = machine["disks"].as_array().unwrap();
    assert!(disks.iter().any(|disk| disk["path"] == actord.data().display().to_string()), "{machine}");
    assert_eq!(machine["images"]["count"], 2, "{machine}");
    assert!(machine["images"]["bytes"].as_u64().unwrap() > 0 && machine["memory"]["actord"].as_u64().unwrap() > 0);
    let findings = machine["findings"].as_array().unwrap();
    let actords = findings.iter().find(|finding| finding["check"] == "actord").unwrap();
    assert!(actords["state"] == "ok" && actords["found"].as_str().unwrap().contains("answers"), "{actords}");
    let again = json(&client::ask(page, signed_in("GET", "/system/machine")).await.unwrap());
    assert_eq!(again, machine, "it is not looked at anew for each who asks");

    let call =
        signed_in("POST", "/system/function/hello/invoke").body(json!({"path": "/echo", "body": "hi"}).to_string());
    let called = json(&client::ask(page, call).await.unwrap());
    assert_eq!((&called["status"], &called["body"]), (&json!(200), &json!("hi")), "{called}");

    assert!(actord.stop().await.success());
    actord.launch(&[]).await;
    let still = client::ask(page, signed_in("GET", "/system/function/hello")).await.unwrap();
    assert_eq!(still.status, 200, "{}", still.text());
    assert_eq!(client::ask(page, signed_in("DELETE", "/system/session")).await.unwrap().status, 202);
    assert_eq!(client::ask(page, signed_in("GET", "/system/function/hello")).await.unwrap().status, 401);
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_stops_nothing_but_the_page_and_the_doctor_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let actord = Actord::start_with(&["--dashboard-listen", &address]).await;
    assert!(actord.log().contains("there is no dashboard, all else is served"), "{}", actord.log());
    actord.deploy("hello", json!({})).await;
    assert_eq!(actord.get("/ui/").await.status, 404);
    let output = actord.run(&["doctor", "--output", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let named = format!("port {}", taken.local_addr().unwrap().port());
    let findings = said["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == named).unwrap();
    assert_eq!(found["state"], "failure", "{found}");
    assert!(found["remedy"].as_str().unwrap().contains("--dashboard-listen"), "{found}");
    actord.finish().await;
}
