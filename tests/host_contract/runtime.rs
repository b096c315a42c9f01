//! Containers and processes: up, down, and everything in between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actord::function::{Exit, FunctionId, Generation, InstanceId, SecretName, SpecDraft};
use actord::host::{Attachment, HostError, Image, InstanceConfig, InstanceRecord, Signal};
use tokio::time::timeout;

use crate::fixture::{
    A_WHILE, LONG, becomes_ready, check, create, creation, found, image, log_with, name, spec, started, torn_down,
    waited,
};
use crate::subject::{Kind, Subject};

pub async fn an_instance_goes_from_created_to_ready_to_ended_to_nothing<S: Subject>(s: &S) {
    let host = s.host();
    let hello = image(s, Kind::Hello).await;
    let id = s.fresh_id("echo");
    assert_eq!(host.runtime.list().await.unwrap(), []);
    let creation = creation(&host, &id, "echo", &hello).await;
    create(&host, &creation).await.unwrap();
    let mut expected = InstanceRecord {
        id: id.clone(),
        of: Some((FunctionId::new(name("echo"), "contract".parse().unwrap()), Generation(3))),
        running: false,
    };
    assert_eq!(host.runtime.list().await.unwrap(), [expected.clone()]);

    host.runtime.start(&id).await.unwrap();
    let at = host.network.lookup(&id).await.unwrap();
    becomes_ready(&host, &at).await;
    expected.running = true;
    assert_eq!(host.runtime.list().await.unwrap(), [expected.clone()]);

    host.runtime.kill(&id, Signal::TERM).await.unwrap();
    waited(&host, &id).await;
    expected.running = false;
    assert_eq!(host.runtime.list().await.unwrap(), [expected]);
    assert_eq!(host.network.lookup(&id).await.unwrap(), at, "the network outlives the process");

    torn_down(&host, &id).await;
    assert_eq!(host.runtime.list().await.unwrap(), []);
}

pub async fn a_process_that_is_asked_to_end_ends_with_its_own_code<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "echo", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    host.runtime.kill(&id, Signal::TERM).await.unwrap();
    assert_eq!(waited(&host, &id).await, Exit::Code(0));
    torn_down(&host, &id).await;
}

pub async fn a_process_that_ignores_term_is_ended_by_kill<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "deaf", &image(s, Kind::IgnoresTerm).await).await;
    becomes_ready(&host, &at).await;
    host.runtime.kill(&id, Signal::TERM).await.unwrap();
    assert!(timeout(A_WHILE, host.runtime.wait(&id)).await.is_err(), "it ignores SIGTERM");
    assert!(found(&host, &id).await.unwrap().running);
    host.runtime.kill(&id, Signal::KILL).await.unwrap();
    assert_eq!(waited(&host, &id).await, Exit::Signal(9));
    torn_down(&host, &id).await;
}

pub async fn how_an_instance_wants_to_be_ended_is_kept_with_it_until_it_is_removed<S: Subject>(s: &S) {
    let (host, id) = (s.host(), s.fresh_id("echo"));
    let hello = image(s, Kind::Hello).await;
    let draft = SpecDraft {
        image: hello.reference.clone(),
        env_vars: [("write_timeout".to_owned(), "40s".to_owned())].into(),
        ..SpecDraft::default()
    };
    let spec = Arc::new(draft.try_into().unwrap());
    let creation = InstanceConfig { spec, ..creation(&host, &id, "echo", &hello).await };
    assert!(matches!(host.runtime.termination(&id).await, Err(HostError::NotFound(_))));
    create(&host, &creation).await.unwrap();
    for step in ["created", "started", "ended"] {
        let found = host.runtime.termination(&id).await.unwrap();
        assert_eq!(found.signal, Signal::TERM, "{step}");
        assert_eq!(found.grace.or(Duration::from_secs(30)), Duration::from_secs(45), "{step}");
        match step {
            "created" => host.runtime.start(&id).await.unwrap(),
            _ => host.runtime.kill(&id, Signal::KILL).await.unwrap(),
        }
    }
    waited(&host, &id).await;
    torn_down(&host, &id).await;
    assert!(matches!(host.runtime.termination(&id).await, Err(HostError::NotFound(_))));
}

