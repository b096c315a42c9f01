//! POST /system/alert, as AlertManager calls it.

use actord::engine::Refused;
use serde_json::json;

use crate::support::{House, Reply, Seen};

fn alert(status: &str, function: &str) -> serde_json::Value {
    json!({"status": status, "labels": {"alertname": "APIHighInvocationRate", "function_name": function}})
}

async fn send(house: &House, alerts: &[serde_json::Value]) -> Reply {
    let body = json!({"receiver": "scale-up", "status": "firing", "alerts": alerts, "version": "4"});
    house.system("POST /system/alert", &body.to_string()).await
}

/// Adds a function with labels, and so many replicas.
fn add(house: &House, function: &str, labels: &[(&str, &str)], replicas: u32) {
    house.add_with(function, |draft| {
        for (name, value) in labels {
            draft.labels.insert(format!("com.openfaas.scale.{name}"), (*value).to_owned());
        }
    });
    house.show(function, |view| view.status.desired.as_mut().unwrap().replicas = replicas);
}

fn scaled(function: &str, replicas: u32) -> Seen {
    Seen::Scaled(function.parse().unwrap(), replicas)
}

#[actix_web::test]
async fn an_alert_that_fires_adds_a_step_and_one_that_is_resolved_goes_back_to_the_least() {
    let house = House::public().await;
    add(&house, "plain", &[], 1);
    add(&house, "wide.dev", &[("min", "2"), ("max", "20"), ("factor", "25")], 4);
    add(&house, "near", &[("max", "6"), ("factor", "50")], 5);
    add(&house, "busy", &[("min", "2")], 5);
    let alerts = [
        alert("firing", "plain"),
        alert("firing", "wide.dev"),
        alert("firing", "near.openfaas-fn"),
        alert("resolved", "busy"),
    ];
    let reply = send(&house, &alerts).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, ""));
    assert_eq!(house.seen(), [scaled("plain", 2), scaled("wide.dev", 9), scaled("near", 6), scaled("busy", 2)]);
}

#[actix_web::test]
async fn where_nothing_would_change_nothing_is_asked_for() {
    let house = House::public().await;
    add(&house, "least", &[], 1);
    add(&house, "most", &[], 5);
    add(&house, "by-hand", &[], 9);
    let alerts = [alert("resolved", "least"), alert("firing", "most"), alert("firing", "by-hand"), alert("firing", "")];
    assert_eq!(send(&house, &alerts).await.status, 200);
    assert_eq!(send(&house, &[]).await.status, 200);
    assert_eq!(house.seen(), []);
}

#[actix_web::test]
async fn an_alert_that_is_resolved_wakes_nothing_and_adds_nothing() {
    let house = House::public().await;
    add(&house, "zero", &[], 0);
    add(&house, "asleep", &[("min", "2")], 0);
    add(&house, "few", &[("min", "3")], 1);
    let resolved = ["zero", "asleep", "few"].map(|name| alert("resolved", name));
    assert_eq!(send(&house, &resolved).await.status, 200);
    assert_eq!(house.seen(), []);
    assert_eq!(send(&house, &[alert("firing", "zero")]).await.status, 200);
    assert_eq!(house.seen(), [scaled("zero", 1)], "one that fires says that it is called");
}

#[actix_web::test]
async fn what_can_not_be_read_is_refused_in_the_gateways_words() {
    let house = House::public().await;
    for body in ["", "not json", r#"{"alerts":"many"}"#, r#"{"alerts":[5]}"#] {
        let reply = house.system("POST /system/alert", body).await;
        assert_eq!((reply.status, reply.text().as_str()), (400, "Unable to parse alert, bad format."), "{body}");
    }
}

#[actix_web::test]
async fn errors_are_told_a_line_each_and_the_other_functions_are_scaled_all_the_same() {
    let house = House::public().await;
    add(&house, "there", &[], 1);
    let alerts = [alert("firing", "gone"), alert("firing", "there"), alert("firing", "No_Name")];
    let reply = send(&house, &alerts).await;
    let text = reply.text();
    assert_eq!(reply.status, 500);
    assert!(text.starts_with("[0] function gone.openfaas-fn not found\n[1] invalid function name"), "{text}");
    assert!(text.ends_with('\n') && text.lines().count() == 2, "{text}");
    assert_eq!(house.seen(), [scaled("there", 2)]);

    house.script.lock().unwrap().refuse = Some(Refused::Full("disk full".into()));
    let reply = send(&house, &[alert("firing", "there")]).await;
    assert_eq!((reply.status, reply.text().as_str()), (500, "[0] disk full\n"));
}

#[actix_web::test]
async fn it_asks_for_credentials_and_for_post() {
    let house = House::public().await;
    let reply = house.ask("POST /system/alert HTTP/1.1\r\nHost: h\r\n", "{}").await;
    assert_eq!((reply.status, reply.text().as_str()), (401, "invalid credentials"));
    let reply = house.system("GET /system/alert", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (405, ""));
}
