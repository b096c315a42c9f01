//! A secret's life, as a function sees it whose image runs as a user of its own.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};

use crate::actord::{Actord, until};
use crate::sample::Sample;

const USER: &str = "docker.io/actord/user:1";

impl Actord {
    async fn secret(&self, method: &str, name: &str, value: &str) {
        let body = json!({ "name": name, "namespace": "team", "value": value });
        let answer = self.system(method, "/system/secrets", body).await;
        assert_eq!((answer.status, answer.text().as_str()), (202, ""), "{method} {name}");
    }

    async fn team(&self, method: &str, path: &str) -> u16 {
        let body = json!({ "name": "team", "labels": { "openfaas": "1" } });
        self.system(method, &format!("/system/namespace/{path}"), body).await.status
    }

    /// What the function reads of its secret now.
    async fn seen(&self, name: &str) -> String {
        let path = format!("/function/keeper.team/file?path=/var/openfaas/secrets/{name}");
        self.get(&path).await.text()
    }

    async fn comes_to_see(&self, name: &str, value: &str) {
        until(&format!("the function reads {value:?}"), async || self.seen(name).await == value).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_made_used_changed_under_a_running_function_deleted_and_gone_with_its_namespace() {
    let mut actord = Actord::with(&[], |images| {
        Sample::new(USER).version("1").user("1000:1000").write(images);
    })
    .await;
    assert_eq!(actord.team("POST", "").await, 201);
    actord.secret("POST", "db", "one").await;
    actord.secret("POST", "key", "k").await;
    let wants = json!({ "image": USER, "namespace": "team", "secrets": ["db", "key"] });
    actord.deploy("keeper", wants).await;
    assert!(actord.get("/function/keeper.team/file?path=/proc/self/status").await.text().contains("Uid:\t1000\t1000"));
    assert_eq!((actord.seen("db").await, actord.seen("key").await), ("one".into(), "k".into()));
    let process = actord.process("keeper");

    // As `secret update` does it; then it is in use, and deleted by force: under the same process.
    actord.secret("PUT", "db", "two").await;
    actord.comes_to_see("db", "two").await;
    let db = json!({ "name": "db", "namespace": "team" });
    let answer = actord.system("DELETE", "/system/secrets", db.clone()).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.text().contains("secret db is used by keeper, which can't start without it"), "{answer:?}");
    let answer = actord.system("DELETE", "/system/secrets?force=true", db).await;
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    assert_eq!(actord.seen("db").await, "two", "who has it keeps it");
    actord.secret("POST", "db", "three").await;
    actord.comes_to_see("db", "three").await;
    assert_eq!(actord.process("keeper"), process, "it was not restarted");
    assert_eq!(actord.get("/function/keeper.team/file?path=/var/openfaas/secrets").await.text(), "db\nkey\n");
    let instances = fs::read_dir(actord.state().join("instances")).unwrap();
    for instance in instances.flatten() {
        let about = fs::metadata(instance.path().join("secrets/db")).unwrap();
        assert_eq!((about.mode() & 0o777, about.uid(), about.gid()), (0o400, 1000, 1000));
    }

    // An instance that is adopted gets what it missed.
    actord.kill().await;
    fs::write(actord.data().join("secrets/team/db"), "four").unwrap();
    actord.launch(&[]).await;
    actord.comes_to_see("db", "four").await;

    let answer = actord.system("GET", "/system/secrets?namespace=team", Value::Null).await;
    let names: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(names, json!([{ "name": "db", "namespace": "team" }, { "name": "key", "namespace": "team" }]));
    assert_eq!(actord.team("DELETE", "team").await, 409, "a function lives in it");
    let gone = json!({ "functionName": "keeper", "namespace": "team" });
    assert_eq!(actord.system("DELETE", "/system/functions", gone).await.status, 202);
    assert_eq!(actord.team("DELETE", "team").await, 202);
    assert!(!actord.data().join("secrets/team").exists());
    let answer = actord.apply("POST", "late", json!({ "image": USER, "namespace": "team" })).await;
    assert_eq!((answer.status, answer.text().as_str()), (400, "namespace not valid\n"));
    actord.finish().await;
}
