//! Functions that nothing calls, and numbers that the load asks for.

use std::time::Duration;

use actord::engine::{Mode, Refused};
use actord::function::{Adjusted, Phase, SpecDraft, Tier};
use tokio::time::{sleep, timeout};

use crate::fixture::{
    LONG, adjust, apply, create, delete, desired, draft, id, keep_down, rest, scale, served, serves, status, until,
    update,
};
use crate::subject::{Kind, Subject};

/// Deploys what serves with so many instances, and lets it stop for want of calls.
async fn idle<S: Subject>(s: &S, name: &str, replicas: u32) {
    served(s, name).await;
    scale(s, name, replicas).await;
    serves(s, name, replicas).await;
    rest(s, name, Tier::Stopped).await;
    serves(s, name, 0).await;
}

pub async fn an_idle_function_runs_nothing_and_the_next_call_brings_back_what_was_asked_for<S: Subject>(s: &mut S) {
    idle(s, "f", 2).await;
    let status = status(s, "f").await;
    let asked = desired(&status);
    assert_eq!((status.phase, asked.idle, asked.replicas, asked.running_replicas()), (Phase::Idle, true, 2, 0));
    timeout(LONG, s.routes().lease(&id("f"))).await.expect("an answer comes").unwrap();
    let status = serves(s, "f", 2).await;
    assert!(!desired(&status).idle);
}

pub async fn a_number_an_update_and_a_start_by_hand_end_idleness<S: Subject>(s: &mut S) {
    idle(s, "f", 1).await;
    scale(s, "f", 1).await;
    assert!(!desired(&serves(s, "f", 1).await).idle);
    rest(s, "f", Tier::Stopped).await;
    serves(s, "f", 0).await;
    update(s, "f", Kind::HelloAgain).await.unwrap();
    assert!(!desired(&serves(s, "f", 1).await).idle);
    rest(s, "f", Tier::Stopped).await;
    keep_down(s, "f", true).await;
    assert_eq!(serves(s, "f", 0).await.phase, Phase::Stopped);
    keep_down(s, "f", false).await;
    assert!(!desired(&serves(s, "f", 1).await).idle);
    rest(s, "f", Tier::Stopped).await;
    serves(s, "f", 0).await;
    keep_down(s, "f", false).await;
    assert!(!desired(&serves(s, "f", 1).await).idle, "it was not kept down before");
    rest(s, "f", Tier::Stopped).await;
    serves(s, "f", 0).await;
    rest(s, "f", Tier::Ready).await;
    serves(s, "f", 1).await;
}

pub async fn what_has_a_request_is_not_stopped<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let lease = s.routes().lease(&id("f")).await.unwrap();
    for _ in 0..3 {
        rest(s, "f", Tier::Stopped).await;
        let status = status(s, "f").await;
        assert!(!desired(&status).idle);
        assert_eq!((status.ready, s.routes().published(&id("f")).len()), (1, 1));
        assert!(s.answers(&lease).await);
    }
    drop(lease);
    rest(s, "f", Tier::Stopped).await;
    serves(s, "f", 0).await;
}

pub async fn what_is_idle_starts_nothing_after_a_restart<S: Subject>(s: &mut S) {
    idle(s, "f", 1).await;
    // It is written behind: what is asked for meanwhile is written after it.
    served(s, "g").await;
    sleep(Duration::from_millis(200)).await;
    s.restart().await;
    serves(s, "g", 1).await;
    assert_eq!(serves(s, "f", 0).await.phase, Phase::Idle);
    timeout(LONG, s.routes().lease(&id("f"))).await.expect("an answer comes").unwrap();
    serves(s, "f", 1).await;
}

pub async fn as_many_run_as_the_load_asks_for_and_what_was_asked_for_stays<S: Subject>(s: &mut S) {
    let labels = || [("com.openfaas.scale.max".to_owned(), "4".to_owned())].into();
    let spec = |kind| SpecDraft { labels: labels(), ..draft(s, kind) }.try_into().unwrap();
    apply(s, "f", spec(Kind::Hello), Mode::Create).await.unwrap();
    for wanted in [3, 1, 2] {
        adjust(s, "f", wanted).await;
        let status = serves(s, "f", wanted).await;
        let adjusted = Adjusted { replicas: wanted, reason: format!("{wanted} needed") };
        assert_eq!((desired(&status).replicas, &desired(&status).adjusted), (1, &Some(adjusted)));
    }
    apply(s, "f", spec(Kind::HelloAgain), Mode::Update).await.unwrap();
    serves(s, "f", 2).await;
    scale(s, "f", 1).await;
    assert_eq!(desired(&serves(s, "f", 1).await).adjusted, None, "a number by hand stands in its place");
}

pub async fn the_number_that_the_load_asked_for_is_there_after_a_restart<S: Subject>(s: &mut S) {
    served(s, "f").await;
    adjust(s, "f", 2).await;
    serves(s, "f", 2).await;
    sleep(Duration::from_millis(200)).await;
    s.restart().await;
    assert_eq!(desired(&serves(s, "f", 2).await).replicas, 1);
}

pub async fn the_load_wakes_nothing<S: Subject>(s: &mut S) {
    idle(s, "f", 1).await;
    served(s, "stopped").await;
    keep_down(s, "stopped", true).await;
    served(s, "zero").await;
    scale(s, "zero", 0).await;
    for name in ["f", "stopped", "zero"] {
        serves(s, name, 0).await;
        adjust(s, name, 3).await;
    }
    served(s, "g").await;
    adjust(s, "g", 0).await;
    sleep(Duration::from_millis(500)).await;
    for name in ["f", "stopped", "zero"] {
        assert_eq!(desired(&serves(s, name, 0).await).running_replicas(), 0, "{name}");
    }
    serves(s, "g", 1).await;
}

pub async fn a_function_that_is_not_there_neither_rests_nor_is_adjusted<S: Subject>(s: &mut S) {
    let missing = || Err(Refused::NotFound(id("f")));
    for tier in [Tier::Ready, Tier::Frozen, Tier::Stopped] {
        assert_eq!(s.engine().rest(&id("f"), tier).await, missing());
    }
    assert_eq!(s.engine().adjust(&id("f"), 2, "load".into()).await, missing());
    idle(s, "f", 1).await;
    delete(s, "f").await;
    create(s, "f", Kind::Hello).await.unwrap();
    until("its namesake was idle, it is not", async || status(s, "f").await.phase == Phase::Ready).await;
}
