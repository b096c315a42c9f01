//! What clients read without a look whether it is there: each field of each answer under `/system`, on both ports.
//!
//! ```text
//! a house with as little said as possible -> each route that answers JSON -> the table of what must be there, never null
//! ```
//! Go clients dereference maps and pointers, and decode `null` and what is missing into them. What is zero may be left out:
//! that is how Go writes it.

use actord::engine::Used;
use actord::http::{ApiFlavor, Settings};
use serde_json::{Value, json};

use crate::support::LocalHouse;

/// What a field has to be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// An object, empty or not.
    Object,
    /// An array, empty or not.
    Array,
    /// A text of which something is said.
    Words,
}
use Kind::{Array, Object, Words};

const VERSION: [(&str, Kind); 2] = [("/release", Words), ("/sha", Words)];

fn is(value: Option<&Value>, kind: Kind) -> bool {
    match (kind, value) {
        (Object, Some(value)) => value.is_object(),
        (Array, Some(value)) => value.is_array(),
        (Words, Some(value)) => value.as_str().is_some_and(|words| !words.is_empty()),
        (_, None) => false,
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.iter().any(has_null),
        Value::Object(all) => all.values().any(has_null),
        _ => false,
    }
}

/// A house in which nothing has more than it must.
async fn bare(flavor: ApiFlavor) -> LocalHouse {
    let house = LocalHouse::with(flavor, |settings| {
        settings.release = Settings::new(settings.access.clone(), settings.flavor).release;
    })
    .await;
    for body in [json!({"service": "f", "image": "i"}), json!({"service": "g", "image": "i", "labels": null})] {
        assert_eq!(house.system("POST /system/functions", &body.to_string()).await.status, 202);
    }
    let nothing = Used { cpu_millis: 0.0, memory_bytes: 0, cpu_total: std::time::Duration::ZERO };
    house.script.lock().unwrap().used.insert("f".parse().unwrap(), nothing);
    assert_eq!(house.system("POST /system/secrets", r#"{"name":"s"}"#).await.status, 202);
    let body = json!({"name": "bare", "labels": {"openfaas": "1"}, "annotations": null});
    assert_eq!(house.system("POST /system/namespace/", &body.to_string()).await.status, 201);
    let (id, now) = ("f-1".parse().unwrap(), jiff::Timestamp::now());
    house.host.begin_log(&id, &"f".parse().unwrap());
    house.host.write_log(&id, b"\n", now);
    house
}

#[actix_web::test]
async fn what_clients_dereference_is_there_and_nothing_is_null() {
    let function = [
        ("/name", Words),
        ("/image", Words),
        ("/namespace", Words),
        ("/labels", Object),
        ("/annotations", Object),
        ("/createdAt", Words),
    ];
    let of = |at: &str, fields: &[(&str, Kind)]| -> Vec<(String, Kind)> {
        fields.iter().map(|(field, kind)| (format!("{at}{field}"), *kind)).collect()
    };
    let listed = |fields: &[(&str, Kind)]| [of("", &[("", Array)]), of("/0", fields), of("/1", fields)].concat();
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = bare(flavor).await;
        let info = match flavor {
            ApiFlavor::Public => [
                of("", &[("/provider", Object), ("/provider/provider", Words), ("/provider/orchestration", Words)]),
                of("/provider/version", &VERSION),
                of("/version", &VERSION),
                of("", &[("/arch", Words)]),
            ],
            ApiFlavor::Provider => [
                of("", &[("/provider", Words), ("/orchestration", Words)]),
                of("/version", &VERSION),
                Vec::new(),
                Vec::new(),
            ],
        };
        for (path, fields) in [
            ("functions", listed(&function)),
            ("functions?namespace=dev", of("", &[("", Array)])),
            ("function/f", of("", &function)),
            ("function/f?usage=1", [of("", &function), of("", &[("/usage", Object)])].concat()),
            ("function/g?usage=1", of("", &function)),
            ("secrets", [of("", &[("", Array)]), of("/0", &[("/name", Words), ("/namespace", Words)])].concat()),
            ("secrets?namespace=bare", of("", &[("", Array)])),
            ("namespaces", [of("", &[("", Array)]), of("/0", &[("", Words)])].concat()),
            ("namespace/bare", of("", &[("/name", Words), ("/labels", Object), ("/annotations", Object)])),
            ("namespace/openfaas-fn", of("", &[("/name", Words), ("/labels", Object), ("/annotations", Object)])),
            ("info", info.concat()),
            (
                "logs?name=f",
                of("", &[("/name", Words), ("/namespace", Words), ("/instance", Words), ("/timestamp", Words)]),
            ),
        ] {
            let reply = house.system(&format!("GET /system/{path}"), "").await;
            assert_eq!(reply.status, 200, "{path}: {reply:?}");
            let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_else(|why| panic!("{path}: {why}"));
            assert!(!has_null(&answer), "{flavor:?} {path}: {answer}");
            for (field, kind) in fields {
                assert!(is(answer.pointer(&field), kind), "{flavor:?} {path}: {field} is no {kind:?}: {answer}");
            }
            if path.starts_with("logs") {
                assert_eq!(answer["text"], "", "an empty line is a text");
            }
        }
    }
}

#[actix_web::test]
async fn what_is_missing_null_or_empty_in_a_request_means_the_same() {
    for (line, status, bodies) in [
        (
            "DELETE /system/functions",
            404,
            [
                r#"{"functionName":"x"}"#,
                r#"{"functionName":"x","namespace":null}"#,
                r#"{"FunctionName":"x","namespace":""}"#,
            ],
        ),
        (
            "POST /system/scale-function/x",
            404,
            [
                r#"{"replicas":1}"#,
                r#"{"replicas":1,"serviceName":null,"namespace":null}"#,
                r#"{"Replicas":1,"serviceName":"","namespace":""}"#,
            ],
        ),
        (
            "DELETE /system/secrets",
            404,
            [
                r#"{"name":"x"}"#,
                r#"{"name":"x","namespace":null,"value":null,"rawValue":null}"#,
                r#"{"Name":"x","namespace":"","value":"","rawValue":""}"#,
            ],
        ),
        (
            "PUT /system/secrets",
            404,
            [
                r#"{"name":"x"}"#,
                r#"{"name":"x","namespace":null,"value":null,"rawValue":null}"#,
                r#"{"Name":"x","namespace":"","value":"","rawValue":""}"#,
            ],
        ),
        (
            "PUT /system/functions",
            404,
            [
                r#"{"service":"x","image":"i"}"#,
                r#"{"service":"x","image":"i","namespace":null,"envProcess":null,"envVars":null,"constraints":null,"secrets":null,"labels":null,"annotations":null,"limits":null,"requests":null,"readOnlyRootFilesystem":null}"#,
                r#"{"Service":"x","image":"i","namespace":"","envProcess":"","envVars":{},"constraints":[],"secrets":[],"labels":{},"annotations":{},"limits":{},"requests":{},"network":"","registryAuth":""}"#,
            ],
        ),
        (
            "PUT /system/namespace/x",
            404,
            [
                r#"{"name":"x","labels":{"openfaas":"1"}}"#,
                r#"{"name":"x","labels":{"openfaas":"1"},"annotations":null}"#,
                r#"{"Name":"x","labels":{"openfaas":"1"},"annotations":{}}"#,
            ],
        ),
        (
            "DELETE /system/namespace/x",
            404,
            [
                r#"{"name":"x","labels":{"openfaas":"1"}}"#,
                r#"{"name":"x","labels":{"openfaas":"1"},"annotations":null}"#,
                r#"{"Name":"x","Labels":{"openfaas":"1"},"annotations":{}}"#,
            ],
        ),
    ] {
        let house = LocalHouse::public().await;
        let mut replies = Vec::new();
        for body in bodies {
            let reply = house.system(line, body).await;
            assert_eq!(reply.status, status, "{line} {body}: {reply:?}");
            replies.push(reply.text());
        }
        assert!(replies.windows(2).all(|two| two[0] == two[1]), "{line}: {replies:?}");
    }
}
