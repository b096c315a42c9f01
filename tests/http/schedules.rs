//! `/system/schedules`, and what a door says of schedules.

use crate::support::House;

/// A deployment with these annotations.
fn deployment(annotations: &str) -> String {
    format!(r#"{{"service":"nightly","image":"i","annotations":{annotations}}}"#)
}

#[actix_web::test]
async fn a_schedule_that_can_not_be_read_is_refused_with_its_field() {
    let house = House::public().await;
    for (annotations, words) in [
        (r#"{"topic":"cron-function"}"#, "no annotation schedule"),
        (r#"{"topic":"cron-function","schedule":"0 25 * * *"}"#, "the field hour of \"0 25 * * *\""),
        (r#"{"topic":"cron-function","schedule":"@daily","schedule.timezone":"Mars/Olympus"}"#, "\"Mars/Olympus\""),
    ] {
        let reply = house.system("POST /system/functions", &deployment(annotations)).await;
        assert_eq!(reply.status, 400, "{annotations}");
        assert!(reply.text().contains(words), "{}", reply.text());
    }
    let reply = house.system("POST /system/functions", &deployment(r#"{"schedule":"0 25 * * *"}"#)).await;
    assert_eq!(reply.status, 202, "without the topic it is not looked at");
}

#[actix_web::test]
async fn schedules_are_listed_by_namespace_with_what_comes_next() {
    let house = House::public().await;
    let annotations = r#"{"topic":"cron-function","schedule":"0 3 1 1 *; @every 1h","schedule.overlap":"skip"}"#;
    let reply = house.system("POST /system/functions", &deployment(annotations)).await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    let all = loop {
        let reply = house.system("GET /system/schedules", "").await;
        assert_eq!(reply.status, 200);
        let all = reply.json().as_array().unwrap().clone();
        if all.iter().filter(|one| one["next"].is_string()).count() == 2 {
            break all;
        }
        tokio::task::yield_now().await;
    };
    let first = &all[0];
    assert_eq!((&first["function"], &first["namespace"]), (&"nightly".into(), &"openfaas-fn".into()));
    assert_eq!((&first["schedule"], &first["timezone"]), (&"0 3 1 1 *".into(), &"UTC".into()));
    assert_eq!(
        (&first["overlap"], &first["missedRule"], &first["missed"]),
        (&"skip".into(), &"none".into(), &0.into())
    );
    assert!(first["next"].as_str().unwrap().ends_with("-01-01T03:00:00Z"), "{first}");
    assert_eq!(all[1]["schedule"], "@every 1h");
    let other = house.system("GET /system/schedules?namespace=dev", "").await;
    assert_eq!(other.text(), "[]");
}