pub async fn a_kill_of_what_does_not_run_is_success<S: Subject>(s: &S) {
    let host = s.host();
    for signal in [Signal::TERM, Signal::KILL] {
        host.runtime.kill(&s.fresh_id("nobody"), signal).await.unwrap();
    }
    let (id, _) = started(s, "brief", &image(s, Kind::ExitsAtStart).await).await;
    waited(&host, &id).await;
    for signal in [Signal::TERM, Signal::KILL] {
        host.runtime.kill(&id, signal).await.unwrap();
    }
    torn_down(&host, &id).await;
    host.runtime.kill(&id, Signal::KILL).await.unwrap();
}

pub async fn a_wait_for_what_is_not_there_says_vanished<S: Subject>(s: &S) {
    let host = s.host();
    assert_eq!(waited(&host, &s.fresh_id("nobody")).await, Exit::Vanished);
    let (id, _) = started(s, "echo", &image(s, Kind::Hello).await).await;
    torn_down(&host, &id).await;
    assert_eq!(waited(&host, &id).await, Exit::Vanished);
}

pub async fn all_who_wait_are_told_and_so_is_who_comes_late<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "echo", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    let kill = async {
        tokio::time::sleep(A_WHILE / 4).await;
        host.runtime.kill(&id, Signal::KILL).await.unwrap();
    };
    let (one, two, ()) = tokio::join!(waited(&host, &id), waited(&host, &id), kill);
    assert_eq!([one, two], [Exit::Signal(9), Exit::Signal(9)]);
    assert_eq!(waited(&host, &id).await, Exit::Signal(9), "the end is remembered until the instance is removed");
    torn_down(&host, &id).await;
}

pub async fn the_exit_code_of_a_process_is_told_and_its_last_words_are_kept<S: Subject>(s: &S) {
    let host = s.host();
    let (id, _) = started(s, "brief", &image(s, Kind::ExitsAtStart).await).await;
    assert_eq!(waited(&host, &id).await, Exit::Code(7));
    log_with(&host, &id, "exiting at start").await;
    torn_down(&host, &id).await;
}

pub async fn the_log_s_tail_is_as_long_as_was_asked_and_an_unknown_log_is_not_found<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "echo", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    let whole = log_with(&host, &id, "hello").await;
    let tail = host.runtime.log_tail(&id, 6).await.unwrap();
    assert!(tail.len() <= 6 && whole.ends_with(&tail) && !tail.is_empty(), "{tail:?} of {whole:?}");
    torn_down(&host, &id).await;
    for unknown in [id, s.fresh_id("nobody")] {
        let refused = host.runtime.log_tail(&unknown, 6).await;
        assert!(matches!(refused, Err(HostError::NotFound(_))), "{refused:?}");
    }
}

pub async fn what_an_instance_uses_is_told_as_long_as_it_runs<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "echo", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    let first = host.runtime.usage(&id).await.unwrap();
    assert!((1 << 10..1 << 30).contains(&first.memory_bytes), "{first:?}");
    assert!(first.age <= LONG && first.cpu <= first.age * 64, "{first:?}");
    tokio::time::sleep(A_WHILE / 4).await;
    let later = host.runtime.usage(&id).await.unwrap();
    assert!(later.cpu >= first.cpu && later.age >= first.age + A_WHILE / 8, "{first:?}, then {later:?}");
    host.runtime.kill(&id, Signal::KILL).await.unwrap();
    waited(&host, &id).await;
    for nobody in [id.clone(), s.fresh_id("nobody")] {
        let refused = host.runtime.usage(&nobody).await;
        assert!(matches!(refused, Err(HostError::NotFound(_))), "{refused:?}");
    }
    torn_down(&host, &id).await;
}

pub async fn what_an_instance_wrote_is_counted_as_long_as_it_is_there<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "echo", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    let wrote = host.runtime.written(&id, u64::MAX).await.unwrap();
    assert!(wrote < 1 << 20, "{wrote}");
    torn_down(&host, &id).await;
    for nobody in [id, s.fresh_id("nobody")] {
        let refused = host.runtime.written(&nobody, u64::MAX).await;
        assert!(matches!(refused, Err(HostError::NotFound(_))), "{refused:?}");
    }
}

