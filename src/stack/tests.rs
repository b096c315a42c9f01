use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::function::{Generation, GoodGeneration, Resources, SpecDraft};

fn good(number: u64, spec: SpecDraft) -> GoodGeneration {
    let accepted_at = format!("2026-01-0{number}T03:04:05Z");
    GoodGeneration { generation: Generation(number), spec: Arc::new(Spec::accepted_before(spec)), accepted_at }
}

fn desired(spec: SpecDraft) -> Desired {
    Desired {
        generation: Generation(7),
        spec: Arc::new(spec.try_into().unwrap()),
        replicas: 3,
        kept_down: true,
        idle: false,
        adjusted: None,
        accepted_at: "2026-02-02T03:04:05Z".into(),
        history: [5, 3, 2]
            .map(|n| good(n, SpecDraft { image: format!("i:{n}"), ..SpecDraft::default() }))
            .into_iter()
            .collect(),
        has_served: false,
        failed: Some("pull failed".into()),
        created_at: "2026-01-02T03:04:05Z".into(),
        refused: None,
    }
}

/// Texts that YAML could take for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            " ",
            "~",
            "null",
            "true",
            "no",
            "Off",
            "1.0",
            "0x1F",
            "1e3",
            ".inf",
            "-",
            "- a",
            "a: b",
            "#x",
            "a #b",
            "'",
            "\"",
            "{a}",
            "[a",
            "&a",
            "*a",
            "!x",
            "|",
            ">",
            "%",
            "@",
            "`",
            "a\nb\n",
            "\n",
            "\t",
            " x ",
            "2026-01-01",
            "12:30",
            "0o17",
            "---",
            "...",
            "\u{feff}",
            "\u{85}",
            "\u{2028}",
            "\r\n",
            "=",
            "<<",
            "$${x}",
            "a\n  b\n\n",
            "\u{7f}",
            "\u{1}",
        ])
        .prop_map(str::to_owned),
        "[^\0]{0,12}",
        any::<String>().prop_map(|text| text.replace('\0', "")),
    ]
}

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(text(), text(), 0..4)
}

/// An empty key is refused at the door.
fn named(mut texts: BTreeMap<String, String>) -> BTreeMap<String, String> {
    texts.remove("");
    texts
}

