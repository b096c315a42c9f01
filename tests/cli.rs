//! The program as it is called: verbs, errors and exit codes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use actord::data_dir::DataDir;
use actord::function::NamespaceMetadata;
use actord::function::{Desired, Generation, GoodGeneration, Namespace, Resources, Spec, SpecDraft};
use actord::queue::head::Head;
use actord::store::calls::{Bounds, Calls, NewCall, Settled, State};
use actord::store::{Namespaces, Secrets, Store};
use serde_json::json;

fn actord(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_actord")).args(arguments).env_remove("RUST_LOG").output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_says_its_version_and_its_verbs() {
    let version = format!("actord {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(actord(&["version"]).stdout).unwrap(), version);
    let help = String::from_utf8(actord(&["--help"]).stdout).unwrap();
    for verb in
        "up down upgrade export import image doctor completion apply ls describe rm invoke scale logs events secret namespace version"
            .split(' ')
    {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} is not in:\n{help}");
    }
}

#[test]
fn every_shell_is_told_the_verbs_and_the_flags() {
    // What each shell's script would not be without.
    for (shell, word) in [
        ("bash", "complete -F _actord"),
        ("zsh", "#compdef actord"),
        ("fish", "complete -c actord"),
        ("elvish", "edit:completion:arg-completer[actord]"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName 'actord'"),
    ] {
        let output = actord(&["completion", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains(word), "{shell}: {script}");
        for known in ["import", "cni-subnet", "with-secret-values", "completion"] {
            assert!(script.contains(known), "{shell} is not told {known}");
        }
    }
    assert_eq!(actord(&["completion", "tcsh"]).status.code(), Some(2));
}

#[test]
fn bash_takes_the_completion_and_completes_a_verb_by_it() {
    // From a file, as bash takes it: it is longer than one argument may be.
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), actord(&["completion", "bash"]).stdout).unwrap();
    let ask = "source $0; COMP_WORDS=(actord imp); COMP_CWORD=1; _actord actord imp actord; echo \"${COMPREPLY[@]}\"";
    let asked = Command::new("bash").arg("-euc").arg(ask).arg(script.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "import", "{}", stderr(&asked));
}

#[test]
fn every_verb_that_asks_a_gateway_explains_itself_with_an_example() {
    let verbs = "apply/ls/describe/rm/invoke/scale/logs/events/secret ls/secret create/secret update/secret rm/namespace ls/\
                 namespace get/namespace create/namespace update/namespace rm";
    for verb in verbs.split('/') {
        let words: Vec<&str> = verb.split(' ').chain(["--help"]).collect();
        let help = String::from_utf8(actord(&words).stdout).unwrap();
        assert!(help.contains("Example:\n  ") && help.contains(&format!("actord {verb} ")), "{verb}:\n{help}");
        assert!(help.contains("--gateway <URL>") && help.contains("--output <SHAPE>"), "{verb}:\n{help}");
    }
}

#[test]
fn a_wrong_setting_ends_with_2_and_a_sentence_before_anything_starts() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_actord"))
        .args(["up", "--data-dir", data.to_str().unwrap()])
        .env("ACTORD_CNI_SUBNET", "10.62.0.1/16")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean 10.62.0.0/16?"), "{}", stderr(&output));
    assert!(!data.exists());
}

#[test]
fn the_environment_beats_the_file() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let file = home.path().join("actord.toml");
    std::fs::write(&file, format!("state-dir = \"{}/run\"\n", data.display())).unwrap();
    // It gets no further than this lock, which it tries after its settings were accepted.
    let _held = actord::data_dir::DataDir::open(&data).unwrap();
    let up = |state_dir: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_actord"));
        command.args(["up", "--data-dir", data.to_str().unwrap()]).env("ACTORD_CONFIG", &file);
        if let Some(state_dir) = state_dir {
            command.env("ACTORD_STATE_DIR", state_dir);
        }
        command.output().unwrap()
    };
    assert!(stderr(&up(None)).contains("one inside the other"), "{}", stderr(&up(None)));
    let accepted = up(Some(&home.path().join("state")));
    assert!(stderr(&accepted).contains("running actord"), "{}", stderr(&accepted));
}