pub async fn what_an_instance_listens_on_is_told_as_long_as_it_runs_and_is_its_own<S: Subject>(s: &S) {
    let host = s.host();
    let made = s.fresh_id("made");
    let hello = image(s, Kind::Hello).await;
    create(&host, &creation(&host, &made, "made", &hello).await).await.unwrap();
    let (one, at_one) = started(s, "one", &hello).await;
    let (two, at_two) = started(s, "two", &image(s, Kind::TwoPorts).await).await;
    tokio::join!(becomes_ready(&host, &at_one), becomes_ready(&host, &at_two));
    let everywhere: SocketAddr = ([0, 0, 0, 0], 8080).into();
    let inside: SocketAddr = ([127, 0, 0, 1], 5000).into();
    assert_eq!(host.runtime.listening(&one).await.unwrap(), Some(vec![everywhere]));
    // The second port may come a moment after the first.
    let both = async {
        while host.runtime.listening(&two).await.unwrap() != Some(vec![everywhere, inside]) {
            tokio::time::sleep(A_WHILE / 40).await;
        }
    };
    timeout(LONG, both).await.expect("it listens on two ports");
    host.runtime.kill(&two, Signal::KILL).await.unwrap();
    waited(&host, &two).await;
    for nobody in [made.clone(), two.clone(), s.fresh_id("nobody")] {
        let refused = host.runtime.listening(&nobody).await;
        assert!(matches!(refused, Err(HostError::NotFound(_))), "{refused:?}");
    }
    for id in [made, one, two] {
        torn_down(&host, &id).await;
    }
}

pub async fn a_running_instance_is_removed_and_who_waits_for_it_is_told<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "echo", &image(s, Kind::IgnoresTerm).await).await;
    becomes_ready(&host, &at).await;
    let remove = async {
        tokio::time::sleep(A_WHILE / 4).await;
        torn_down(&host, &id).await;
    };
    let (exit, ()) = tokio::join!(waited(&host, &id), remove);
    assert!(matches!(exit, Exit::Signal(9) | Exit::Vanished), "{exit:?}");
}

pub async fn an_instance_that_never_started_ends_when_it_is_asked_to<S: Subject>(s: &S) {
    let (host, id) = (s.host(), s.fresh_id("echo"));
    let hello = image(s, Kind::Hello).await;
    create(&host, &creation(&host, &id, "echo", &hello).await).await.unwrap();
    host.runtime.kill(&id, Signal::TERM).await.unwrap();
    waited(&host, &id).await;
    torn_down(&host, &id).await;
}

pub async fn an_instance_that_never_started_is_removed<S: Subject>(s: &S) {
    let host = s.host();
    let id = s.fresh_id("echo");
    let creation = creation(&host, &id, "echo", &image(s, Kind::Hello).await).await;
    create(&host, &creation).await.unwrap();
    torn_down(&host, &id).await;
}

pub async fn remove_of_what_is_not_there_is_success<S: Subject>(s: &S) {
    let host = s.host();
    host.runtime.remove(&s.fresh_id("nobody")).await.unwrap();
    let (id, _) = started(s, "echo", &image(s, Kind::Hello).await).await;
    for _ in 0..2 {
        torn_down(&host, &id).await;
    }
}

pub async fn an_image_that_cannot_be_run_is_a_spec_error_and_what_it_left_is_removed<S: Subject>(s: &S) {
    let host = s.host();
    let id = s.fresh_id("hopeless");
    let creation = creation(&host, &id, "hopeless", &image(s, Kind::Unrunnable).await).await;
    let refused = create(&host, &creation).await;
    assert!(matches!(refused, Err(HostError::Spec(_))), "{refused:?}");
    assert!(!found(&host, &id).await.is_some_and(|found| found.running));
    torn_down(&host, &id).await;
}

/// Brings an instance up that has these secrets.
async fn with_secrets<S: Subject>(s: &S, secrets: &[(SecretName, Vec<u8>)]) -> (InstanceId, Attachment) {
    let host = s.host();
    let hello = image(s, Kind::Hello).await;
    let id = s.fresh_id("keeper");
    let names: Vec<_> = secrets.iter().map(|(name, _)| name.clone()).collect();
    let creation = InstanceConfig {
        spec: spec(&hello, &names),
        secrets: secrets.iter().cloned().collect(),
        ..creation(&host, &id, "keeper", &hello).await
    };
    create(&host, &creation).await.unwrap();
    host.runtime.start(&id).await.unwrap();
    let at = host.network.lookup(&id).await.unwrap();
    becomes_ready(&host, &at).await;
    (id, at)
}

