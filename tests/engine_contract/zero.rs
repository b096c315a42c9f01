//! Functions of which nothing runs: until a call comes, or until an operator says so.

use std::sync::Arc;
use std::time::Duration;

use actord::engine::{Mode, Refused};
use actord::function::{Generation, Phase, SpecDraft};
use actord::routes::NoEndpoint;
use tokio::time::{sleep, timeout};

use crate::fixture::{
    LONG, apply, create, delete, desired, draft, id, keep_down, scale, served, serves, status, update,
};
use crate::subject::{Kind, Subject};

/// Deploys what serves, and scales it to zero.
async fn at_zero<S: Subject>(s: &S, name: &str) {
    served(s, name).await;
    scale(s, name, 0).await;
    serves(s, name, 0).await;
}

pub async fn a_call_at_zero_starts_an_instance_and_waits_for_it<S: Subject>(s: &mut S) {
    at_zero(s, "f").await;
    let lease = timeout(LONG, s.routes().lease(&id("f"))).await.expect("an answer comes").unwrap();
    let status = serves(s, "f", 1).await;
    assert_eq!((status.phase, desired(&status).replicas), (Phase::Ready, 1));
    assert_eq!(s.routes().published(&id("f")), [lease.instance().clone()]);
}

pub async fn many_calls_at_zero_cost_one_start_and_each_is_answered<S: Subject>(s: &mut S) {
    at_zero(s, "f").await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let routes = s.routes();
            tokio::spawn(async move { timeout(LONG, routes.lease(&id("f"))).await })
        })
        .collect();
    let mut answered = Vec::new();
    for call in calls {
        answered.push(call.await.unwrap().expect("an answer comes").unwrap().instance().clone());
    }
    let status = serves(s, "f", 1).await;
    assert_eq!(desired(&status).replicas, 1);
    assert_eq!(answered, vec![s.routes().published(&id("f")).remove(0); 50]);
}

pub async fn a_call_at_zero_starts_as_many_as_the_label_says<S: Subject>(s: &mut S) {
    let labels = [("com.openfaas.scale.min".to_owned(), "2".to_owned())].into();
    let spec = SpecDraft { labels, ..draft(s, Kind::Hello) }.try_into().unwrap();
    apply(s, "f", spec, Mode::Create).await.unwrap();
    scale(s, "f", 0).await;
    serves(s, "f", 0).await;
    timeout(LONG, s.routes().lease(&id("f"))).await.expect("an answer comes").unwrap();
    assert_eq!(desired(&serves(s, "f", 2).await).replicas, 2);
}

pub async fn what_a_call_woke_is_awake_after_a_restart<S: Subject>(s: &mut S) {
    at_zero(s, "f").await;
    timeout(LONG, s.routes().lease(&id("f"))).await.expect("an answer comes").unwrap();
    // It is written behind the caller's back, and behind this scale, which changes nothing.
    scale(s, "f", 1).await;
    s.restart().await;
    assert_eq!(desired(&serves(s, "f", 1).await).replicas, 1);
}

pub async fn what_is_stopped_stays_so_whatever_is_called_scaled_or_deployed<S: Subject>(s: &mut S) {
    served(s, "f").await;
    keep_down(s, "f", true).await;
    keep_down(s, "f", true).await;
    let status = serves(s, "f", 0).await;
    assert_eq!((status.phase, desired(&status).replicas, desired(&status).kept_down), (Phase::Stopped, 1, true));
    let refused = s.routes().lease(&id("f")).await.unwrap_err();
    assert_eq!(refused, NoEndpoint::KeptDown(id("f")));
    scale(s, "f", 2).await;
    timeout(LONG / 20, update(s, "f", Kind::HelloAgain)).await.expect("it waits for nothing").unwrap();
    sleep(Duration::from_millis(500)).await;
    let status = serves(s, "f", 0).await;
    assert_eq!((status.phase, desired(&status).replicas), (Phase::Stopped, 2));
    assert!(matches!(s.routes().lease(&id("f")).await, Err(NoEndpoint::KeptDown(_))));
    keep_down(s, "f", false).await;
    keep_down(s, "f", false).await;
    let status = serves(s, "f", 2).await;
    assert_eq!((status.phase, status.serving, desired(&status).kept_down), (Phase::Ready, Some(Generation(2)), false));
}

pub async fn what_was_stopped_or_started_by_hand_is_so_after_a_restart<S: Subject>(s: &mut S) {
    served(s, "f").await;
    for (down, replicas) in [(true, 0), (false, 1)] {
        keep_down(s, "f", down).await;
        s.restart().await;
        let status = serves(s, "f", replicas).await;
        assert_eq!((desired(&status).kept_down, desired(&status).replicas), (down, 1));
    }
}

pub async fn a_request_under_way_is_finished_before_what_is_stopped_is_gone<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let routes = Arc::clone(&s.routes());
    let lease = routes.lease(&id("f")).await.unwrap();
    keep_down(s, "f", true).await;
    let drained = tokio::spawn(routes.drained(&id("f"), lease.instance()).wait());
    sleep(Duration::from_millis(200)).await;
    assert!(!drained.is_finished(), "it has a request");
    drop(lease);
    timeout(LONG, drained).await.expect("it is drained").unwrap();
}

pub async fn a_stop_of_what_is_not_there_is_refused_and_a_stopped_function_can_be_deleted<S: Subject>(s: &mut S) {
    for down in [true, false] {
        assert_eq!(s.engine().keep_down(&id("f"), down).await, Err(Refused::NotFound(id("f"))));
    }
    served(s, "f").await;
    keep_down(s, "f", true).await;
    delete(s, "f").await;
    create(s, "f", Kind::Hello).await.unwrap();
    assert!(!desired(&serves(s, "f", 1).await).kept_down, "its namesake was stopped, it is not");
    assert!(!desired(&status(s, "f").await).kept_down);
}
