//! The REST API from outside: who may ask, what is refused, what is shown.

use serde_json::{Value, json};

use crate::actord::{Actord, HELLO_1};
use crate::client::{self, Request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_asks_for_credentials_refuses_what_can_not_be_and_shows_what_was_sent() {
    let actord = Actord::start().await;
    credentials_are_asked_for(&actord).await;
    info_has_both_shapes(&actord).await;
    what_can_not_be_is_refused(&actord).await;
    what_was_sent_comes_back(&actord).await;
    other_verbs_beside_a_running_actord(&actord).await;
    actord.finish().await;
}

async fn credentials_are_asked_for(actord: &Actord) {
    for address in [actord.public, actord.provider] {
        for (method, path) in [
            ("GET", "/system/functions"),
            ("POST", "/system/functions"),
            ("PUT", "/system/functions"),
            ("DELETE", "/system/functions"),
            ("GET", "/system/function/any"),
            ("POST", "/system/scale-function/any"),
            ("GET", "/system/info"),
        ] {
            for header in ["", "Basic YWRtaW46d3Jvbmc=", "Bearer "] {
                let request = Request::new(method, path).header("Authorization", header);
                let answer = client::ask(address, request).await.unwrap();
                assert_eq!(answer.status, 401, "{method} {path} with {header:?} on {address}");
                assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Basic")));
            }
        }
        let answer = client::ask(address, Request::get("/healthz")).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    let file = actord.data().join("auth/basic-auth-password");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

async fn info_has_both_shapes(actord: &Actord) {
    let info = async |address| -> Value {
        let answer = client::ask(address, actord.request("GET", "/system/info", &Value::Null)).await.unwrap();
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    };
    let (public, provider) = (info(actord.public).await, info(actord.provider).await);
    assert!(public["provider"].is_object() && public["arch"].is_string(), "{public}");
    assert!(provider["provider"].is_string() && provider["orchestration"] == "containerd", "{provider}");
    for version in [&public["version"], &public["provider"]["version"], &provider["version"]] {
        for key in ["release", "sha"] {
            assert!(version[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {version}");
        }
    }
}

async fn what_can_not_be_is_refused(actord: &Actord) {
    let long = "x".repeat(64);
    for (name, changes, reason) in [
        ("Bad_Name", json!({}), "lower-case"),
        (long.as_str(), json!({}), "63"),
        ("f", json!({ "limits": { "memory": "lots" } }), "lots"),
        ("f", json!({ "limits": { "cpu": "half" } }), "half"),
        ("f", json!({ "annotations": { "com.openfaas.pids.limit": "many" } }), "pids.limit"),
        ("f", json!({ "secrets": ["nobody-made-it"] }), "nobody-made-it"),
        ("f", json!({ "secrets": ["../../etc/passwd"] }), "passwd"),
        ("f", json!({ "labels": { "com.openfaas.annotations.a": "1" }, "annotations": { "a": "2" } }), "annotations"),
        ("f", json!({ "image": "" }), "image"),
        ("f", json!({ "namespace": "nobodys" }), "namespace"),
    ] {
        let answer = actord.apply("POST", name, changes.clone()).await;
        assert_eq!(answer.status, 400, "{name} {changes}: {}", answer.text());
        assert!(answer.text().contains(reason), "{name} {changes}: {:?} says {reason:?}", answer.text());
    }
    let broken = actord.request("POST", "/system/functions", &Value::Null).body("{");
    assert_eq!(actord.ask(broken).await.status, 400);
    assert_eq!(actord.list().await, Vec::<Value>::new());
    assert!(actord.traces().in_containerd().is_empty());
    assert_eq!(actord.delete("nobody").await.status, 404);
    assert_eq!(actord.scale("nobody", 1).await.status, 404);
    assert_eq!(actord.ask(actord.request("POST", "/async-function/nobody", &Value::Null)).await.status, 404);
}

async fn what_was_sent_comes_back(actord: &Actord) {
    let sent = json!({
        "envProcess": "cat /etc/hosts",
        "envVars": { "MODE": "a=b=c" },
        "labels": { "team": "blue", "containerd.io/gc.root": "kept off the container, and shown" },
        "annotations": { "note": "twelve words" },
        "limits": { "memory": "128Mi", "cpu": "500m" },
        "requests": { "memory": "16Mi" },
        "readOnlyRootFilesystem": true,
    });
    actord.deploy("shown", sent.clone()).await;
    let shown = actord.describe("shown").await;
    for (field, value) in sent.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field} of {shown:#}");
    }
    for (field, value) in [
        ("name", json!("shown")),
        ("namespace", json!("openfaas-fn")),
        ("image", json!(HELLO_1)),
        ("replicas", json!(1)),
    ] {
        assert_eq!(shown[field], value, "{field} of {shown:#}");
    }
    assert!(shown.get("usage").is_none());
    let used = actord.describe("shown?usage=1").await["usage"].take();
    assert!(used["totalMemoryBytes"].as_u64().is_some_and(|bytes| bytes > 1 << 10), "{used}");
    assert!(shown["createdAt"].as_str().unwrap().starts_with("20"), "{shown:#}");
    assert_eq!(actord.list().await.len(), 1);
    for _ in 0..3 {
        assert_eq!(actord.get("/function/shown").await.status, 200);
    }
    assert_eq!(actord.describe("shown").await["invocationCount"], 3);
    let metrics = client::ask(actord.metrics, Request::get("/metrics")).await.unwrap().text();
    let line = "gateway_function_invocation_total{code=\"200\",function_name=\"shown.openfaas-fn\"} 3";
    assert!(metrics.contains(line), "{metrics}");
}

async fn other_verbs_beside_a_running_actord(actord: &Actord) {
    let down = actord.run(&["down"]);
    let words = String::from_utf8_lossy(&down.stderr).into_owned();
    assert_eq!(down.status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("pid {}", actord.pid())), "{words}");
    assert_eq!(actord.get("/function/shown").await.status, 200);

    let reference = "docker.io/acme/later:3";
    let archive = crate::sample::Sample::new(reference).version("3").write(actord.directory());
    let imported = actord.run(&["image", "import", archive.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    assert_eq!(String::from_utf8_lossy(&imported.stdout), format!("{reference}\n"));
    actord.deploy("later", json!({ "image": "acme/later:3" })).await;
    assert_eq!(actord.get("/function/later/version").await.text(), "3\n");

    // Told no more than the data directory: the settings are those of the actord that runs.
    let archive = crate::sample::Sample::new("docker.io/acme/found:4").version("4").write(actord.directory());
    let data = actord.data().display().to_string();
    let others = ["--state-dir", "/run/actord-other", "--containerd-namespace", "other", "--snapshotter", "native"];
    let verb = ["image", "import", archive.to_str().unwrap(), "--config", "/dev/null", "--data-dir", &data];
    let imported = actord.plain(&[verb.as_slice(), &others].concat());
    let words = String::from_utf8_lossy(&imported.stderr).into_owned();
    assert!(imported.status.success(), "{words}");
    assert!(words.contains("not --containerd-namespace other"), "{words}");
    let looked = actord.plain(&[["doctor", "--config", "/dev/null", "--data-dir", &data].as_slice(), &others].concat());
    let words = String::from_utf8_lossy(&looked.stdout).into_owned();
    assert!(words.contains("doctor looked with --cgroup-parent /actord"), "{words}");
    actord.deploy("found", json!({ "image": "acme/found:4" })).await;
    assert_eq!(actord.get("/function/found/version").await.text(), "4\n");
}