fn draft() -> impl Strategy<Value = SpecDraft> {
    let quantity = prop::sample::select(vec!["1", "01", "1.0", "0x1F", "1e3", "true", "~", "null", "#x", " 2 "]);
    let vendors = prop::sample::select(vec!["nvidia.com/gpu", "a/1.0", "#x/y", "a/b:"]).prop_map(str::to_owned);
    let others = prop::collection::btree_map(vendors, quantity.prop_map(str::to_owned), 0..3);
    let resources = prop::option::of((any::<bool>(), others).prop_map(|(known, others)| {
        let known = |quantity: &str| (known || others.is_empty()).then(|| quantity.to_owned());
        Resources { memory: known("128Mi"), cpu: known("0.50"), ephemeral_storage: known("1Gi"), others }
    }));
    (text(), text(), texts(), texts(), texts(), prop::collection::vec(text(), 0..3), resources, any::<bool>()).prop_map(
        |(image, env_process, env_vars, labels, annotations, constraints, limits, read_only)| SpecDraft {
            image: format!("i{image}"),
            env_process,
            env_vars: env_vars.into_iter().map(|(key, value)| (format!("k{}", key.replace('=', "")), value)).collect(),
            constraints,
            secrets: vec!["1.0".parse().unwrap(), "db".parse().unwrap()],
            labels: named(labels),
            annotations: named(annotations),
            limits,
            requests: None,
            read_only_root_filesystem: read_only,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back_whatever_its_texts_look_like(spec in draft(), name in "(true|null|1|a)-?[a-z]") {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("state");
        let id: FunctionId = name.parse().unwrap();
        let state = [(id.clone(), desired(spec))];
        write(&dir, &state, &SecretValues::new()).unwrap();
        let contents = read(&dir).unwrap();
        prop_assert_eq!(contents.functions, BTreeMap::from([(id, Found::Kept(state[0].1.clone()))]));
    }
}

#[test]
fn a_stack_file_as_people_write_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let stack = r#"
version: 1.0
provider:
  name: openfaas
  gateway: http://127.0.0.1:8080
functions:
  hello:
    lang: python3-http
    handler: ./hello
    image: docker.io/me/hello:0.1
    fprocess: python3 index.py
    environment:
      write_debug: true
      write_timeout: 10s
      port: 8080
      empty:
    environment_file:
      - env.conf
    labels:
      com.openfaas.scale.min: 2
    annotations:
    limits:
      memory: 40Mi
      cpu: 0.5
      nvidia.com/gpu: 1
    requests:
      cpu:
    secrets:
      - api-key
    readonly_root_filesystem: true
    build_args:
      A: b
  other:
    skip_build: true
    image: me/other
    namespace: staging
"#;
    // Not a stack file, by its name.
    fs::write(dir.path().join("env.conf"), "environment:\n  port: 9090\n  more: yes\n").unwrap();
    fs::write(dir.path().join("stack.yaml"), stack).unwrap();

    let functions = read(dir.path()).unwrap().functions;
    let ids: Vec<String> = functions.keys().map(ToString::to_string).collect();
    assert_eq!(ids, ["hello.openfaas-fn", "other.staging"]);
    let Found::Asked(hello) = &functions[&"hello".parse().unwrap()] else { panic!("it has no history") };
    let environment: Vec<(&str, &str)> = hello.env_vars.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected =
        [("empty", ""), ("more", "yes"), ("port", "9090"), ("write_debug", "true"), ("write_timeout", "10s")];
    assert_eq!(environment, expected);
    assert_eq!(hello.env_process, "python3 index.py");
    assert_eq!(hello.min_replicas(), 2);
    let others = [("nvidia.com/gpu".to_owned(), "1".to_owned())].into();
    let limits = Resources { memory: Some("40Mi".into()), cpu: Some("0.5".into()), others, ..Resources::default() };
    assert_eq!((&hello.limits, &hello.requests), (&Some(limits), &None));
    assert_eq!(hello.secrets, ["api-key".parse().unwrap()]);
    assert!(hello.read_only_root_filesystem && hello.annotations.is_empty());
}

#[test]
fn what_is_wrong_is_named_with_its_file_and_key() {
    let function = "version: 1.0\nfunctions:\n  f:\n    image: i\n";
    for (stack, expected) in [
        ("version: 2.0\n", "stack.yml: version: \"2.0\""),
        ("provider:\n  name: lambda\n", "provider.name: \"lambda\""),
        ("functions:\n  f:\n    image: i\n    enviroment:\n      a: b\n", "enviroment"),
        (
            "functions:\n  f:\n    image: i\n    limits:\n      memory: ten\n",
            "functions.f: invalid memory quantity \"ten\"",
        ),
        (
            "functions:\n  f:\n    image: i\n    requests:\n      memroy: 1Gi\n",
            "functions.f: invalid limit or request \"memroy\": expected memory, cpu",
        ),
        (
            "functions:\n  f:\n    image: i\n    limits:\n      memory: 128m\n",
            "functions.f: invalid memory quantity \"128m\": m means milli, thousandths of a byte: write 128Mi",
        ),
        (
            "functions:\n  f:\n    image: i\n    environment:\n      \"\": b\n",
            "functions.f: invalid environment variable \"\"",
        ),
        (
            "functions:\n  f:\n    image: i\n    environment:\n      \"a=b\": c\n",
            "functions.f: invalid environment variable \"a=b\": the name must not",
        ),
        (
            "functions:\n  f:\n    image: i\n    environment:\n      a: \"b\\0\"\n",
            "functions.f: invalid environment variable \"a\": the value holds a NUL",
        ),
        ("functions:\n  F_1:\n    image: i\n", "functions.F_1: invalid function name"),
        ("functions:\n  f: {}\n", "functions.f: no image"),
        ("functions:\n  f:\n    image: i\n    environment_file: [gone.conf]\n", "gone.conf"),
        ("functions: [\n", "line"),
        (&format!("{function}  f:\n    image: j\n"), "f"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("stack.yml"), stack).unwrap();
        let error = read(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{stack}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(read(dir.path()), Err(StackError::Empty(_))));
    fs::write(dir.path().join("a.yml"), function).unwrap();
    fs::write(dir.path().join("b.yaml"), function).unwrap();
    let error = read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("b.yaml: functions.f:") && error.contains("a.yml has it as well"), "{error}");
}

#[test]
fn a_spec_to_fall_back_on_is_read_as_it_was_written_though_it_would_be_refused_today() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("state");
    let limits = Some(Resources { memory: Some("512Ki".into()), cpu: Some("500".into()), ..Resources::default() });
    let older = SpecDraft { image: "i:5".into(), limits, ..SpecDraft::default() };
    assert!(Spec::try_from(older.clone()).is_err());
    let kept = Desired {
        history: [good(5, older.clone()), good(4, older)].into_iter().collect(),
        ..desired(SpecDraft { image: "i:7".into(), ..SpecDraft::default() })
    };
    let id: FunctionId = "f".parse().unwrap();
    write(&dir, &[(id.clone(), kept.clone())], &SecretValues::new()).unwrap();
    assert_eq!(read(&dir).unwrap().functions, [(id, Found::Kept(kept))].into());
}

