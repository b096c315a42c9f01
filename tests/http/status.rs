use std::sync::Arc;
use std::time::Duration;

use actord::engine::{Engine as _, PullProgress, Used, View};
use actord::function::{
    Failure, Generation, GoodGeneration, Namespace, Outlook, Phase, RefusedUpdate, Resting, Spec, SpecDraft, Step,
    Tier, Uptime,
};
use actord::http::ApiFlavor;
use serde_json::{Value, json};

use crate::support::{House, Seen};

fn spec(image: &str) -> Spec {
    SpecDraft { image: image.to_owned(), ..SpecDraft::default() }.try_into().unwrap()
}

#[actix_web::test]
async fn without_functions_the_list_is_an_empty_array() {
    let house = House::public().await;
    assert_eq!(house.system("GET /system/functions", "").await.json(), json!([]));
}

#[actix_web::test]
async fn a_function_is_shown_as_it_was_deployed_and_what_is_empty_is_left_out_but_for_labels_and_annotations() {
    let house = House::public().await;
    house.add("plain", "docker.io/library/plain:1");
    let plain = json!({"name": "plain", "image": "docker.io/library/plain:1", "namespace": "openfaas-fn",
        "labels": {}, "annotations": {}, "replicas": 1, "availableReplicas": 1, "createdAt": "2026-01-02T03:04:05.000000006Z"});
    assert_eq!(house.system("GET /system/function/plain?usage=1", "").await.json(), plain);
    assert_eq!(house.system("GET /system/functions", "").await.json(), json!([plain]));

    house.add_secret(&Namespace::default(), "s").await;
    let body = json!({"service": "full", "image": "i", "envProcess": "cat", "envVars": {"a": "b=c=d"},
        "constraints": ["c"], "secrets": ["s"], "labels": {"l": "m", "containerd.io/gc.root": "x"}, "annotations": {"n": "o"},
        "limits": {"memory": "64Mi", "cpu": "100m"}, "requests": {"memory": "1.5Gi"}, "readOnlyRootFilesystem": true});
    assert_eq!(house.system("POST /system/functions", &body.to_string()).await.status, 202);
    let mut shown = house.system("GET /system/function/full", "").await.json();
    for (key, value) in body.as_object().unwrap() {
        let key = if key == "service" { "name" } else { key };
        assert_eq!(shown[key].take(), *value, "{key}");
    }
}

#[actix_web::test]
async fn limits_and_requests_of_vendors_come_back_as_they_were_sent() {
    let house = House::public().await;
    for (n, (sent, shown)) in [
        (json!({"nvidia.com/gpu": "1"}), Some(json!({"nvidia.com/gpu": "1"}))),
        (
            json!({"CPU": "0.50", "amd.com/gpu": "1", "intel.com/gpu": " 2k", "Mine.example/Card": "x"}),
            Some(json!({"cpu": "0.50", "amd.com/gpu": "1", "intel.com/gpu": " 2k", "Mine.example/Card": "x"})),
        ),
        (json!({"memory": "1Gi", "amd.com/gpu": "", "intel.com/gpu": null}), Some(json!({"memory": "1Gi"}))),
        (json!({"amd.com/gpu": "", "brandNew": {"x": 1}, "memroy": "1"}), None),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"service": format!("f{n}"), "image": "i", "limits": sent, "requests": sent});
        assert_eq!(house.system("POST /system/functions", &body.to_string()).await.status, 202, "{sent}");
        let one = house.system(&format!("GET /system/function/f{n}"), "").await.json();
        assert_eq!(one, house.system("GET /system/functions", "").await.json()[n], "{sent}");
        assert_eq!((one.get("limits"), one.get("requests")), (shown.as_ref(), shown.as_ref()), "{sent}");
    }
}

#[actix_web::test]
async fn a_stopped_function_has_no_replicas_key_and_no_lifecycle() {
    let house = House::public().await;
    house.add("idle", "i");
    house.engine.scale(&"idle".parse().unwrap(), 0).await.unwrap();
    let shown = house.system("GET /system/function/idle", "").await.json();
    for key in ["replicas", "availableReplicas", "invocationCount", "lifecycle"] {
        assert!(shown.get(key).is_none(), "{key}: {shown}");
    }
}

