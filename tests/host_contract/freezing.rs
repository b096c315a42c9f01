//! Instances that are frozen: what they do not, and what goes on all the same.

use std::time::Duration;

use actord::function::{Exit, SecretName};
use actord::host::{Check, Host, HostError, InstanceConfig, Signal};
use tokio::time::timeout;

use crate::fixture::{
    A_WHILE, LONG, becomes_ready, check, create, creation, found, image, spec, started, torn_down, waited,
};
use crate::subject::{Kind, Subject};

fn is_not_found(answer: &Result<(), HostError>) -> bool {
    matches!(answer, Err(HostError::NotFound(_)))
}

async fn answers(host: &Host, check: &Check, within: Duration) -> bool {
    host.probe.ask(&Check { timeout: within, ..check.clone() }).await.is_ok()
}

pub async fn a_frozen_instance_answers_nothing_until_it_is_thawed<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "sleeper", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    let check = check(&at);
    for _ in 0..3 {
        host.runtime.freeze(&id).await.unwrap();
        assert!(!answers(&host, &check, A_WHILE / 8).await);
        let thaw = async {
            tokio::time::sleep(A_WHILE / 8).await;
            host.runtime.thaw(&id).await.unwrap();
        };
        let (answered, ()) = tokio::join!(answers(&host, &check, LONG), thaw);
        assert!(answered, "a question that waited is answered");
    }
    torn_down(&host, &id).await;
}

pub async fn what_is_frozen_can_be_frozen_and_what_is_not_can_be_thawed<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "sleeper", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    host.runtime.thaw(&id).await.unwrap();
    assert!(answers(&host, &check(&at), LONG).await);
    for _ in 0..2 {
        host.runtime.freeze(&id).await.unwrap();
    }
    assert!(!answers(&host, &check(&at), A_WHILE / 8).await);
    for _ in 0..2 {
        host.runtime.thaw(&id).await.unwrap();
        assert!(answers(&host, &check(&at), LONG).await, "one thaw is enough, however often it was frozen");
    }
    torn_down(&host, &id).await;
}

