//! What a new function may rely on.

use actord::engine::{Mode, Refused};
use actord::function::{Generation, Namespace, Phase, SpecDraft};
use actord::routes::NoEndpoint;
use futures_util::future::{join_all, poll_immediate};
use jiff::Timestamp;

use crate::fixture::{apply, create, delete, desired, draft, get, id, names, served, serves, spec, status, until};
use crate::subject::{Kind, Subject};

pub async fn what_was_deployed_serves_and_is_shown_as_it_was_asked_for<S: Subject>(s: &mut S) {
    let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let asked = SpecDraft {
        env_vars: pair("mode", "fast"),
        labels: pair("team", "blue"),
        annotations: pair("about", "nothing"),
        ..draft(s, Kind::Hello)
    };
    let before = Timestamp::now();
    apply(s, "f", asked.clone().try_into().unwrap(), Mode::Create).await.unwrap();
    let status = serves(s, "f", 1).await;
    assert_eq!((status.phase, status.ready, status.serving), (Phase::Ready, 1, Some(Generation(1))));
    assert_eq!((status.restarts, &status.failure), (0, &None));
    let desired = desired(&status);
    assert_eq!(SpecDraft::from((*desired.spec).clone()), asked);
    assert_eq!((desired.generation, desired.replicas), (Generation(1), 1));
    let created: Timestamp = desired.created_at.parse().expect("RFC 3339");
    assert!(before <= created && created <= Timestamp::now(), "{created}");
    let lease = s.routes().lease(&id("f")).await.unwrap();
    assert_eq!(s.routes().published(&id("f")), std::slice::from_ref(lease.instance()));
}

pub async fn as_many_instances_are_started_as_the_label_says<S: Subject>(s: &mut S) {
    let labels = [("com.openfaas.scale.min".to_owned(), "2".to_owned())].into();
    let asked = SpecDraft { labels, ..draft(s, Kind::Hello) };
    apply(s, "f", asked.try_into().unwrap(), Mode::Create).await.unwrap();
    assert_eq!(desired(&serves(s, "f", 2).await).replicas, 2);
}

pub async fn a_name_has_one_winner_among_many_who_create_it<S: Subject>(s: &mut S) {
    let s = &*s;
    let answers = join_all((0..20).map(|_| create(s, "f", Kind::Hello))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let exists = Err(Refused::Exists(id("f")));
    assert!(answers.iter().all(|answer| answer.is_ok() || *answer == exists), "{answers:?}");
    assert_eq!(desired(&serves(s, "f", 1).await).generation, Generation(1));
}

pub async fn a_create_of_what_is_there_is_refused_and_changes_nothing<S: Subject>(s: &mut S) {
    let before = served(s, "f").await;
    let published = s.routes().published(&id("f"));
    assert_eq!(create(s, "f", Kind::HelloAgain).await, Err(Refused::Exists(id("f"))));
    assert_eq!((status(s, "f").await, s.routes().published(&id("f"))), (before, published));
}

pub async fn a_create_that_cannot_run_leaves_nothing<S: Subject>(s: &mut S) {
    for kind in [Kind::Unknown, Kind::Unrunnable, Kind::FindsNoCommand] {
        let refused = create(s, "f", kind).await.unwrap_err();
        assert!(matches!(&refused, Refused::Unrunnable(reason) if !reason.is_empty()), "{kind:?}: {refused:?}");
        assert_eq!(get(s, "f").await, None);
        assert_eq!(names(s, &Namespace::default()).await, [""; 0]);
        assert!(matches!(s.routes().lease(&id("f")).await, Err(NoEndpoint::Unknown(_))));
        s.restart().await;
        assert_eq!(get(s, "f").await, None, "nor after a restart");
    }
    served(s, "f").await;
}

pub async fn what_ends_at_once_never_serves_and_says_why<S: Subject>(s: &mut S) {
    create(s, "f", Kind::EndsAtOnce).await.unwrap();
    for restart in [false, true] {
        if restart {
            s.restart().await;
        }
        let backs_off = async || matches!(status(s, "f").await.phase, Phase::BackingOff { .. });
        until("it backs off", backs_off).await;
        let status = status(s, "f").await;
        assert_eq!((status.ready, status.serving, &desired(&status).failed), (0, None, &None));
        assert!(status.failure.as_ref().is_some_and(|failure| failure.reason.contains("code 7")), "{status:?}");
    }
    assert_eq!(s.routes().published(&id("f")), []);
    delete(s, "f").await;
}

pub async fn a_secret_that_is_not_there_is_refused_and_nothing_is_kept<S: Subject>(s: &mut S) {
    let missing = SpecDraft { secrets: vec!["db".parse().unwrap()], ..draft(s, Kind::Hello) };
    let refused = apply(s, "f", missing.clone().try_into().unwrap(), Mode::Create).await;
    assert_eq!(refused, Err(Refused::NoSecret("db".parse().unwrap())));
    assert_eq!(get(s, "f").await, None);
    let before = served(s, "f").await;
    let refused = apply(s, "f", missing.try_into().unwrap(), Mode::Update).await;
    assert_eq!((refused, status(s, "f").await), (Err(Refused::NoSecret("db".parse().unwrap())), before));
}

pub async fn a_function_whose_secrets_are_there_serves<S: Subject>(s: &mut S) {
    s.secrets().create(&Namespace::default(), "db".parse().unwrap(), b"pw".to_vec()).await.unwrap();
    let asked = SpecDraft { secrets: vec!["db".parse().unwrap()], ..draft(s, Kind::Hello) };
    apply(s, "f", asked.try_into().unwrap(), Mode::Create).await.unwrap();
    serves(s, "f", 1).await;
}

pub async fn a_deploy_into_a_namespace_that_is_not_there_is_refused<S: Subject>(s: &mut S) {
    let refused = create(s, "f.nowhere", Kind::Hello).await;
    assert_eq!(refused, Err(Refused::NoNamespace("nowhere".parse().unwrap())));
    assert_eq!(get(s, "f.nowhere").await, None);
}

pub async fn what_was_deployed_is_there_after_a_restart<S: Subject>(s: &mut S) {
    let before = served(s, "f").await;
    s.restart().await;
    assert_eq!(desired(&status(s, "f").await).spec, desired(&before).spec, "it is there at once");
    let after = serves(s, "f", 1).await;
    assert_eq!((after.desired, after.phase, after.serving), (before.desired, before.phase, before.serving));
    assert_eq!(create(s, "f", Kind::Hello).await, Err(Refused::Exists(id("f"))));
}

pub async fn a_deploy_whose_caller_left_goes_on<S: Subject>(s: &mut S) {
    let engine = s.engine();
    // Asked once, then dropped.
    let deploy = poll_immediate(engine.apply(id("f"), spec(s, Kind::Hello), Mode::Create));
    assert!(deploy.await.is_none_or(|answer| answer.is_ok()));
    serves(s, "f", 1).await;
}