#[actix_web::test]
async fn a_function_in_trouble_says_what_it_is() {
    let house = House::public().await;
    house.add("sick", "i");
    house.show("sick", |View { status, retry_in, .. }| {
        status.desired.as_mut().unwrap().generation = Generation(3);
        status.phase = Phase::BackingOff { until: Uptime::default() };
        status.serving = Some(Generation(2));
        status.restarts = 5;
        status.failure = Some(Failure { generation: Generation(3), reason: "exited with code 1".into() });
        *retry_in = Some(Duration::from_millis(7_100));
    });
    let shown = house.system("GET /system/function/sick", "").await.json();
    let expected = json!({"phase": "backing off", "generation": 3, "servingGeneration": 2,
        "reason": "exited with code 1", "restarts": 5, "retryInSeconds": 8});
    assert_eq!(shown["lifecycle"], expected);
}

/// A function with these annotations, and how its status looks after `change`.
async fn told(annotations: &[(&str, &str)], change: impl FnOnce(&mut View)) -> Value {
    let usual = Resting { freeze_after: Some(Duration::from_secs(30)), zero_after: Some(Duration::from_secs(900)) };
    let house = House::with(ApiFlavor::Public, |settings| settings.resting = usual).await;
    let own = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    house.add_with("f", |draft| draft.annotations = own.collect());
    house.routes.announce(&"f".parse().unwrap(), Outlook::Coming);
    house.show("f", change);
    let one = house.system("GET /system/function/f", "").await.json();
    assert_eq!(house.system("GET /system/functions", "").await.json()[0], one);
    one
}

#[actix_web::test]
async fn a_frozen_function_counts_as_available_and_says_since_when_and_what_comes_next() {
    let zero = ("com.openfaas.scale.zero", "true");
    let shown = told(&[zero], |_| {}).await;
    assert_eq!(shown["lifecycle"]["next"], json!({"tier": "frozen", "inSeconds": 30}), "it was just asked for");
    let freeze = |View { status, in_phase_for, .. }: &mut View| {
        (status.phase, status.frozen) = (Phase::Frozen, 1);
        *in_phase_for = Some(Duration::from_millis(180_900));
    };
    let shown = told(&[zero], freeze).await;
    assert_eq!((&shown["replicas"], &shown["availableReplicas"]), (&json!(1), &json!(1)));
    let expected = json!({"phase": "frozen", "forSeconds": 180, "frozen": 1, "generation": 1, "servingGeneration": 1,
        "next": {"tier": "stopped", "inSeconds": 900}});
    assert_eq!(shown["lifecycle"], expected);

    let shown = told(&[("actord.freeze-after", "1m")], freeze).await;
    assert_eq!(shown["lifecycle"].get("next"), None, "it is never stopped");
    assert_eq!(told(&[], |_| {}).await.get("lifecycle"), None, "one that does not rest has nothing to say");
}

