//! Namespaces: where functions live.

use actord::engine::{NamespaceRefused, SecretRefused};
use actord::function::{Namespace, NamespaceMetadata};

use crate::fixture::{delete, dev, served};
use crate::subject::Subject;

fn about(text: &str) -> NamespaceMetadata {
    let annotations = [("about".to_owned(), text.to_owned())].into();
    NamespaceMetadata { annotations, ..NamespaceMetadata::of_functions() }
}

async fn listed<S: Subject>(s: &S) -> Vec<String> {
    s.namespaces().list().await.unwrap().iter().map(ToString::to_string).collect()
}

pub async fn the_default_namespace_is_always_there_and_first<S: Subject>(s: &mut S) {
    let default = Namespace::default();
    assert_eq!(listed(s).await, ["openfaas-fn"]);
    assert_eq!(s.namespaces().get(&default).await, Ok(Some(NamespaceMetadata::of_functions())));
    for name in ["zoo", "dev"] {
        s.namespaces().create(&name.parse().unwrap(), about(name)).await.unwrap();
    }
    assert_eq!(listed(s).await, ["openfaas-fn", "dev", "zoo"]);
    let refused = s.namespaces().delete(&default).await;
    assert_eq!(refused, Err(NamespaceRefused::Default(default)));
}

pub async fn a_namespace_is_made_once_changed_and_deleted<S: Subject>(s: &mut S) {
    let namespaces = s.namespaces();
    namespaces.create(&dev(), about("one")).await.unwrap();
    assert_eq!(namespaces.create(&dev(), about("two")).await, Err(NamespaceRefused::Exists(dev())));
    assert_eq!(namespaces.get(&dev()).await, Ok(Some(about("one"))));
    namespaces.update(&dev(), about("three")).await.unwrap();
    assert_eq!(namespaces.get(&dev()).await, Ok(Some(about("three"))));
    namespaces.delete(&dev()).await.unwrap();
    assert_eq!((namespaces.get(&dev()).await, listed(s).await), (Ok(None), vec!["openfaas-fn".to_owned()]));
}

pub async fn a_namespace_that_is_not_there_is_neither_changed_nor_deleted<S: Subject>(s: &mut S) {
    let missing = Err(NamespaceRefused::NotFound(dev()));
    assert_eq!(s.namespaces().update(&dev(), about("x")).await, missing);
    assert_eq!(s.namespaces().delete(&dev()).await, missing);
    assert_eq!(s.namespaces().get(&dev()).await, Ok(None));
}

pub async fn a_namespace_with_functions_in_it_is_kept_and_they_are_named<S: Subject>(s: &mut S) {
    s.namespaces().create(&dev(), about("x")).await.unwrap();
    for name in ["g.dev", "f.dev"] {
        served(s, name).await;
    }
    let functions = vec!["f".to_owned(), "g".to_owned()];
    let refused = s.namespaces().delete(&dev()).await;
    assert_eq!(refused, Err(NamespaceRefused::InUse { namespace: dev(), functions }));
    assert_eq!(s.namespaces().get(&dev()).await, Ok(Some(about("x"))));
    for name in ["f.dev", "g.dev"] {
        delete(s, name).await;
    }
    s.namespaces().delete(&dev()).await.unwrap();
}

pub async fn secrets_go_with_their_namespace<S: Subject>(s: &mut S) {
    s.namespaces().create(&dev(), about("x")).await.unwrap();
    s.secrets().create(&dev(), "db".parse().unwrap(), b"pw".to_vec()).await.unwrap();
    assert_eq!(s.secrets().list(&Namespace::default()).await, Ok(Vec::new()), "each namespace has its own");
    s.namespaces().delete(&dev()).await.unwrap();
    assert_eq!(s.secrets().list(&dev()).await, Err(SecretRefused::NoNamespace(dev())));
    s.namespaces().create(&dev(), about("y")).await.unwrap();
    assert_eq!(s.secrets().list(&dev()).await, Ok(Vec::new()));
}

pub async fn what_was_answered_of_namespaces_holds_after_a_restart<S: Subject>(s: &mut S) {
    let gone: Namespace = "gone".parse().unwrap();
    for namespace in [&dev(), &gone] {
        s.namespaces().create(namespace, about("x")).await.unwrap();
    }
    s.namespaces().update(&dev(), about("y")).await.unwrap();
    s.namespaces().delete(&gone).await.unwrap();
    s.restart().await;
    assert_eq!(listed(s).await, ["openfaas-fn", "dev"]);
    assert_eq!(s.namespaces().get(&dev()).await, Ok(Some(about("y"))));
}
