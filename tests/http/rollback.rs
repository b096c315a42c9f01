//! POST /system/function/{name}/rollback, and what can be rolled back to as the status shows it.

use actord::engine::Refused;
use actord::function::{FunctionId, Generation};
use serde_json::{Value, json};

use crate::support::{House, Seen, ask};

fn id(text: &str) -> FunctionId {
    text.parse().unwrap()
}

fn rolled_back(function: &str, to: Option<u64>) -> Seen {
    Seen::RolledBack(id(function), to.map(Generation))
}

/// A house whose functions `a` and `a.dev` were asked to be image 1, 2 and 3 in turn.
async fn updated() -> House {
    let house = House::public().await;
    for function in ["a", "a.dev"] {
        house.add(function, "i:1");
        let namespace = id(function).namespace;
        for image in ["i:2", "i:3"] {
            let body = json!({"service": "a", "namespace": namespace.as_str(), "image": image});
            assert_eq!(house.system("PUT /system/functions", &body.to_string()).await.status, 202);
        }
    }
    house.script.lock().unwrap().seen.clear();
    house
}

async fn image(house: &House, path: &str) -> Value {
    house.system(&format!("GET /system/function/{path}"), "").await.json()["image"].take()
}

#[actix_web::test]
async fn a_function_goes_back_by_name_and_namespace_to_the_one_before_or_to_the_one_that_is_named() {
    let house = updated().await;
    for (line, body, function, to, then) in [
        ("POST /system/function/a/rollback", "", "a", None, "i:2"),
        ("POST /system/function/a/rollback", "{}", "a", None, "i:3"),
        ("POST /system/function/a/rollback", r#"{"Generation": 1}"#, "a", Some(1), "i:1"),
        ("POST /system/function/a/rollback", r#"{"generation": null}"#, "a", None, "i:3"),
        ("POST /system/function/a/rollback?namespace=dev", "", "a.dev", None, "i:2"),
        ("POST /system/function/a/rollback", r#"{"namespace": "dev", "generation": 1}"#, "a.dev", Some(1), "i:1"),
    ] {
        let reply = house.system(line, body).await;
        assert_eq!((reply.status, reply.text().as_str()), (202, ""), "{line} {body}");
        assert_eq!(house.seen().last(), Some(&rolled_back(function, to)));
        let namespace = id(function).namespace;
        assert_eq!(image(&house, &format!("a?namespace={namespace}")).await, then, "{line} {body}");
    }
}

#[actix_web::test]
async fn what_can_not_be_gone_back_to_is_refused_in_words() {
    let house = updated().await;
    house.add("new", "i");
    for (line, body, status, says) in [
        ("POST /system/function/a/rollback", r#"{"generation": 9}"#, 400, "to generation 9: it keeps 3, 2, 1\n"),
        ("POST /system/function/new/rollback", "", 400, "no other generation of it is kept\n"),
        ("POST /system/function/gone/rollback", "", 404, "function: gone.openfaas-fn not found\n"),
        ("POST /system/function/No_Name/rollback", "", 400, ""),
        ("POST /system/function/a/rollback?namespace=gone", "", 400, "namespace not valid\n"),
        ("POST /system/function/a/rollback?namespace=dev", r#"{"namespace": "x"}"#, 400, "send one of them\n"),
        ("POST /system/function/a/rollback", r#"{"generation": "two"}"#, 400, "\"generation\""),
        ("POST /system/function/a/rollback", r#"{"generation": -1}"#, 400, "\"generation\""),
    ] {
        let reply = house.system(line, body).await;
        assert_eq!(reply.status, status, "{line} {body}: {}", reply.text());
        assert!(reply.text().contains(says), "{line} {body}: {}", reply.text());
    }
    let stranger = ask(house.address, "POST /system/function/a/rollback HTTP/1.1\r\nHost: h\r\n", "").await;
    assert_eq!(stranger.status, 401);
    assert_eq!(image(&house, "a").await, "i:3");
    house.script.lock().unwrap().refuse = Some(Refused::NoSecret("token".parse().unwrap()));
    let reply = house.system("POST /system/function/a/rollback", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (400, "unable to find secret: token\n"));
}

#[actix_web::test]
async fn the_status_of_one_function_lists_what_is_kept_and_a_list_does_not() {
    let house = updated().await;
    let at = "2026-01-02T03:04:05.000000006Z";
    let kept = |generation: u64, image: &str| json!({"generation": generation, "image": image, "accepted": at});
    let shown = house.system("GET /system/function/a", "").await.json();
    let lifecycle = &shown["lifecycle"];
    assert_eq!(lifecycle["generations"], json!([kept(3, "i:3"), kept(2, "i:2"), kept(1, "i:1")]));
    assert_eq!((&lifecycle["generation"], &lifecycle["servingGeneration"]), (&json!(3), &json!(3)));
    assert_eq!(house.system("GET /system/functions", "").await.json()[0].get("lifecycle"), None);
    house.system("POST /system/function/a/rollback", "").await;
    let shown = house.system("GET /system/function/a", "").await.json();
    assert_eq!(shown["lifecycle"]["generations"], json!([kept(4, "i:2"), kept(3, "i:3"), kept(1, "i:1")]));
    // Where there is nothing to go back to, there is nothing to say; and a time that was not noted is left out.
    house.add("new", "i");
    assert_eq!(house.system("GET /system/function/new", "").await.json().get("lifecycle"), None);
    house.show("a", |view| {
        let desired = view.status.desired.as_mut().unwrap();
        desired.accepted_at.clear();
    });
    let shown = house.system("GET /system/function/a", "").await.json();
    assert_eq!(shown["lifecycle"]["generations"][0], json!({"generation": 4, "image": "i:2"}));
}
