//! Secrets: names go out, values only come in.

use actord::engine::SecretRefused;
use actord::function::{Namespace, SecretName};

use crate::subject::Subject;

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
    secrets.delete(&within, name("db")).await.unwrap();
    assert_eq!(listed(s).await, ["api", "mail"]);
    secrets.create(&within, name("db"), b"4".to_vec()).await.unwrap();
}

pub async fn a_secret_that_is_not_there_is_neither_changed_nor_deleted<S: Subject>(s: &mut S) {
    let (secrets, within) = (s.secrets(), Namespace::default());
    let missing = Err(SecretRefused::NotFound(name("db")));
    assert_eq!(secrets.update(&within, name("db"), b"1".to_vec()).await, missing);
    assert_eq!(secrets.delete(&within, name("db")).await, missing);
    assert_eq!(listed(s).await, [""; 0]);
}

pub async fn a_namespace_that_is_not_there_has_no_secrets<S: Subject>(s: &mut S) {
    let (secrets, nowhere): (_, Namespace) = (s.secrets(), "nowhere".parse().unwrap());
    let refused = SecretRefused::NoNamespace(nowhere.clone());
    assert_eq!(secrets.list(&nowhere).await, Err(refused.clone()));
    assert_eq!(secrets.create(&nowhere, name("db"), Vec::new()).await, Err(refused.clone()));
    assert_eq!(secrets.update(&nowhere, name("db"), Vec::new()).await, Err(refused.clone()));
    assert_eq!(secrets.delete(&nowhere, name("db")).await, Err(refused));
}

pub async fn what_was_answered_of_secrets_holds_after_a_restart<S: Subject>(s: &mut S) {
    let within = Namespace::default();
    for one in ["kept", "gone"] {
        s.secrets().create(&within, name(one), b"1".to_vec()).await.unwrap();
    }
    s.secrets().delete(&within, name("gone")).await.unwrap();
    s.restart().await;
    assert_eq!(listed(s).await, ["kept"]);
    s.secrets().update(&within, name("kept"), b"2".to_vec()).await.unwrap();
}