pub async fn the_process_finds_its_secrets<S: Subject>(s: &S) {
    let secrets: [(SecretName, Vec<u8>); 2] =
        [("db-password".parse().unwrap(), b"p\xc3\xa4ss\nword".to_vec()), ("empty".parse().unwrap(), Vec::new())];
    let (id, at) = with_secrets(s, &secrets).await;
    for (name, value) in &secrets {
        assert_eq!(s.secret(&id, &at, name).await, *value, "{name}");
    }
    torn_down(&s.host(), &id).await;
}

pub async fn the_process_finds_new_values_of_its_secrets_while_it_runs<S: Subject>(s: &S) {
    let host = s.host();
    let [changed, kept]: [SecretName; 2] = ["changed", "kept"].map(|name| name.parse().unwrap());
    let (id, at) = with_secrets(s, &[(changed.clone(), b"old".to_vec()), (kept.clone(), b"kept".to_vec())]).await;
    for value in ["new", "new", "", "a longer one"] {
        let new = [(changed.clone(), value.as_bytes().to_vec())].into();
        host.runtime.update_secrets(&id, &new).await.unwrap();
        assert_eq!(s.secret(&id, &at, &changed).await, value.as_bytes());
        assert_eq!(s.secret(&id, &at, &kept).await, b"kept");
    }
    torn_down(&host, &id).await;
    let refused = host.runtime.update_secrets(&id, &[(changed, Vec::new())].into()).await;
    assert!(matches!(refused, Err(HostError::NotFound(_))), "{refused:?}");
}

pub async fn a_secret_that_an_instance_does_not_have_is_not_given_to_it<S: Subject>(s: &S) {
    let host = s.host();
    let (id, _) = with_secrets(s, &[("its".parse().unwrap(), Vec::new())]).await;
    let refused = host.runtime.update_secrets(&id, &[("anothers".parse().unwrap(), Vec::new())].into()).await;
    assert!(matches!(refused, Err(HostError::NotFound(_))), "{refused:?}");
    torn_down(&host, &id).await;
}

pub async fn two_instances_of_one_function_live_and_die_apart<S: Subject>(s: &S) {
    let host = s.host();
    let hello = image(s, Kind::Hello).await;
    let ((a, at_a), (b, at_b)) = tokio::join!(started(s, "echo", &hello), started(s, "echo", &hello));
    tokio::join!(becomes_ready(&host, &at_a), becomes_ready(&host, &at_b));
    assert_eq!(host.runtime.list().await.unwrap().iter().filter(|found| found.running).count(), 2);
    torn_down(&host, &a).await;
    host.probe.ask(&check(&at_b)).await.unwrap();
    assert!(timeout(A_WHILE / 4, host.runtime.wait(&b)).await.is_err(), "the other one goes on");
    torn_down(&host, &b).await;
}

pub async fn a_process_that_has_not_started_or_has_ended_is_not_ready<S: Subject>(s: &S) {
    let host = s.host();
    let id = s.fresh_id("echo");
    let creation = creation(&host, &id, "echo", &image(s, Kind::Hello).await).await;
    let at = host.network.lookup(&id).await.unwrap();
    create(&host, &creation).await.unwrap();
    let asked = timeout(LONG, host.probe.ask(&check(&at))).await.unwrap();
    assert!(!asked.unwrap_err().is_empty());
    host.runtime.start(&id).await.unwrap();
    becomes_ready(&host, &at).await;
    host.runtime.kill(&id, Signal::KILL).await.unwrap();
    waited(&host, &id).await;
    timeout(LONG, host.probe.ask(&check(&at))).await.unwrap().unwrap_err();
    torn_down(&host, &id).await;
}

