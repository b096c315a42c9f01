//! `/system/function/{name}/instances`.

use actord::engine::Engine as _;
use serde_json::json;

use crate::support::House;

#[actix_web::test]
async fn instances_are_listed_with_their_generation_where_they_stand_and_where_they_listen() {
    let house = House::public().await;
    house.add("env", "me/env:1");
    let env = "env".parse().unwrap();
    house.engine.scale(&env, 2).await.unwrap();
    let listed = async || house.system("GET /system/function/env/instances", "").await.json();
    let one = |id: &str| json!({"id": id, "generation": 1, "phase": "ready", "address": "127.0.0.1:1"});
    assert_eq!(listed().await, json!([one("env-1"), one("env-2")]));
    house.engine.scale(&env, 0).await.unwrap();
    assert_eq!(listed().await, json!([]));
    for (path, status) in [("nobody", 404), ("No_Name", 400)] {
        let reply = house.system(&format!("GET /system/function/{path}/instances"), "").await;
        assert_eq!(reply.status, status, "{path}: {reply:?}");
    }
}
