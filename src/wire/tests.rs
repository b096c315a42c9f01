use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::function::{Desired, FunctionId, Generation, History, Invalid, Resources, Spec, SpecDraft};
use crate::stack;

/// One field of each kind.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Sample {
    env_process: String,
    flag: bool,
    count: Option<u64>,
    texts: Vec<String>,
    labels: BTreeMap<String, String>,
    inner: Inner,
    list: Vec<Inner>,
    limits: FunctionResources,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Inner {
    image: String,
}

fn sample(json: &str) -> Result<Sample, Invalid> {
    read(json.as_bytes())
}

#[test]
fn keys_are_found_in_any_case_at_every_depth_and_the_exact_one_goes_first() {
    assert_eq!(sample(r#"{"ENVPROCESS":"cat"}"#).unwrap().env_process, "cat");
    let both = sample(r#"{"inner":{"Image":"a","image":"b"},"List":[{"IMAGE":"c"}]}"#).unwrap();
    assert_eq!((both.inner.image.as_str(), both.list[0].image.as_str()), ("b", "c"));
}

#[test]
fn null_and_absence_are_the_zero_value_at_every_depth() {
    let nulls = r#"{"envProcess":null,"flag":null,"count":null,"inner":null,"limits":null,"texts":null,"labels":null}"#;
    assert_eq!(sample(nulls).unwrap(), Sample::default());
    assert_eq!(sample("null").unwrap(), Sample::default());
    let deep = sample(r#"{"labels":{"k":null},"texts":[null],"list":[null],"limits":{"cpu":null}}"#).unwrap();
    assert_eq!((deep.labels["k"].as_str(), deep.texts.as_slice()), ("", [String::new()].as_slice()));
    assert_eq!((deep.list, deep.limits), (vec![Inner::default()], FunctionResources::default()));
}

#[test]
fn the_keys_of_a_map_keep_their_case() {
    let read = sample(r#"{"labels":{"App":"x","app":"y"}}"#).unwrap();
    assert_eq!(read.labels, [("App", "x"), ("app", "y")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
}

#[test]
fn what_vendors_name_is_kept_as_it_is_and_anything_else_unknown_is_passed_over() {
    let limits = sample(r#"{"limits":{"MEMORY":"1Gi","B/x":"2","c/y":null,"d":5}}"#).unwrap().limits;
    let kept: Vec<_> = limits.quantities().into_iter().collect();
    assert_eq!(kept, [("B/x", "2"), ("memory", "1Gi")].map(|(name, it)| (name.to_owned(), it.to_owned())));
    assert!(sample(r#"{"limits":{"d/z":5}}"#).unwrap_err().0.contains("\"d/z\": expected a string"));
}

#[test]
fn a_value_of_another_type_is_refused_and_named() {
    for (json, said) in [
        (r#"{"ENVPROCESS":5}"#, r#"invalid field "envProcess": expected a string"#),
        (r#"{"flag":"yes"}"#, r#"invalid field "flag": expected true or false"#),
        (r#"{"texts":"x"}"#, r#"invalid field "texts": expected a list of strings"#),
        (r#"{"texts":[1]}"#, r#"invalid field "texts": expected a string"#),
        (r#"{"labels":[]}"#, r#"invalid field "labels": expected an object of strings"#),
        (r#"{"labels":{"k":1}}"#, r#"invalid field "labels": expected a string"#),
        (r#"{"limits":"x"}"#, r#"invalid field "limits": expected an object"#),
        (r#"{"limits":{"cpu":1}}"#, r#"invalid field "cpu": expected a string"#),
        (r#"{"inner":[]}"#, r#"invalid field "inner": expected an object"#),
    ] {
        assert_eq!(sample(json).unwrap_err().0, said, "{json}");
    }
    for bad in ["-1", "1.5", "\"1\"", "true", "[]"] {
        let said = r#"invalid field "count": expected a whole number that is not negative"#;
        assert_eq!(sample(&format!(r#"{{"count":{bad}}}"#)).unwrap_err().0, said, "{bad}");
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    for bad in ["", "{", "[]", "5", "\"x\"", "{}x"] {
        assert!(sample(bad).is_err(), "{bad:?}");
    }
}

/// Every field that a spec has, with something in it.
fn everything() -> SpecDraft {
    let texts = |name: &str| BTreeMap::from([(name.to_owned(), format!("of {name}"))]);
    let quantities = |memory: &str| Resources::of([("memory", memory), ("cpu", "1"), ("a.b/C", "2")].map(own).into());
    SpecDraft {
        image: "docker.io/me/f:1".into(),
        env_process: "cat".into(),
        env_vars: texts("Variable"),
        constraints: vec!["arch=amd64".into()],
        secrets: vec!["db".parse().unwrap()],
        labels: texts("Label"),
        annotations: texts("Annotation"),
        limits: quantities("2Gi"),
        requests: quantities("1Gi"),
        read_only_root_filesystem: true,
    }
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn every_field_of_a_spec_comes_through_a_request_a_status_and_a_stack_file() {
    let set = serde_json::to_value(everything()).unwrap();
    let unset = serde_json::to_value(SpecDraft::default()).unwrap();
    for (field, value) in set.as_object().unwrap() {
        assert_ne!(value, &unset[field], "give {field} another value than its default one in this test");
    }
    let id: FunctionId = "f.dev".parse().unwrap();
    let spec = Spec::try_from(everything()).unwrap();
    let body = serde_json::to_vec(&FunctionDeployment::new(&id, &spec)).unwrap();
    let deployed: FunctionDeployment = read(&body).unwrap();
    assert_eq!((deployed.service.as_str(), deployed.namespace.as_str()), ("f", "dev"));
    let draft = deployed.draft().unwrap();
    assert_eq!(draft, everything());

    let shown: Value = serde_json::to_value(FunctionStatus::of(&draft)).unwrap();
    let draft = read_value::<FunctionStatus>(&shown).unwrap().draft().unwrap();
    assert_eq!(draft, everything());

    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("state");
    let desired = Desired {
        generation: Generation(1),
        spec: std::sync::Arc::new(Spec::try_from(draft).unwrap()),
        replicas: 1,
        kept_down: false,
        idle: false,
        adjusted: None,
        accepted_at: String::new(),
        history: History::default(),
        has_served: false,
        failed: None,
        created_at: String::new(),
        refused: None,
    };
    stack::write(&dir, &[(id.clone(), desired)], &stack::SecretValues::new()).unwrap();
    let asked = stack::read_stack_files(&[dir.join("dev.yml")], &|_| None).unwrap();
    assert_eq!(FunctionDeployment::new(&id, &asked.functions[&id]), deployed);
}

#[test]
fn what_is_empty_is_not_said() {
    assert_eq!(serde_json::to_value(FunctionDeployment::default()).unwrap(), json!({"service": "", "image": ""}));
    // Clients of OpenFaaS read these two without a look whether they are there.
    let shown = json!({"name": "", "image": "", "namespace": "", "createdAt": "", "labels": {}, "annotations": {}});
    assert_eq!(serde_json::to_value(FunctionStatus::default()).unwrap(), shown);
}