#[test]
fn a_second_actord_on_the_same_data_is_kept_out_by_name() {
    let home = tempfile::tempdir().unwrap();
    let held = actord::data_dir::DataDir::open(home.path()).unwrap();
    for verb in ["up", "down"] {
        let output = actord(&[verb, "--data-dir", home.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&format!("pid {}", std::process::id())), "{}", stderr(&output));
    }
    drop(held);
}

/// Every value that a desired state can have.
fn desired(image: &str) -> Desired {
    let spec = |image: String| {
        let draft = SpecDraft {
            image,
            env_process: "python3 index.py".into(),
            env_vars: [("debug".to_owned(), "true".to_owned()), ("text".to_owned(), "a\nb: c\n".to_owned())].into(),
            constraints: vec!["node.role == worker".into()],
            secrets: vec!["db".parse().unwrap()],
            labels: [("com.openfaas.scale.min".to_owned(), "2".to_owned())].into(),
            annotations: [("topic".to_owned(), "x".to_owned())].into(),
            limits: Some(Resources { memory: Some("128Mi".into()), ..Resources::default() }),
            requests: Some(Resources {
                cpu: Some("0.5".into()),
                others: [("nvidia.com/gpu".to_owned(), "1".to_owned())].into(),
                ..Resources::default()
            }),
            read_only_root_filesystem: true,
        };
        Arc::new(Spec::try_from(draft).unwrap())
    };
    let good = |number: u64| GoodGeneration {
        generation: Generation(number),
        spec: spec(format!("{image}-good-{number}")),
        accepted_at: format!("2026-01-0{number}T03:04:05Z"),
    };
    Desired {
        generation: Generation(7),
        spec: spec(image.to_owned()),
        replicas: 3,
        kept_down: true,
        idle: false,
        adjusted: None,
        accepted_at: "2026-02-02T03:04:05Z".into(),
        history: [good(5), good(3)].into_iter().collect(),
        has_served: false,
        failed: Some("pull failed".into()),
        created_at: "2026-01-02T03:04:05.000000006Z".into(),
        refused: None,
    }
}

