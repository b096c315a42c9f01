//! `/system/calls` and what is beside it: what is shown of calls, and what can be done to them.

use serde_json::Value;

use crate::queued::{FINE, house_of, inbox, post};
use crate::support::House;
use crate::tokens::token;

/// Accepts a call; its id.
async fn accepted(house: &House, path: &str, headers: &str, body: &str) -> String {
    let reply = post(house, path, headers, body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.header("x-call-id").unwrap()
}

async fn ids(house: &House, query: &str) -> Vec<String> {
    let page = house.system(&format!("GET /system/calls?{query}"), "").await;
    assert_eq!(page.status, 200, "{page:?}");
    let calls = page.json()["calls"].as_array().unwrap().clone();
    calls.iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect()
}

/// A house with a function that is not up: its calls wait.
async fn waiting_house() -> House {
    let house = House::public().await;
    house.add("echo", "i");
    house.routes.announce(&"echo".parse().unwrap(), actord::function::Outlook::KeptDown);
    house
}

#[actix_web::test]
async fn a_call_that_was_done_is_shown_with_its_answer_and_without_what_is_secret() {
    let answer = "HTTP/1.1 201 Made\r\nSet-Cookie: secret-1\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nfine";
    let (house, mut inbox) = house_of("echo", answer).await;
    let headers = "Authorization: Bearer secret-2\r\nX-Api-Key: secret-3\r\nX-Call-Id: mine\r\n\
        X-Callback-Url: http://gateway:8080/function/nobody?token=secret-5&sig=secret-4\r\n";
    let id = accepted(&house, "echo/p?password=secret-6&a=b", headers, "secret-7").await;
    inbox.next().await;
    let shown = house.until(&id, |call| !call["answer"].is_null()).await;
    assert_eq!(shown["function"], "echo.openfaas-fn");
    assert_eq!((&shown["callerId"], &shown["method"]), (&"mine".into(), &"POST".into()));
    assert_eq!(shown["path"], "/p?password=…&a=b");
    assert_eq!((&shown["answer"]["status"], &shown["answer"]["body"]), (&201.into(), &"fine".into()), "{shown}");
    assert_eq!(shown["attempts"][0]["status"], 201);
    let text = shown.to_string();
    assert!(!text.contains("secret-"), "{text}");
    let named = |name: &str| Value::from(name);
    let headers = shown["headers"].as_array().unwrap();
    let hidden = headers.iter().find(|header| header["name"] == named("x-api-key")).unwrap();
    assert_eq!(hidden.get("value"), None);
}

#[actix_web::test]
async fn calls_are_listed_by_function_and_state_a_page_at_a_time() {
    let house = waiting_house().await;
    let (address, mut inbox) = inbox(|_, _| FINE.to_owned()).await;
    house.add("other", "i");
    house.publish("other", address);
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(accepted(&house, "echo", "", "x").await);
    }
    let done = accepted(&house, "other", "", "x").await;
    inbox.next().await;
    house.ended(&done).await;
    waiting.reverse();
    assert_eq!(ids(&house, "function=echo").await, waiting);
    assert_eq!(ids(&house, "state=waiting&function=echo").await, waiting);
    assert_eq!(ids(&house, "state=done").await, std::slice::from_ref(&done));
    assert_eq!(ids(&house, "function=other.openfaas-fn&since=1h").await, [done]);
    assert_eq!(ids(&house, "since=2100-01-01T00:00:00Z").await, Vec::<String>::new());
    assert_eq!(ids(&house, "namespace=dev").await, Vec::<String>::new());
    let page = house.system("GET /system/calls?function=echo", "").await.json();
    assert_eq!(page["calls"][0]["maxTries"], 10, "{page}");
    assert!(ids(&house, "state=running&function=other").await.is_empty());
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = house.system(&format!("GET /system/calls?function=echo&limit=2{after}"), "").await.json();
        let calls = page["calls"].as_array().unwrap();
        assert!(calls.len() <= 2);
        seen.extend(calls.iter().map(|call| call["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, waiting);
    for (query, words) in [
        ("state=lost", "state=lost: expected"),
        ("limit=0", "limit=0: expected"),
        ("since=soon", "since=soon: expected"),
        ("after=here", "no page ends at"),
    ] {
        let reply = house.system(&format!("GET /system/calls?{query}"), "").await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.text().starts_with(words), "{query}: {reply:?}");
    }
}

#[actix_web::test]
async fn a_call_is_cancelled_by_who_made_it_and_a_callers_id_that_fits_several_is_told_so() {
    let house = waiting_house().await;
    let id = accepted(&house, "echo", "X-Call-Id: mine\r\n", "x").await;
    let delete = async |id: &str| house.ask(&format!("DELETE /async-function/{id} HTTP/1.1\r\nHost: h\r\n"), "").await;
    assert_eq!(delete("018f2f6e-7c1a-7b3c-8d4e-5f6071829304").await.status, 404);
    assert_eq!(delete("mine").await.status, 401, "a caller's id is no secret");
    assert_eq!(delete(&id).await.status, 202);
    assert_eq!(house.call(&id).await["state"], "cancelled");
    assert_eq!(delete(&id).await.status, 409);

    let shaped = "018f2f6e-7c1a-7b3c-8d4e-5f6071829304";
    let own = accepted(&house, "echo", &format!("X-Call-Id: {shaped}\r\n"), "x").await;
    assert_eq!(delete(shaped).await.status, 404, "a caller's id is not told to be one");
    assert_eq!(house.system(&format!("DELETE /async-function/{shaped}"), "").await.status, 202);
    assert_eq!(house.call(&own).await["state"], "cancelled");

    let one = accepted(&house, "echo", "X-Call-Id: twice\r\n", "x").await;
    let other = accepted(&house, "echo", "X-Call-Id: twice\r\n", "x").await;
    let several = house.system("DELETE /async-function/twice", "").await;
    assert_eq!(several.status, 409);
    let words = several.text();
    assert!(
        words.starts_with("2 calls have the id twice") && words.contains(&one) && words.contains(&other),
        "{words}"
    );
    assert_eq!(house.system(&format!("DELETE /system/call/{one}"), "").await.status, 202);
    assert_eq!(house.system(&format!("DELETE /system/call/{one}"), "").await.status, 409);
    assert_eq!(house.call(&other).await["state"], "waiting");
}

#[actix_web::test]
async fn a_call_of_a_function_that_asks_for_a_token_is_cancelled_by_none_without_one() {
    let house = waiting_house().await;
    house.routes.guard(&"echo".parse().unwrap(), true);
    let right = token(&house, &["invoke"], &["openfaas-fn"]).await.1;
    let reading = token(&house, &["read"], &["openfaas-fn"]).await.1;
    let elsewhere = token(&house, &["write"], &["dev"]).await.1;
    let id = accepted(&house, "echo", &right, "x").await;
    for (header, status) in [("", 401), (&reading, 403), (&elsewhere, 404), (&right, 202)] {
        let head = format!("DELETE /async-function/{id} HTTP/1.1\r\nHost: h\r\n{header}");
        assert_eq!(house.ask(&head, "").await.status, status, "{header}");
    }
}

#[actix_web::test]
async fn a_dead_letter_is_tried_again_with_its_id_and_removed_when_asked() {
    let (address, mut inbox) = inbox(|_, before| match before {
        0 => "HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno".to_owned(),
        _ => FINE.to_owned(),
    })
    .await;
    let house = House::public().await;
    house.add("echo", "i");
    house.publish("echo", address);
    let id = accepted(&house, "echo", "", "hello").await;
    let dead = house.ended(&id).await;
    assert_eq!((&dead["state"], &dead["lastStatus"]), (&"dead".into(), &400.into()), "{dead}");
    assert_eq!(dead["answer"]["body"], "no");
    assert_eq!(ids(&house, "state=dead").await, std::slice::from_ref(&id));
    let retry = format!("POST /system/call/{id}/retry");
    assert_eq!(house.system(&retry, "").await.status, 202);
    inbox.next().await;
    assert_eq!(inbox.next().await.body, "hello");
    let done = house.until(&id, |call| call["state"] == "done").await;
    assert_eq!(done["attempts"].as_array().unwrap().len(), 2, "{done}");
    assert_eq!(house.system(&retry, "").await.status, 409);
    assert_eq!(house.system("DELETE /system/calls?state=waiting", "").await.status, 400);
    let purged = house.system("DELETE /system/calls?state=done&function=echo", "").await;
    assert_eq!(purged.json()["purged"], 1);
    assert_eq!(house.system(&format!("GET /system/call/{id}"), "").await.status, 404);
}

#[actix_web::test]
async fn a_token_sees_and_changes_calls_of_its_namespaces_alone() {
    let house = waiting_house().await;
    let id = accepted(&house, "echo", "X-Call-Id: mine\r\n", "x").await;
    let elsewhere = token(&house, &["read", "write"], &["dev"]).await.1;
    let reading = token(&house, &["read"], &["openfaas-fn"]).await.1;
    let ask = async |line: &str, header: &str| house.ask(&format!("{line} HTTP/1.1\r\nHost: h\r\n{header}"), "").await;
    for line in [
        format!("GET /system/call/{id}"),
        "GET /system/call/mine".to_owned(),
        format!("DELETE /system/call/{id}"),
        format!("POST /system/call/{id}/retry"),
    ] {
        assert_eq!(ask(&line, &elsewhere).await.status, 404, "{line}");
    }
    for line in ["GET /system/calls", "GET /system/queues", "DELETE /system/calls?state=dead"] {
        assert_eq!(ask(line, &elsewhere).await.status, 403, "{line}");
    }
    assert_eq!(ask(&format!("GET /system/call/{id}"), &reading).await.status, 200);
    assert_eq!(ask(&format!("DELETE /system/call/{id}"), &reading).await.status, 403);
    // Callers of another namespace repeat the ids: each token finds those of its own, however many others there are.
    house.add("echo.dev", "i");
    house.routes.announce(&"echo.dev".parse().unwrap(), actord::function::Outlook::KeptDown);
    for _ in 0..15 {
        accepted(&house, "echo.dev", "X-Call-Id: mine\r\n", "x").await;
    }
    let shaped = accepted(&house, "echo.dev", &format!("X-Call-Id: {id}\r\n"), "x").await;
    let found = ask("GET /system/call/mine", &reading).await;
    assert_eq!((found.status, &found.json()["id"]), (200, &Value::from(id.as_str())));
    let several = ask("GET /system/call/mine", &elsewhere).await;
    assert!(several.status == 409 && !several.text().contains(&id), "{several:?}");
    let found = ask(&format!("GET /system/call/{id}"), &elsewhere).await;
    assert_eq!((found.status, &found.json()["id"]), (200, &Value::from(shaped)));
}

#[actix_web::test]
async fn how_many_calls_wait_for_a_function_is_told() {
    let house = waiting_house().await;
    for _ in 0..3 {
        accepted(&house, "echo", "", "x").await;
    }
    let queues = house.system("GET /system/queues", "").await.json();
    let [echo] = queues.as_array().unwrap().as_slice() else { panic!("{queues}") };
    assert_eq!((&echo["function"], &echo["waiting"]), (&"echo.openfaas-fn".into(), &3.into()), "{queues}");
    assert_eq!(house.system("GET /system/queues?namespace=dev", "").await.json(), serde_json::json!([]));
}
