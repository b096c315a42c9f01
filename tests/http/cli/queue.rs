//! What verbs say of calls that nobody waits for, and of those by the clock.

use super::Person;
use crate::queued::post;
use crate::support::House;

/// Deploys a function by the API with these annotations.
async fn deploy(house: &House, annotations: &str) {
    let body = format!(r#"{{"service":"nightly","image":"i","annotations":{annotations}}}"#);
    let reply = house.system("POST /system/functions", &body).await;
    assert_eq!(reply.status, 202, "{}", reply.text());
}

/// What a verb says as soon as that has this in it.
async fn says(person: &Person, arguments: &[&str], words: &str) -> String {
    for _ in 0..100 {
        let told = person.actord(arguments).await;
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{told:?}");
        if told.out.contains(words) {
            return told.out;
        }
    }
    panic!("{arguments:?} does not say {words:?}: {:?}", person.actord(arguments).await);
}

#[actix_web::test]
async fn schedules_are_listed_with_what_comes_next() {
    let house = House::public().await;
    let person = Person::root(house.address);
    let none = person.actord(&["cron", "ls"]).await;
    assert_eq!((none.code, none.out.as_str()), (0, ""));
    assert_eq!(none.err, "no function in openfaas-fn is called by the clock\n");

    deploy(&house, r#"{"topic":"cron-function","schedule":"0 3 1 1 *; @every 1h","schedule.timezone":"UTC"}"#).await;
    let out = says(&person, &["cron", "ls"], "-01-01T03:00:00Z").await;
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["FUNCTION", "SCHEDULE", "ZONE", "LAST", "RESULT", "NEXT"], "{out}");
    assert_eq!((rows.len(), &rows[1][..9]), (3, &["nightly", "0", "3", "1", "1", "*", "UTC", "-", "-"][..]), "{out}");
    assert_eq!(rows[2][..3], ["nightly", "@every", "1h"], "{out}");
    let all = says(&person, &["cron", "list", "-A"], "NAMESPACE").await;
    assert!(all.lines().nth(1).unwrap().starts_with("openfaas-fn "), "{all}");
    let listed = person.actord(&["cron", "ls", "--output", "json"]).await.json();
    assert_eq!((&listed[0]["function"], &listed[0]["timezone"]), (&"nightly".into(), &"UTC".into()));
    let other = person.actord(&["cron", "ls", "-n", "dev"]).await;
    assert_eq!((other.code, other.err.as_str()), (0, "no function in dev is called by the clock\n"));
}

#[actix_web::test]
async fn a_description_has_the_calls_and_the_schedules_of_a_function() {
    let house = House::public().await;
    let person = Person::root(house.address);
    let annotations = r#"{"topic":"cron-function","schedule":"0 3 1 1 *","schedule.overlap":"skip","com.openfaas.retry.attempts":"3"}"#;
    deploy(&house, annotations).await;
    let line = |out: &str, name: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim).unwrap_or_default().to_owned()
    };
    let out = says(&person, &["describe", "nightly"], "Schedules").await;
    assert_eq!(line(&out, "Schedules"), "0 3 1 1 * (UTC); not while the last call goes on", "{out}");
    assert_eq!(line(&out, "Calls"), "3 tries in all, 10s to 120s apart", "{out}");
    let id = "nightly".parse().unwrap();
    actord::engine::Engine::keep_down(&house.engine, &id, true).await.unwrap();
    house.routes.announce(&id, actord::function::Outlook::KeptDown);
    assert_eq!(post(&house, "nightly", "", "x").await.status, 202);
    let out = says(&person, &["describe", "nightly"], "held up (stopped)").await;
    assert_eq!(line(&out, "Calls"), "1 waiting; held up (stopped); 3 tries in all, 10s to 120s apart", "{out}");
}
