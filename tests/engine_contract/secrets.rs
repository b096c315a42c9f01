//! Secrets: names go out, values only come in.

use actord::engine::{Mode, Refused, SecretRefused};
use actord::function::{Namespace, SecretName, Spec, SpecDraft};

use crate::fixture::{apply, delete, desired, draft, get, serves, status};
use crate::subject::{Kind, Subject};

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

async fn listed<S: Subject>(s: &S) -> Vec<String> {
    s.secrets().list(&Namespace::default()).await.unwrap().iter().map(ToString::to_string).collect()
}

pub async fn a_secret_is_made_once_changed_and_deleted<S: Subject>(s: &mut S) {
    let (secrets, within) = (s.secrets(), Namespace::default());
    assert_eq!(listed(s).await, [""; 0]);
    for one in ["db", "api", "mail"] {
        secrets.create(&within, name(one), b"1".to_vec()).await.unwrap();
    }
    assert_eq!(listed(s).await, ["api", "db", "mail"]);
    let exists = secrets.create(&within, name("db"), b"2".to_vec()).await;
    assert_eq!(exists, Err(SecretRefused::Exists(name("db"))));
    secrets.update(&within, name("db"), b"3".to_vec()).await.unwrap();
    secrets.delete(&within, name("db"), false).await.unwrap();
    assert_eq!(listed(s).await, ["api", "mail"]);
    secrets.create(&within, name("db"), b"4".to_vec()).await.unwrap();
}

pub async fn a_secret_that_is_not_there_is_neither_changed_nor_deleted<S: Subject>(s: &mut S) {
    let (secrets, within) = (s.secrets(), Namespace::default());
    let missing = Err(SecretRefused::NotFound(name("db")));
    assert_eq!(secrets.update(&within, name("db"), b"1".to_vec()).await, missing);
    assert_eq!(secrets.delete(&within, name("db"), false).await, missing);
    assert_eq!(listed(s).await, [""; 0]);
}

pub async fn a_namespace_that_is_not_there_has_no_secrets<S: Subject>(s: &mut S) {
    let (secrets, nowhere): (_, Namespace) = (s.secrets(), "nowhere".parse().unwrap());
    let refused = SecretRefused::NoNamespace(nowhere.clone());
    assert_eq!(secrets.list(&nowhere).await, Err(refused.clone()));
    assert_eq!(secrets.create(&nowhere, name("db"), Vec::new()).await, Err(refused.clone()));
    assert_eq!(secrets.update(&nowhere, name("db"), Vec::new()).await, Err(refused.clone()));
    assert_eq!(secrets.delete(&nowhere, name("db"), false).await, Err(refused));
}

pub async fn what_was_answered_of_secrets_holds_after_a_restart<S: Subject>(s: &mut S) {
    let within = Namespace::default();
    for one in ["kept", "gone"] {
        s.secrets().create(&within, name(one), b"1".to_vec()).await.unwrap();
    }
    s.secrets().delete(&within, name("gone"), false).await.unwrap();
    s.restart().await;
    assert_eq!(listed(s).await, ["kept"]);
    s.secrets().update(&within, name("kept"), b"2".to_vec()).await.unwrap();
}

fn naming<S: Subject>(s: &S, kind: Kind, secrets: &[&str]) -> Spec {
    let secrets = secrets.iter().map(|one| name(one)).collect();
    SpecDraft { secrets, ..draft(s, kind) }.try_into().unwrap()
}

fn in_use(secret: &str, functions: &[&str]) -> Result<(), SecretRefused> {
    let functions = functions.iter().map(ToString::to_string).collect();
    Err(SecretRefused::InUse { name: name(secret), functions })
}