fn import(data: &Path, from: &Path, more: &[&str]) -> Output {
    let arguments = ["import", from.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    actord(&[&arguments, more].concat())
}

#[tokio::test]
async fn what_is_exported_from_a_running_actord_is_imported_into_an_empty_one_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let (data, out, fresh) = (home.path().join("data"), home.path().join("out"), home.path().join("fresh"));
    // Held as a running actord holds them.
    let _lock = DataDir::open(&data).unwrap();
    let store = Store::open(&data.join("actord.db")).unwrap();
    let namespaces = Namespaces::new(store.clone(), Secrets::new(data.join("secrets")));
    namespaces.create(&"staging".parse().unwrap(), NamespaceMetadata::of_functions()).await.unwrap();
    for (id, image) in [("a", "me/a:1"), ("b", "me/b:1"), ("a.staging", "me/a:2")] {
        store.put(&id.parse().unwrap(), &desired(image)).await.unwrap();
    }
    let (namespace, name) = (Namespace::default(), "db".parse().unwrap());
    Secrets::new(data.join("secrets")).write(&namespace, &name, b"hunter2").unwrap();

    let arguments = ["export", out.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    let exported = actord(&arguments);
    assert!(exported.status.success(), "{}", stderr(&exported));
    for file in std::fs::read_dir(&out).unwrap() {
        let file = file.unwrap().path();
        assert!(!std::fs::read_to_string(&file).unwrap().contains("hunter2"), "{}", file.display());
    }
    let imported = import(&fresh, &out, &[]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let said = String::from_utf8(imported.stdout).unwrap();
    assert!(said.contains("3 functions") && said.contains("db in openfaas-fn, db in staging"), "{said}");
    assert_eq!(Store::read(&fresh.join("actord.db")).unwrap(), store.all().await.unwrap());

    // Again with the values, into the one that has the functions by now.
    std::fs::remove_dir_all(&out).unwrap();
    let told = actord(&[&arguments[..], &["--with-secret-values", "--output", "json"]].concat());
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let calls = json!({ "waiting": 0, "dead": 0 });
    let expected = json!({
        "directory": out, "functions": 3, "secrets": 1, "withSecretValues": true, "calls": calls, "withCalls": false,
    });
    assert_eq!(told, expected);
    let refused = import(&fresh, &out, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("a.openfaas-fn, a.staging, b.openfaas-fn; --replace"), "{}", stderr(&refused));
    assert!(import(&fresh, &out, &["--replace"]).status.success());
    let secrets = Secrets::new(fresh.join("secrets"));
    assert_eq!(secrets.read(&namespace, std::slice::from_ref(&name)).unwrap()[&name], b"hunter2");
}

/// A call that is to be kept.
fn call(function: &str) -> NewCall {
    NewCall {
        head: Head(vec![("x-api-key".into(), b"hunter2".to_vec())]).encode(),
        body: "{}".into(),
        ..NewCall::plain(function.parse().unwrap())
    }
}

#[tokio::test]
async fn calls_that_wait_and_dead_letters_go_along_where_that_is_asked_for_and_twice_is_once() {
    let home = tempfile::tempdir().unwrap();
    let (data, out, fresh) = (home.path().join("data"), home.path().join("out"), home.path().join("fresh"));
    let _lock = DataDir::open(&data).unwrap();
    let store = Store::open(&data.join("actord.db")).unwrap();
    store.put(&"a".parse().unwrap(), &desired("me/a:1")).await.unwrap();
    let calls = Calls::open(&data.join("calls.db"), Bounds::default(), 0).unwrap();
    let (waits, letter) = (call("a"), call("a"));
    calls.accept(waits.clone()).await.unwrap();
    let seq = calls.accept(letter.clone()).await.unwrap().head.seq;
    let dead = Settled::Dead { attempt: None, reason: "no".into(), answer: None };
    calls.settle(seq, dead).await.unwrap();

    let arguments = ["export", out.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    let told = String::from_utf8(actord(&arguments).stdout).unwrap();
    let words = "1 asynchronous calls that wait and 1 dead letters are not in it: --with-calls";
    assert!(told.contains(words) && !out.join("calls.ndjson").exists(), "{told}");
    std::fs::remove_dir_all(&out).unwrap();
    let told = String::from_utf8(actord(&[&arguments[..], &["--with-calls"]].concat()).stdout).unwrap();
    assert!(told.ends_with("; 1 asynchronous calls that wait and 1 dead letters\n"), "{told}");
    let lines = std::fs::read_to_string(out.join("calls.ndjson")).unwrap();
    assert_eq!(lines.lines().count(), 2);

    // A line that is none: nothing is imported of the whole directory.
    std::fs::write(out.join("calls.ndjson"), format!("{lines}{{\"id\": \"../../x\"}}\n")).unwrap();
    let refused = import(&fresh, &out, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("calls.ndjson: line 3: missing field"), "{}", stderr(&refused));
    assert!(!fresh.exists());

    // A file of calls that can't be opened: no function and no secret is there then.
    std::fs::write(out.join("calls.ndjson"), lines).unwrap();
    let newer = home.path().join("newer");
    std::fs::create_dir(&newer).unwrap();
    Calls::open(&newer.join("calls.db"), Bounds::default(), 0).unwrap().close().await.unwrap();
    let mut bytes = std::fs::read(newer.join("calls.db")).unwrap();
    // Where SQLite has a file's `user_version`.
    bytes[60..64].copy_from_slice(&999_u32.to_be_bytes());
    std::fs::write(newer.join("calls.db"), bytes).unwrap();
    let refused = import(&newer, &out, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("calls.db"), "{}", stderr(&refused));
    let functions = Store::open(&newer.join("actord.db")).unwrap();
    assert!(functions.get(&"a".parse().unwrap()).await.unwrap().is_none());

    for (more, words) in [
        (&[][..], "2 asynchronous calls and dead letters taken over (0 more"),
        (&["--replace"], "0 asynchronous calls and dead letters taken over (2 more"),
    ] {
        let imported = import(&fresh, &out, more);
        assert!(imported.status.success(), "{}", stderr(&imported));
        let told = String::from_utf8(imported.stdout).unwrap();
        assert!(told.contains(words), "{told}");
    }
    let there = Calls::open(&fresh.join("calls.db"), Bounds::default(), 0).unwrap();
    for (id, state) in [(waits.id, State::Waiting), (letter.id, State::Dead)] {
        let call = there.by_id(id).await.unwrap().unwrap();
        assert_eq!((call.call.state, call.sound), (state, true));
        assert_eq!(
            Head::decode(&call.request.unwrap().head),
            Some(Head(vec![("content-length".into(), b"2".to_vec())])),
            "what may be a secret stays behind"
        );
    }
}

#[tokio::test]
async fn stack_files_that_people_wrote_are_imported_all_or_none() {
    let home = tempfile::tempdir().unwrap();
    let (data, stacks) = (home.path().join("data"), home.path().join("stacks"));
    std::fs::create_dir(&stacks).unwrap();
    let stack = "version: 1.0\nprovider: {name: openfaas}\nfunctions:\n  f:\n    lang: go\n    image: me/f:1\n";
    std::fs::write(stacks.join("stack.yml"), stack).unwrap();
    std::fs::write(stacks.join("wrong.yml"), "functions:\n  g:\n    image: i\n    limits: {cpu: much}\n").unwrap();
    let refused = import(&data, &stacks, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("wrong.yml: functions.g: invalid cpu quantity"), "{}", stderr(&refused));
    assert!(!data.exists());

    std::fs::remove_file(stacks.join("wrong.yml")).unwrap();
    assert!(import(&data, &stacks, &[]).status.success());
    let read = || Store::read(&data.join("actord.db")).unwrap().remove(0).1;
    let first = read();
    assert_eq!((first.generation, first.replicas, first.has_served), (Generation(1), 1, false));
    assert!(!first.created_at.is_empty());

    // An update, as a deploy would make it: what served before is what is gone back to.
    let store = Store::open(&data.join("actord.db")).unwrap();
    store.put(&"f".parse().unwrap(), &Desired { has_served: true, ..first.clone() }).await.unwrap();
    drop(store);
    std::fs::write(stacks.join("stack.yml"), stack.replace("f:1", "f:2")).unwrap();
    assert_eq!(import(&data, &stacks, &[]).status.code(), Some(1));
    assert!(import(&data, &stacks, &["--replace"]).status.success());
    let second = read();
    assert_eq!((second.generation, second.spec.image.as_str(), second.has_served), (Generation(2), "me/f:2", false));
    let good = GoodGeneration { generation: Generation(1), spec: first.spec, accepted_at: first.accepted_at };
    assert!(!good.accepted_at.is_empty() && !second.accepted_at.is_empty());
    assert_eq!(second.history, [good].into_iter().collect());
    assert!(import(&data, &stacks, &["--replace"]).status.success());
    assert_eq!(read(), second);

    let _running = DataDir::open(&data).unwrap();
    let refused = import(&data, &stacks, &["--replace"]);
    assert!(stderr(&refused).contains("running actord"), "{}", stderr(&refused));
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_and_ends_with_1_without_disturbing_a_running_actord() {
    let home = tempfile::tempdir().unwrap();
    let (data, state) = (home.path().join("data"), home.path().join("state"));
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let settings = [
        ["--data-dir", data.to_str().unwrap()],
        ["--state-dir", state.to_str().unwrap()],
        ["--listen", &taken.to_string()],
        ["--provider-listen", "127.0.0.1:0"],
        ["--metrics-listen", "127.0.0.1:0"],
        ["--dashboard-listen", "none"],
        ["--containerd-binary", "/nonexistent/containerd"],
        ["--cni-plugin-dir", "/nonexistent/cni"],
        ["--output", "json"],
    ];
    let doctor = || {
        let output = actord(&[&["doctor"], settings.concat().as_slice()].concat());
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output, said)
    };
    let find = |said: &serde_json::Value, check: &str| {
        let all = said["findings"].as_array().unwrap();
        all.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{check}: {said}")).clone()
    };
    let (output, said) = doctor();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(stderr(&output).contains("checks failed"), "{}", stderr(&output));
    let port = find(&said, &format!("port {}", taken.port()));
    assert_eq!(port["state"], "failure");
    assert!(port["found"].as_str().unwrap().contains(&format!("pid {}", std::process::id())), "{port}");
    for (check, remedy) in [
        ("containerd", "apt-get install containerd runc"),
        ("plugin bridge", "apt-get install containernetworking-plugins"),
    ] {
        let found = find(&said, check);
        assert_eq!((&found["state"], &found["remedy"]), (&"failure".into(), &remedy.into()), "{found}");
    }
    assert!(!data.exists() && !state.exists(), "looking makes nothing");

    // As a running actord holds it; this test's listener answers nothing.
    let lock = DataDir::open(&data).unwrap();
    let store = Store::open(&data.join("actord.db")).unwrap();
    store.put(&"a".parse().unwrap(), &desired("me/a:1")).await.unwrap();
    let (_, said) = doctor();
    assert_eq!(find(&said, "desired state")["found"], "1 function");
    let running = find(&said, "actord");
    assert_eq!(running["state"], "failure");
    assert!(running["found"].as_str().unwrap().starts_with(&format!("pid {} does not answer", std::process::id())));
    store.put(&"b".parse().unwrap(), &desired("me/b:1")).await.unwrap();
    assert_eq!(find(&doctor().1, "desired state")["found"], "2 functions");
    drop(lock);
}

#[test]
fn pack_writes_an_archive_that_is_the_same_each_time() {
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("hello.txt");
    std::fs::write(&source, "hello").unwrap();
    let pack = |output: &Path| {
        let file = format!("{}:/etc/hello.txt:644", source.display());
        let done = actord(&[
            "image",
            "pack",
            "--reference",
            "docker.io/actord/hello:1",
            "--file",
            &file,
            "--entrypoint",
            "/hello",
            "--cmd",
            "-v",
            "--env",
            "A=1",
            "--label",
            "b=2",
            "--port",
            "8080/tcp",
            "--output",
            output.to_str().unwrap(),
        ]);
        assert!(done.status.success(), "{}", stderr(&done));
        std::fs::read(output).unwrap()
    };
    let first = pack(&home.path().join("1.tar"));
    assert!(first == pack(&home.path().join("2.tar")));
    let names: Vec<_> = tar::Archive::new(first.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(names.iter().any(|name| name == "index.json"), "{names:?}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 3, "nothing unfinished is left");
}

#[test]
fn pack_names_the_file_that_it_can_not_read() {
    let output =
        actord(&["image", "pack", "--reference", "hello:1", "--file", "/nonexistent:/hello", "--output", "/dev/null"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent"), "{}", stderr(&output));
}

#[test]
fn what_an_upgrade_that_is_under_way_might_undo_is_refused_with_what_to_wait_for() {
    let home = tempfile::tempdir().unwrap();
    let (data, stacks, upgrade) = (home.path().join("data"), home.path().join("stacks"), home.path().join("upgrade"));
    for made in [&data, &stacks, &upgrade] {
        std::fs::create_dir(made).unwrap();
    }
    std::fs::write(stacks.join("stack.yml"), "functions:\n  env:\n    image: me/env:1\n").unwrap();
    let address = "127.0.0.1:1";
    let marker = json!({
        "protocol": 1, "id": "one", "step": "copied", "schema_changed": true, "data_dir": data, "cgroup_parent": "/actord",
        "from": { "version": "0.1.0" }, "to": { "version": "0.2.0" }, "program": "/usr/bin/actord", "settings": [],
        "addresses": { "public": address, "provider": address, "metrics": address }, "unit": null, "boot_id": "boot",
        "trial": { "secs": 60, "nanos": 0 }, "begun": "2026-01-02T03:04:05Z", "before": {},
    });
    let file = upgrade.join("trial.json");
    std::fs::write(&file, marker.to_string()).unwrap();
    let more = ["--upgrade-dir", upgrade.to_str().unwrap()];
    let arguments = ["bundle", "apply", "/nowhere/bundle.tar", "--data-dir", data.to_str().unwrap()];
    let apply = || actord(&[&arguments[..], &more].concat());
    for refused in [import(&data, &stacks, &more), apply()] {
        assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
        for word in ["from 0.1.0 to 0.2.0 is under way", "trial.json is gone"] {
            assert!(stderr(&refused).contains(word), "{word}: {}", stderr(&refused));
        }
    }
    assert!(!data.join("actord.db").exists(), "nothing was opened");

    std::fs::remove_file(&file).unwrap();
    assert!(import(&data, &stacks, &more).status.success());
    assert!(stderr(&apply()).contains("/nowhere/bundle.tar"), "it goes on to the bundle");
}