pub async fn an_id_that_exists_is_refused_and_goes_on<S: Subject>(s: &S) {
    let host = s.host();
    let hello = image(s, Kind::Hello).await;
    let (id, at) = started(s, "echo", &hello).await;
    becomes_ready(&host, &at).await;
    let again = InstanceConfig {
        id: id.clone(),
        function: FunctionId::new(name("thief"), "contract".parse().unwrap()),
        generation: Generation(9),
        spec: spec(&hello, &[]),
        image: hello,
        secrets: Default::default(),
    };
    let refused = create(&host, &again).await.unwrap_err();
    assert!(refused.to_string().contains(id.as_str()), "{refused}");
    let found = found(&host, &id).await.unwrap();
    assert!(found.running);
    assert_eq!(found.of.unwrap().1, Generation(3));
    host.probe.ask(&check(&at)).await.unwrap();
    torn_down(&host, &id).await;
}

pub async fn what_was_not_created_cannot_be_started<S: Subject>(s: &S) {
    let refused = s.host().runtime.start(&s.fresh_id("nobody")).await;
    assert!(refused.is_err());
}

pub async fn nothing_is_started_twice<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "echo", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    host.runtime.start(&id).await.unwrap_err();
    host.probe.ask(&check(&at)).await.unwrap();
    torn_down(&host, &id).await;
}

pub async fn an_instance_is_prepared_while_its_network_is_made_and_created_when_it_has_both<S: Subject>(s: &S) {
    let (host, id) = (s.host(), s.fresh_id("echo"));
    let hello = image(s, Kind::Hello).await;
    let config = InstanceConfig {
        id: id.clone(),
        function: FunctionId::new(name("echo"), "contract".parse().unwrap()),
        generation: Generation(3),
        spec: spec(&hello, &[]),
        image: hello,
        secrets: Default::default(),
    };
    let (at, prepared) = tokio::join!(host.network.attach(&id), host.runtime.prepare(&config));
    prepared.unwrap();
    let at = at.unwrap();
    assert_eq!(found(&host, &id).await, Some(InstanceRecord { id: id.clone(), of: None, running: false }));
    host.runtime.create(&id, &at).await.unwrap();
    host.runtime.start(&id).await.unwrap();
    becomes_ready(&host, &at).await;
    assert!(found(&host, &id).await.is_some_and(|found| found.running && found.of.is_some()));
    torn_down(&host, &id).await;
}

pub async fn an_instance_that_was_only_prepared_is_found_and_removed<S: Subject>(s: &S) {
    let (host, id) = (s.host(), s.fresh_id("echo"));
    let creation = creation(&host, &id, "echo", &image(s, Kind::Hello).await).await;
    host.runtime.prepare(&creation).await.unwrap();
    assert!(found(&host, &id).await.is_some_and(|found| !found.running));
    torn_down(&host, &id).await;
}

pub async fn what_was_not_prepared_cannot_be_created<S: Subject>(s: &S) {
    let (host, id) = (s.host(), s.fresh_id("nobody"));
    let creation = creation(&host, &id, "nobody", &image(s, Kind::Hello).await).await;
    let at = host.network.lookup(&id).await.unwrap();
    host.runtime.create(&id, &at).await.unwrap_err();
    host.runtime.prepare(&creation).await.unwrap();
    host.runtime.remove(&id).await.unwrap();
    host.runtime.create(&id, &at).await.unwrap_err();
    torn_down(&host, &id).await;
}

pub async fn without_its_network_an_instance_is_not_created<S: Subject>(s: &S) {
    let host = s.host();
    let hello = image(s, Kind::Hello).await;
    let id = s.fresh_id("lonely");
    let creation = creation(&host, &id, "lonely", &hello).await;
    let at = host.network.lookup(&id).await.unwrap();
    host.network.detach(&id).await.unwrap();
    host.runtime.prepare(&creation).await.unwrap();
    host.runtime.create(&id, &at).await.unwrap_err();
    torn_down(&host, &id).await;
}

pub async fn without_its_image_an_instance_is_not_created<S: Subject>(s: &S) {
    let host = s.host();
    let id = s.fresh_id("empty");
    let digest = format!("sha256:{}", "0".repeat(64));
    let reference = "docker.io/actord/nowhere:1".to_owned();
    let nowhere = Image { reference, digest: digest.clone(), chain_id: digest, ..Image::default() };
    let creation = creation(&host, &id, "empty", &nowhere).await;
    create(&host, &creation).await.unwrap_err();
    torn_down(&host, &id).await;
}