pub async fn a_secret_that_functions_use_is_kept_and_they_are_named<S: Subject>(s: &mut S) {
    let within = Namespace::default();
    for one in ["db", "api", "free"] {
        s.secrets().create(&within, name(one), b"1".to_vec()).await.unwrap();
    }
    for (function, secrets) in [("g", ["db"].as_slice()), ("f", &["api", "db"])] {
        apply(s, function, naming(s, Kind::Hello, secrets), Mode::Create).await.unwrap();
        serves(s, function, 1).await;
    }
    for _ in 0..2 {
        let secrets = s.secrets();
        assert_eq!(secrets.delete(&within, name("db"), false).await, in_use("db", &["f", "g"]));
        assert_eq!(secrets.delete(&within, name("api"), false).await, in_use("api", &["f"]));
        let elsewhere = secrets.delete(&"dev".parse().unwrap(), name("db"), false).await;
        assert!(matches!(elsewhere, Err(SecretRefused::NoNamespace(_) | SecretRefused::NotFound(_))), "{elsewhere:?}");
        s.restart().await;
    }
    s.secrets().delete(&within, name("free"), false).await.unwrap();
    delete(s, "f").await;
    s.secrets().delete(&within, name("api"), false).await.unwrap();
    assert_eq!(s.secrets().delete(&within, name("db"), false).await, in_use("db", &["g"]));
    // As clients replace a secret: the deletion is refused, then it is there already, then it gets another value.
    assert_eq!(s.secrets().create(&within, name("db"), b"2".to_vec()).await, Err(SecretRefused::Exists(name("db"))));
    s.secrets().update(&within, name("db"), b"2".to_vec()).await.unwrap();
    s.secrets().delete(&within, name("db"), true).await.unwrap();
    assert_eq!(listed(s).await, [""; 0]);
    assert_eq!(s.secrets().delete(&within, name("db"), true).await, Err(SecretRefused::NotFound(name("db"))));
    assert!(get(s, "g").await.is_some(), "the function stays");
    assert_eq!(apply(s, "h", naming(s, Kind::Hello, &["db"]), Mode::Create).await, Err(Refused::NoSecret(name("db"))));
}

pub async fn a_secret_is_used_by_what_serves_and_by_what_is_asked_for<S: Subject>(s: &mut S) {
    let within = Namespace::default();
    for one in ["old", "new"] {
        s.secrets().create(&within, name(one), b"1".to_vec()).await.unwrap();
    }
    apply(s, "f", naming(s, Kind::Hello, &["old"]), Mode::Create).await.unwrap();
    serves(s, "f", 1).await;
    // Refused at once, or accepted and failed later: the old one goes on serving.
    let _ = apply(s, "f", naming(s, Kind::EndsAtOnce, &["new"]), Mode::Update).await;
    assert_eq!(s.secrets().delete(&within, name("old"), false).await, in_use("old", &["f"]));
    let asked = desired(&status(s, "f").await).spec.secrets.contains(&name("new"));
    let deleted = s.secrets().delete(&within, name("new"), false).await;
    assert_eq!(deleted, if asked { in_use("new", &["f"]) } else { Ok(()) });
    apply(s, "f", naming(s, Kind::HelloAgain, &[]), Mode::Update).await.unwrap();
    serves(s, "f", 1).await;
    // What it fell back to before it served is no longer fallen back to.
    let free = async || s.secrets().delete(&within, name("old"), false).await == Ok(());
    crate::fixture::until("the old secret is free", free).await;
}

pub async fn of_a_deploy_and_the_deletion_of_its_secret_exactly_one_is_refused<S: Subject>(s: &mut S) {
    let within = Namespace::default();
    for round in 0..6 {
        let (secret, function) = (format!("s{round}"), format!("f{round}"));
        s.secrets().create(&within, name(&secret), b"1".to_vec()).await.unwrap();
        let secrets = s.secrets();
        let deploy = apply(s, &function, naming(s, Kind::Hello, &[&secret]), Mode::Create);
        let remove = async {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            secrets.delete(&within, name(&secret), false).await
        };
        match futures_util::join!(deploy, remove) {
            (Ok(()), refused) => assert_eq!(refused, in_use(&secret, &[&function])),
            (refused, Ok(())) => assert_eq!(refused, Err(Refused::NoSecret(name(&secret)))),
            both => panic!("{both:?}"),
        }
    }
}