#[test]
fn an_export_is_read_though_its_keys_of_scaling_would_be_refused_today_and_a_stack_file_is_not() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("state");
    let keys = [
        ("com.openfaas.scale.min", "3"),
        ("com.openfaas.scale.max", "2"),
        ("com.openfaas.scale.factor", "none"),
        ("com.openfaas.scale.zero", "soon"),
    ];
    let labels = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let draft = SpecDraft { image: "i:7".into(), labels, ..SpecDraft::default() };
    let refused = Spec::try_from(draft.clone()).unwrap_err().to_string();
    let history = [good(5, draft.clone()), good(4, draft.clone())].into_iter().collect();
    let spec = Arc::new(Spec::accepted_before(draft));
    let before = desired(SpecDraft { image: "i:7".into(), ..SpecDraft::default() });
    let kept = Desired { spec, history, ..before };
    let id: FunctionId = "f".parse().unwrap();
    write(&dir, &[(id.clone(), kept.clone())], &SecretValues::new()).unwrap();
    assert_eq!(read(&dir).unwrap().functions, [(id, Found::Kept(kept))].into());

    let deployed = read_stack_files(std::slice::from_ref(&dir), &|_| None).unwrap_err().to_string();
    assert!(deployed.contains(&format!("functions.f: {refused}")), "{deployed}");
    fs::remove_file(dir.join("actord.json")).unwrap();
    assert!(read(&dir).unwrap_err().to_string().contains(&refused));
}

#[test]
fn values_of_secrets_are_written_only_when_asked_for_and_for_the_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("state");
    let (namespace, name, unknown) = (Namespace::default(), "db".parse().unwrap(), "token".parse().unwrap());
    let secrets: SecretValues = [(namespace, [(name, Some(b"x\0".to_vec())), (unknown, None)].into())].into();
    write(&dir, &[], &secrets).unwrap();
    assert_eq!(read(&dir).unwrap(), Contents { functions: BTreeMap::new(), secrets });
    let mode = |path: &str| dir.join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("secrets/openfaas-fn"), mode("secrets/openfaas-fn/db")), (0o700, 0o700, 0o600));
    assert!(!dir.join("secrets/openfaas-fn/token").exists());
    let again = write(&dir, &[], &SecretValues::new()).unwrap_err();
    assert!(again.to_string().contains("something in it"), "{again}");
}

#[test]
fn what_is_to_be_deployed_is_read_from_files_and_directories_with_its_variables() {
    let home = tempfile::tempdir().unwrap();
    let (dir, file) = (home.path().join("dir"), home.path().join("odd.name"));
    fs::create_dir(&dir).unwrap();
    let stack = |name: &str, image: &str| {
        format!("provider:\n  name: openfaas\n  gateway: http://g\nfunctions:\n  {name}:\n    image: {image}\n")
    };
    fs::write(dir.join("a.yaml"), stack("a", "${REGISTRY}/a:${TAG:-1}")).unwrap();
    fs::write(&file, stack("b", "me/b") + "    environment_file: [env]\n    registry_auth: x\n").unwrap();
    fs::write(home.path().join("env"), "environment:\n  RAW: ${TAG}\n").unwrap();
    let variables = |name: &str| (name == "REGISTRY").then(|| "docker.io/me".to_owned());
    let read = read_stack_files(&[dir.clone(), file.clone()], &variables).unwrap();
    let images: Vec<&str> = read.functions.values().map(|spec| spec.image.as_str()).collect();
    assert_eq!(images, ["docker.io/me/a:1", "me/b"]);
    assert_eq!(
        read.functions[&"b".parse().unwrap()].env_vars["RAW"],
        "${TAG}",
        "a file of variables is taken as it is"
    );
    assert_eq!(read.gateways, ["http://g".to_owned()].into());

    let twice = read_stack_files(&[file.clone(), file.clone()], &variables).unwrap_err().to_string();
    assert!(twice.contains("functions.b") && twice.contains("odd.name has it as well"), "{twice}");
    fs::write(&file, stack("b", "${TAG")).unwrap();
    let open = read_stack_files(&[file], &variables).unwrap_err().to_string();
    assert!(open.contains("odd.name: line 6: ${TAG"), "{open}");
    let gone = read_stack_files(&[home.path().join("gone.yml")], &variables).unwrap_err().to_string();
    assert!(gone.contains("can't read") && gone.contains("gone.yml"), "{gone}");
}
