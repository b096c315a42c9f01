//! Networks: one namespace and address per instance, and nothing after detach.

use std::collections::BTreeSet;

use actord::function::Outbound;
use actord::host::{HostError, WarmId};

use crate::subject::Subject;

pub async fn an_attached_instance_is_listed_and_looked_up_until_it_is_detached<S: Subject>(s: &S) {
    let network = s.host().network;
    let id = s.fresh_id("net");
    assert_eq!(network.list().await.unwrap(), []);
    let at = network.attach(&id).await.unwrap();
    assert!(!at.address.is_unspecified());
    assert!(at.netns.is_absolute());
    assert_eq!(network.list().await.unwrap(), std::slice::from_ref(&id));
    assert_eq!(network.lookup(&id).await.unwrap(), at);
    network.detach(&id).await.unwrap();
    assert_eq!(network.list().await.unwrap(), []);
    assert!(matches!(network.lookup(&id).await, Err(HostError::NotFound(_))));
}

pub async fn an_attached_instance_is_restricted_any_number_of_times_and_stays_where_it_is<S: Subject>(s: &S) {
    let network = s.host().network;
    let id = s.fresh_id("net");
    let places = ["none", "192.0.2.0/24:443", "all"].map(|text| text.parse::<Outbound>().unwrap());
    assert!(matches!(network.restrict(&id, &places[0]).await, Err(HostError::NotFound(_))));
    let at = network.attach(&id).await.unwrap();
    for outbound in [&places[0], &places[0], &places[1], &places[2]] {
        network.restrict(&id, outbound).await.unwrap();
        assert_eq!(network.lookup(&id).await.unwrap(), at);
    }
    network.detach(&id).await.unwrap();
    assert_eq!(network.list().await.unwrap(), []);
    assert!(matches!(network.restrict(&id, &places[0]).await, Err(HostError::NotFound(_))));
}

pub async fn two_instances_have_different_addresses_and_namespaces<S: Subject>(s: &S) {
    let network = s.host().network;
    let (a, b) = (s.fresh_id("net"), s.fresh_id("net"));
    let (at_a, at_b) = tokio::join!(network.attach(&a), network.attach(&b));
    let (at_a, at_b) = (at_a.unwrap(), at_b.unwrap());
    assert_ne!(at_a.address, at_b.address);
    assert_ne!(at_a.netns, at_b.netns);
    network.detach(&a).await.unwrap();
    assert_eq!(network.list().await.unwrap(), std::slice::from_ref(&b));
    assert_eq!(network.lookup(&b).await.unwrap(), at_b);
    network.detach(&b).await.unwrap();
}

pub async fn detach_of_what_is_not_there_is_success<S: Subject>(s: &S) {
    let network = s.host().network;
    let id = s.fresh_id("net");
    network.detach(&id).await.unwrap();
    network.attach(&id).await.unwrap();
    for _ in 0..2 {
        network.detach(&id).await.unwrap();
    }
    assert_eq!(network.list().await.unwrap(), []);
}

pub async fn an_instance_that_is_not_attached_is_not_found<S: Subject>(s: &S) {
    let network = s.host().network;
    match network.lookup(&s.fresh_id("net")).await {
        Err(HostError::NotFound(_)) => {}
        other => panic!("{other:?}"),
    }
}

pub async fn an_instance_can_be_attached_while_others_come_and_go<S: Subject>(s: &S) {
    let network = s.host().network;
    let stays = s.fresh_id("stays");
    let at = network.attach(&stays).await.unwrap();
    let ids: Vec<_> = (0..8).map(|_| s.fresh_id("goes")).collect();
    let (attached, mut addresses) = (ids.iter().map(|id| network.attach(id)), BTreeSet::from([at.address]));
    for at in futures_util::future::join_all(attached).await {
        assert!(addresses.insert(at.unwrap().address), "an address was given twice");
    }
    for done in futures_util::future::join_all(ids.iter().map(|id| network.detach(id))).await {
        done.unwrap();
    }
    assert_eq!(network.list().await.unwrap(), std::slice::from_ref(&stays));
    assert_eq!(network.lookup(&stays).await.unwrap(), at);
    network.detach(&stays).await.unwrap();
}

pub async fn a_second_attach_is_an_error_and_leaves_the_first_as_it_was<S: Subject>(s: &S) {
    let network = s.host().network;
    let id = s.fresh_id("net");
    let at = network.attach(&id).await.unwrap();
    let refused = network.attach(&id).await.unwrap_err();
    assert!(refused.to_string().contains(id.as_str()), "{refused}");
    assert_eq!(network.lookup(&id).await.unwrap(), at);
    network.detach(&id).await.unwrap();
    assert_eq!(network.list().await.unwrap(), []);
}

pub async fn a_warm_attachment_is_no_instances_until_one_claims_it_and_then_it_is_as_attached<S: Subject>(s: &S) {
    let network = s.host().network;
    let (warm, id) = (WarmId::random(), s.fresh_id("net"));
    assert_eq!(network.list_warm().await.unwrap(), []);
    network.warm(&warm).await.unwrap();
    assert_eq!(network.list_warm().await.unwrap(), [(warm.clone(), true)]);
    assert_eq!(network.list().await.unwrap(), []);
    let at = network.claim(&warm, &id).await.unwrap();
    assert!(!at.address.is_unspecified() && at.netns.is_absolute());
    assert_eq!(network.list_warm().await.unwrap(), []);
    assert_eq!(network.list().await.unwrap(), std::slice::from_ref(&id));
    assert_eq!(network.lookup(&id).await.unwrap(), at);
    // What was claimed is the instance's.
    network.discard(&warm).await.unwrap();
    assert_eq!(network.lookup(&id).await.unwrap(), at);
    for _ in 0..2 {
        network.detach(&id).await.unwrap();
    }
    assert_eq!(network.list().await.unwrap(), []);
    assert_eq!(network.list_warm().await.unwrap(), []);
}

pub async fn a_warm_attachment_is_claimed_by_one_instance_only<S: Subject>(s: &S) {
    let network = s.host().network;
    let (warm, a, b) = (WarmId::random(), s.fresh_id("net"), s.fresh_id("net"));
    network.warm(&warm).await.unwrap();
    let both = tokio::join!(network.claim(&warm, &a), network.claim(&warm, &b));
    let (won, lost) = match both {
        (Ok(at), Err(error)) => ((&a, at), (&b, error)),
        (Err(error), Ok(at)) => ((&b, at), (&a, error)),
        both => panic!("{both:?}"),
    };
    assert!(matches!(lost.1, HostError::NotFound(_)), "{:?}", lost.1);
    assert_eq!(network.list().await.unwrap(), std::slice::from_ref(won.0));
    // It goes on without.
    let at = network.attach(lost.0).await.unwrap();
    assert_ne!(at.address, won.1.address);
    for id in [&a, &b] {
        network.detach(id).await.unwrap();
    }
}

pub async fn a_warm_attachment_that_is_not_there_is_not_found_and_discarded_already<S: Subject>(s: &S) {
    let network = s.host().network;
    let (warm, id) = (WarmId::random(), s.fresh_id("net"));
    network.discard(&warm).await.unwrap();
    assert!(matches!(network.claim(&warm, &id).await, Err(HostError::NotFound(_))));
    network.warm(&warm).await.unwrap();
    for _ in 0..2 {
        network.discard(&warm).await.unwrap();
    }
    assert!(matches!(network.claim(&warm, &id).await, Err(HostError::NotFound(_))));
    assert_eq!(network.list_warm().await.unwrap(), []);
    assert_eq!(network.list().await.unwrap(), []);
}
