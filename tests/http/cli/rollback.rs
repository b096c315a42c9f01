//! `rollback`, and what `describe` lists to go back to.

use actord::engine::Engine as _;
use actord::function::{Failure, FunctionId, Generation, Phase};
use serde_json::json;

use super::Person;
use crate::support::{House, Seen};

fn id() -> FunctionId {
    "a.dev".parse().unwrap()
}

/// A house whose function `a.dev` was asked to be image 1, 2 and 3 in turn.
async fn updated() -> (House, Person) {
    let house = House::public().await;
    house.add("a.dev", "i:1");
    for image in ["i:2", "i:3"] {
        let body = json!({"service": "a", "namespace": "dev", "image": image});
        assert_eq!(house.system("PUT /system/functions", &body.to_string()).await.status, 202);
    }
    house.script.lock().unwrap().seen.clear();
    let person = Person::root(house.address);
    (house, person)
}

#[actix_web::test]
async fn a_function_goes_back_and_it_is_told_to_what_and_under_which_number() {
    let (house, person) = updated().await;
    let told = person.actord(&["rollback", "a.dev"]).await;
    assert_eq!((told.code, told.out.as_str()), (0, "a.dev is rolled back to i:2, as generation 4\n"));
    assert!(told.err.starts_with("a.dev: asked for\n"), "{}", told.err);
    let told = person.actord(&["rollback", "a", "-n", "dev", "--to", "1", "--output", "json"]).await;
    let expected = json!({"function": "a.dev", "generation": 5, "image": "i:1", "ready": true, "reason": ""});
    assert_eq!((told.code, told.json()), (0, expected));
    let to = [None, Some(1)].map(|to| Seen::RolledBack(id(), to.map(Generation)));
    assert_eq!(house.seen(), to);
}

#[actix_web::test]
async fn what_is_kept_is_listed_with_what_serves_and_nothing_is_where_there_is_no_choice() {
    let (house, person) = updated().await;
    let told = person.actord(&["describe", "a.dev"]).await;
    let at = "accepted 2026-01-02T03:04:05.000000006Z";
    let expected = format!("Generations:\n  3  i:3  {at}, serves\n  2  i:2  {at}\n  1  i:1  {at}\n");
    assert!(told.out.contains(&expected), "{}", told.out);
    house.add("new", "i");
    let told = person.actord(&["describe", "new"]).await;
    assert!(!told.out.contains("Generations"), "{}", told.out);
}

#[actix_web::test]
async fn what_is_not_kept_and_what_is_not_there_are_refused_in_words() {
    let (_house, person) = updated().await;
    for (arguments, says) in [
        (["rollback", "a.dev", "--to=9"], "can't be rolled back to generation 9: it keeps 3, 2, 1"),
        (["rollback", "gone", "--to=1"], "there is no function gone.openfaas-fn: `actord ls"),
    ] {
        let told = person.actord(&arguments).await;
        assert_eq!((told.code, told.out.as_str()), (4, ""), "{told:?}");
        assert!(told.err.contains(says), "{}", told.err);
    }
    assert_eq!(person.actord(&["rollback", "a.dev", "--to", "two"]).await.code, 2);
}

#[actix_web::test]
async fn one_that_is_stopped_by_hand_goes_back_and_is_not_waited_for() {
    let (house, person) = updated().await;
    house.engine.keep_down(&id(), true).await.unwrap();
    let told = person.actord(&["rollback", "a.dev"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let (begin, end) =
        ("a.dev is rolled back to i:2, as generation 4; kept down by", "`actord start a.dev` ends that\n");
    assert!(told.out.starts_with(begin) && told.out.ends_with(end), "{}", told.out);
}

#[actix_web::test]
async fn one_that_fails_or_is_not_ready_in_time_is_told_with_its_reason() {
    let (house, person) = updated().await;
    house.show("a.dev", |view| view.status.phase = Phase::Starting);
    let told = person.actord(&["rollback", "a.dev", "--timeout", "1s"]).await;
    assert_eq!((told.code, told.out.as_str()), (1, ""), "{told:?}");
    assert!(told.err.contains("a.dev is not rolled back: starting after 1s; it goes on"), "{}", told.err);
    house.show("a.dev", |view| {
        view.status.phase = Phase::Failed;
        view.status.failure = Some(Failure { generation: Generation(4), reason: "exited with code 7".into() });
    });
    let told = person.actord(&["rollback", "a.dev"]).await;
    assert_eq!(told.code, 1);
    assert!(told.err.ends_with("actord: a.dev is not rolled back: exited with code 7\n"), "{}", told.err);
}