#[actix_web::test]
async fn an_idle_function_has_no_replicas_and_says_how_many_were_asked_for() {
    let house = House::public().await;
    let id = "f".parse().unwrap();
    house.add("f", "i");
    house.engine.scale(&id, 3).await.unwrap();
    house.engine.rest(&id, Tier::Stopped).await.unwrap();
    let shown = house.system("GET /system/function/f", "").await.json();
    assert_eq!((shown.get("replicas"), shown.get("availableReplicas")), (None, None), "zero is left out");
    assert_eq!(shown["lifecycle"], json!({"phase": "idle", "asked": 3, "generation": 1}));
    let reply = house.system("POST /system/scale-function/f", r#"{"replicas": 1}"#).await;
    assert_eq!(reply.status, 202, "a gateway's way to wake");
    let shown = house.system("GET /system/function/f", "").await.json();
    assert_eq!((&shown["replicas"], shown.get("lifecycle")), (&json!(1), None));
}

#[actix_web::test]
async fn a_number_that_follows_the_load_is_told_with_its_reason_and_what_has_no_effect_is_said() {
    let house = House::public().await;
    let id = "f".parse().unwrap();
    house.add_with("f", |draft| drop(draft.labels.insert("com.openfaas.scale.type".into(), "queue,rps".into())));
    let lifecycle = async || house.system("GET /system/function/f", "").await.json()["lifecycle"].take();
    let remark = "com.openfaas.scale.type queue is accepted and has no effect";
    let plain = json!({"phase": "ready", "generation": 1, "servingGeneration": 1, "remark": remark});
    assert_eq!(lifecycle().await, plain);
    house.engine.adjust(&id, 4, "180 calls a second, 45 a replica wanted".into()).await.unwrap();
    let expected = json!({"phase": "ready", "generation": 1, "servingGeneration": 1, "remark": remark, "asked": 1,
        "scaledBecause": "180 calls a second, 45 a replica wanted"});
    assert_eq!(lifecycle().await, expected);
    assert_eq!(house.system("GET /system/function/f", "").await.json()["replicas"], 4);
    // While nothing of it runs, the load has no say.
    house.engine.rest(&id, Tier::Stopped).await.unwrap();
    let expected = json!({"phase": "idle", "generation": 1, "remark": remark, "asked": 1});
    assert_eq!(lifecycle().await, expected);
}

#[actix_web::test]
async fn what_is_shown_is_what_was_asked_for_while_it_rolls_out_and_what_serves_once_it_failed() {
    let house = House::public().await;
    let good = GoodGeneration { generation: Generation(1), spec: Arc::new(spec("good")), accepted_at: String::new() };
    for (n, (image, failed, last_good, shown, asked)) in [
        ("new", None, Some(good.clone()), "new", None),
        ("new", Some("no such image"), Some(good.clone()), "good", Some("new")),
        ("good", Some("no such user"), Some(good), "good", None),
        ("new", Some("no such image"), None, "new", None),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("f{n}");
        house.add(&name, image);
        house.show(&name, |View { status, .. }| {
            let desired = status.desired.as_mut().unwrap();
            (desired.generation, desired.history) = (Generation(2), last_good.clone().into_iter().collect());
            desired.has_served = false;
            desired.failed = failed.map(str::to_owned);
            status.phase = if failed.is_some() { Phase::Failed } else { Phase::Starting };
        });
        let one = house.system(&format!("GET /system/function/{name}"), "").await.json();
        let mut in_a_list = one.clone();
        in_a_list["lifecycle"].as_object_mut().unwrap().remove("generations");
        assert_eq!(house.system("GET /system/functions", "").await.json()[n], in_a_list);
        assert_eq!(one["image"], shown, "{one}");
        assert_eq!(one["lifecycle"].get("askedImage"), asked.map(Value::from).as_ref(), "{one}");
        assert_eq!(one["lifecycle"].get("reason"), failed.map(Value::from).as_ref(), "{one}");
    }
}

#[actix_web::test]
async fn the_last_update_that_was_refused_is_told_beside_what_runs() {
    let house = House::public().await;
    house.add("f", "good");
    house.show("f", |View { status, .. }| {
        let refused = RefusedUpdate {
            generation: Generation(2),
            image: "typo".into(),
            reason: "no such image".into(),
            at: "2026-01-02T03:04:05Z".into(),
        };
        status.desired.as_mut().unwrap().refused = Some(refused.into());
    });
    let shown = house.system("GET /system/function/f", "").await.json();
    let refusal = json!({"image": "typo", "reason": "no such image", "time": "2026-01-02T03:04:05Z", "generation": 2});
    let expected = json!({"phase": "ready", "generation": 1, "servingGeneration": 1, "lastRefusal": refusal});
    assert_eq!((&shown["image"], &shown["lifecycle"]), (&json!("good"), &expected));
}

#[actix_web::test]
async fn a_function_that_starts_says_how_far_it_has_come() {
    let house = House::public().await;
    house.add("new", "i");
    for (step, word) in [
        (Step::Pulling, "pulling"),
        (Step::WaitingForPlace, "waiting for a place"),
        (Step::Attaching, "attaching"),
        (Step::Creating, "creating"),
        (Step::Starting, "starting"),
        (Step::WaitingUntilReady, "waiting until ready"),
    ] {
        house.show("new", |view| (view.status.phase, view.step) = (Phase::Starting, Some(step)));
        let shown = house.system("GET /system/function/new", "").await.json();
        assert_eq!(shown["lifecycle"]["step"], word);
    }
}

#[actix_web::test]
async fn what_a_function_uses_is_shown_to_those_who_ask_and_only_if_it_can_be_had() {
    let house = House::public().await;
    house.add("busy", "i");
    house.add("stopped", "i");
    let busy = Used { cpu_millis: 12.3456, memory_bytes: 20 << 20, cpu_total: Duration::from_secs(9) };
    let used = |used: Used| house.script.lock().unwrap().used.insert("busy".parse().unwrap(), used);
    used(busy);
    let shown = async |path: &str| house.system(&format!("GET /system/function/{path}"), "").await.json();
    for yes in ["1", "true", "T", "0&usage=1"] {
        let usage = shown(&format!("busy?usage={yes}")).await["usage"].take();
        assert_eq!(usage, json!({"cpu": 12.35, "totalMemoryBytes": 20 << 20}), "{yes}");
    }
    for no in ["busy", "busy?usage=0", "busy?usage=false", "busy?usage=", "busy?usage=yes", "stopped?usage=1"] {
        assert_eq!(shown(no).await.get("usage"), None, "{no}");
    }
    assert_eq!(house.system("GET /system/functions?usage=1", "").await.json()[0].get("usage"), None);
    used(Used { cpu_millis: 0.0, ..busy });
    assert_eq!(shown("busy?usage=1").await["usage"], json!({"totalMemoryBytes": 20 << 20}), "a zero is left out");

    house.script.lock().unwrap().immeasurable = true;
    let shown = shown("busy?usage=1").await;
    assert_eq!((shown["name"].as_str(), shown.get("usage")), (Some("busy"), None), "shown all the same");
}

#[actix_web::test]
async fn a_function_whose_image_is_being_pulled_says_how_many_bytes_are_here() {
    let house = House::public().await;
    house.add("new", "i");
    for (total, expected) in [
        (None, json!({ "phase": "starting", "generation": 1, "step": "pulling", "pulled": 70 })),
        (Some(100), json!({ "phase": "starting", "generation": 1, "step": "pulling", "pulled": 70, "pullTotal": 100 })),
    ] {
        house.show("new", |view| {
            (view.status.phase, view.step) = (Phase::Starting, Some(Step::Pulling));
            (view.status.serving, view.pull) = (None, Some(PullProgress { pulled: 70, total }));
        });
        let shown = house.system("GET /system/function/new", "").await.json();
        assert_eq!(shown["lifecycle"], expected);
    }
}

#[actix_web::test]
async fn what_is_not_there_is_a_404_without_a_body() {
    let house = House::public().await;
    house.add("known", "i");
    for path in ["nosuch", "known.openfaas-fn", "known?namespace=dev", "known?namespace=nope", "UPPER"] {
        let reply = house.system(&format!("GET /system/function/{path}"), "").await;
        assert_eq!((reply.status, reply.text().as_str()), (404, ""), "{path}");
    }
}

#[actix_web::test]
async fn a_list_is_of_one_namespace_and_that_must_be_valid() {
    let house = House::public().await;
    house.add("a", "i");
    house.add("b.dev", "i");
    let names = |reply: crate::support::Reply| -> Vec<String> {
        reply.json().as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(house.system("GET /system/functions", "").await), ["a"]);
    assert_eq!(names(house.system("GET /system/functions?namespace=", "").await), ["a"]);
    assert_eq!(names(house.system("GET /system/functions?namespace=dev", "").await), ["b"]);
    let reply = house.system("GET /system/functions?namespace=nope", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (400, "namespace not valid\n"));
}

#[actix_web::test]
async fn labels_and_annotations_are_objects_whatever_was_sent_on_both_ports() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        for (n, (sent, labels, annotations)) in [
            (json!({}), json!({}), json!({})),
            (json!({"labels": null, "annotations": null}), json!({}), json!({})),
            (json!({"labels": {}, "annotations": {}}), json!({}), json!({})),
            (json!({"labels": {"a": "b"}}), json!({"a": "b"}), json!({})),
            (json!({"annotations": {"a": null}}), json!({}), json!({"a": ""})),
            (json!({"Labels": {"A": ""}, "ANNOTATIONS": {}}), json!({"A": ""}), json!({})),
        ]
        .into_iter()
        .enumerate()
        {
            let mut body = json!({"service": format!("f{n}"), "image": "i"});
            body.as_object_mut().unwrap().extend(sent.as_object().unwrap().clone());
            assert_eq!(house.system("POST /system/functions", &body.to_string()).await.status, 202, "{sent}");
            let one = house.system(&format!("GET /system/function/f{n}"), "").await.json();
            assert_eq!((&one["labels"], &one["annotations"]), (&labels, &annotations), "{sent}");
            assert_eq!(one, house.system("GET /system/functions", "").await.json()[n], "{sent}");
        }
    }
}

