//! What is told of functions.

use std::collections::BTreeSet;

use actord::engine::{Mode, View};
use actord::function::{Generation, InstancePhase, Namespace, NamespaceMetadata, Phase};
use tokio::time::timeout;

use crate::fixture::{LONG, delete, dev, get, id, names, scale, served, serves, spec, until};
use crate::subject::{Kind, Subject};

pub async fn a_list_is_sorted_by_name_and_of_its_namespace<S: Subject>(s: &mut S) {
    s.namespaces().create(&dev(), NamespaceMetadata::of_functions()).await.unwrap();
    for name in ["c", "a", "b.dev", "b"] {
        served(s, name).await;
    }
    assert_eq!(names(s, &Namespace::default()).await, ["a", "b", "c"]);
    assert_eq!(names(s, &dev()).await, ["b"]);
    assert_eq!(names(s, &"nowhere".parse().unwrap()).await, [""; 0]);
    for listed in s.engine().list(&Namespace::default()).await.unwrap() {
        // It serves by its own word, and no start is under way that could wait for something.
        assert_eq!((listed.step, &listed.waits_for, &listed.judged), (None, &None, &None));
        // Time passes between the two.
        let untimed = |view| View { in_phase_for: None, ..view };
        let got = s.engine().get(&listed.id).await.unwrap();
        assert_eq!(got.map(untimed), Some(untimed(listed)));
    }
}

pub async fn what_runs_is_measured_and_what_does_not_is_left_out<S: Subject>(s: &mut S) {
    assert_eq!(s.engine().measure(Some(&id("f"))).await, []);
    for name in ["f", "g"] {
        served(s, name).await;
    }
    let measured = async || {
        let mut used = s.engine().measure(None).await;
        used.sort_by(|a, b| a.0.cmp(&b.0));
        used.into_iter().map(|(id, used)| (id, used.memory_bytes > 0)).collect::<Vec<_>>()
    };
    until("both use memory", async || measured().await == [(id("f"), true), (id("g"), true)]).await;
    let one: Vec<_> = s.engine().measure(Some(&id("g"))).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(one, [id("g")]);
    assert_eq!(s.engine().cpu_time(&id("nobody")).await, None);
    assert!(s.engine().cpu_time(&id("f")).await.is_some());
    let sampled = async || {
        let used = s.engine().sample(&[id("f"), id("nobody")]).await;
        used.into_iter().map(|(id, used)| (id, used.memory_bytes > 0)).collect::<Vec<_>>()
    };
    assert_eq!(sampled().await, [(id("f"), true)]);
    scale(s, "f", 0).await;
    serves(s, "f", 0).await;
    until("one is left", async || measured().await == [(id("g"), true)]).await;
    assert_eq!(s.engine().cpu_time(&id("f")).await, None);
    assert_eq!(sampled().await, []);
}

pub async fn what_serves_is_told_instance_by_instance_until_it_is_gone<S: Subject>(s: &mut S) {
    assert_eq!(s.engine().instances(&id("f")), []);
    served(s, "f").await;
    served(s, "g").await;
    scale(s, "f", 2).await;
    serves(s, "f", 2).await;
    let told = s.engine().instances(&id("f"));
    assert!(told.iter().all(|one| one.phase == InstancePhase::Ready && one.generation == Generation(1)), "{told:?}");
    let places: BTreeSet<_> = told.iter().map(|one| (&one.id, one.address.is_some())).collect();
    assert!(places.len() == 2 && places.iter().all(|(_, listens)| *listens), "{told:?}");
    scale(s, "f", 0).await;
    until("both are gone", async || s.engine().instances(&id("f")).is_empty()).await;
    assert_eq!(s.engine().instances(&id("g")).len(), 1);
    delete(s, "g").await;
    until("all are gone", async || s.engine().instances(&id("g")).is_empty()).await;
}

pub async fn reads_are_answered_while_a_deploy_hangs<S: Subject>(s: &mut S) {
    served(s, "g").await;
    let (engine, spec) = (s.engine(), spec(s, Kind::Hangs));
    let deploy = tokio::spawn(async move { engine.apply(id("f"), spec, Mode::Create).await });
    until("it is there", async || get(s, "f").await.is_some()).await;
    assert!(!deploy.is_finished(), "its caller waits");
    assert_eq!(get(s, "f").await.unwrap().status.phase, Phase::Starting);
    assert_eq!(names(s, &Namespace::default()).await, ["f", "g"]);
    timeout(LONG, s.engine().measure(None)).await.expect("a measure is answered");
    delete(s, "f").await;
    assert_eq!(get(s, "f").await, None);
    timeout(LONG, deploy).await.expect("its caller is answered").unwrap().ok();
}