pub async fn what_does_not_run_is_neither_frozen_nor_thawed<S: Subject>(s: &S) {
    let host = s.host();
    let (ended, at) = started(s, "ended", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    host.runtime.kill(&ended, Signal::KILL).await.unwrap();
    waited(&host, &ended).await;
    let (removed, _) = started(s, "removed", &image(s, Kind::Hello).await).await;
    torn_down(&host, &removed).await;
    for id in [&ended, &removed, &s.fresh_id("nobody")] {
        let (frozen, thawed) = (host.runtime.freeze(id).await, host.runtime.thaw(id).await);
        assert!(is_not_found(&frozen) && is_not_found(&thawed), "{id}: {frozen:?}, {thawed:?}");
    }
    torn_down(&host, &ended).await;
}

pub async fn one_is_frozen_and_another_of_the_same_function_goes_on<S: Subject>(s: &S) {
    let host = s.host();
    let hello = image(s, Kind::Hello).await;
    let ((a, at_a), (b, at_b)) = tokio::join!(started(s, "echo", &hello), started(s, "echo", &hello));
    tokio::join!(becomes_ready(&host, &at_a), becomes_ready(&host, &at_b));
    host.runtime.freeze(&a).await.unwrap();
    assert!(answers(&host, &check(&at_b), LONG).await);
    torn_down(&host, &b).await;
    host.runtime.thaw(&a).await.unwrap();
    assert!(answers(&host, &check(&at_a), LONG).await);
    torn_down(&host, &a).await;
}

pub async fn a_frozen_instance_runs_and_all_is_told_of_it_and_its_secrets_change<S: Subject>(s: &S) {
    let (host, id) = (s.host(), s.fresh_id("sleeper"));
    let hello = image(s, Kind::Hello).await;
    let secret: SecretName = "its".parse().unwrap();
    let creation = InstanceConfig {
        spec: spec(&hello, std::slice::from_ref(&secret)),
        secrets: [(secret.clone(), b"old".to_vec())].into(),
        ..creation(&host, &id, "sleeper", &hello).await
    };
    create(&host, &creation).await.unwrap();
    host.runtime.start(&id).await.unwrap();
    let at = host.network.lookup(&id).await.unwrap();
    becomes_ready(&host, &at).await;
    let (listens, log) = (host.runtime.listening(&id).await.unwrap(), host.runtime.log_tail(&id, 4096).await.unwrap());
    let ends = host.runtime.termination(&id).await.unwrap();

    host.runtime.freeze(&id).await.unwrap();
    let first = host.runtime.usage(&id).await.unwrap();
    assert!(found(&host, &id).await.unwrap().running);
    assert_eq!(host.runtime.listening(&id).await.unwrap(), listens);
    assert_eq!(host.runtime.log_tail(&id, 4096).await.unwrap(), log);
    assert_eq!(host.runtime.termination(&id).await.unwrap(), ends);
    assert!(timeout(A_WHILE / 4, host.runtime.wait(&id)).await.is_err(), "it has not ended");
    host.runtime.update_secrets(&id, &[(secret.clone(), b"new".to_vec())].into()).await.unwrap();
    let last = host.runtime.usage(&id).await.unwrap();
    assert!((last.cpu - first.cpu) * 100 <= last.age - first.age, "{first:?}, then {last:?}");

    host.runtime.thaw(&id).await.unwrap();
    assert_eq!(s.secret(&id, &at, &secret).await, b"new");
    torn_down(&host, &id).await;
}

pub async fn a_frozen_instance_is_ended_as_any_other<S: Subject>(s: &S) {
    let host = s.host();
    for (kind, signal, exit) in [
        (Kind::Hello, Signal::TERM, Exit::Code(0)),
        (Kind::Hello, Signal::KILL, Exit::Signal(9)),
        (Kind::IgnoresTerm, Signal::KILL, Exit::Signal(9)),
    ] {
        let (id, at) = started(s, "sleeper", &image(s, kind).await).await;
        becomes_ready(&host, &at).await;
        host.runtime.freeze(&id).await.unwrap();
        host.runtime.kill(&id, signal).await.unwrap();
        assert_eq!(waited(&host, &id).await, exit, "{kind:?}");
        torn_down(&host, &id).await;
    }
}

pub async fn a_signal_that_is_ignored_thaws_all_the_same<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "deaf", &image(s, Kind::IgnoresTerm).await).await;
    becomes_ready(&host, &at).await;
    host.runtime.freeze(&id).await.unwrap();
    host.runtime.kill(&id, Signal::TERM).await.unwrap();
    assert!(answers(&host, &check(&at), LONG).await, "it has its grace to end in");
    torn_down(&host, &id).await;
}

pub async fn a_frozen_instance_is_removed_and_who_waits_for_it_is_told<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "sleeper", &image(s, Kind::IgnoresTerm).await).await;
    becomes_ready(&host, &at).await;
    host.runtime.freeze(&id).await.unwrap();
    let remove = async {
        tokio::time::sleep(A_WHILE / 4).await;
        torn_down(&host, &id).await;
    };
    let (exit, ()) = tokio::join!(waited(&host, &id), remove);
    assert!(matches!(exit, Exit::Signal(9) | Exit::Vanished), "{exit:?}");
}

pub async fn the_last_call_decides_whether_it_is_frozen<S: Subject>(s: &S) {
    let host = s.host();
    let (id, at) = started(s, "sleeper", &image(s, Kind::Hello).await).await;
    becomes_ready(&host, &at).await;
    let check = check(&at);
    for _ in 0..20 {
        let (frozen, thawed) = tokio::join!(biased; host.runtime.freeze(&id), host.runtime.thaw(&id));
        frozen.and(thawed).unwrap();
        assert!(answers(&host, &check, LONG).await);
    }
    // A caller that goes away before the answer can't know; it thaws.
    let _ = timeout(Duration::ZERO, host.runtime.freeze(&id)).await;
    host.runtime.thaw(&id).await.unwrap();
    assert!(answers(&host, &check, LONG).await);
    torn_down(&host, &id).await;
}