#[actix_web::test]
async fn a_setting_adds_the_label_that_clients_of_other_providers_look_for_and_no_deploy_counts_it_as_a_change() {
    let own = |name: &str| json!({"faas_function": name, "a": "b"});
    for (setting, shown) in [(false, json!({"a": "b"})), (true, own("f"))] {
        let house = House::with(ApiFlavor::Public, |settings| settings.function_label = setting).await;
        let body = json!({"service": "f", "image": "i", "labels": {"a": "b"}});
        assert_eq!(house.system("POST /system/functions", &body.to_string()).await.status, 202);
        let one = house.system("GET /system/function/f", "").await.json();
        assert_eq!((&one["labels"], &one), (&shown, &house.system("GET /system/functions", "").await.json()[0]));
    }
    let house = House::with(ApiFlavor::Public, |settings| settings.function_label = true).await;
    let asked = async |method: &str, labels: serde_json::Value| {
        let body = json!({"service": "f", "image": "i", "labels": labels});
        assert_eq!(house.system(&format!("{method} /system/functions"), &body.to_string()).await.status, 202);
        match house.seen().pop().unwrap() {
            Seen::Applied(_, _, spec) => json!(spec.labels),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asked("POST", own("f")).await, json!({"a": "b"}), "it is no part of what is asked for");
    assert_eq!(asked("PUT", json!({"a": "b"})).await, json!({"a": "b"}));
    assert_eq!(asked("PUT", own("other")).await, own("other"), "what says something else is the caller's own");
    assert_eq!(house.system("GET /system/function/f", "").await.json()["labels"], own("other"));
}

#[actix_web::test]
async fn a_function_says_what_it_waits_for_and_how_it_was_judged() {
    let house = House::public().await;
    house.add("new", "i");
    house.show("new", |view| {
        (view.status.phase, view.step) = (Phase::Starting, Some(Step::WaitingUntilReady));
        view.waits_for = Some("nothing listens on port 8080".into());
    });
    let shown = house.system("GET /system/function/new", "").await.json();
    let expected = json!({"phase": "starting", "generation": 1, "servingGeneration": 1, "step": "waiting until ready",
        "waitingFor": "nothing listens on port 8080"});
    assert_eq!(shown["lifecycle"], expected);

    // One that serves has something to tell, too.
    house.add("closed", "i");
    house.show("closed", |view| view.judged = Some("answered 401 to /_/health".into()));
    let shown = house.system("GET /system/function/closed", "").await.json();
    let expected =
        json!({"phase": "ready", "generation": 1, "servingGeneration": 1, "judged": "answered 401 to /_/health"});
    assert_eq!(shown["lifecycle"], expected);
}
