//! Spares: what an engine keeps beyond what is asked for, and tells of.

use std::collections::BTreeSet;

use actord::engine::Mode;
use actord::function::{Spec, SpecDraft, Tier};

use crate::fixture::{apply, draft, get, id, rest, scale, serves, until};
use crate::subject::{Kind, Subject};

fn with_spare<S: Subject>(s: &S, kind: Kind) -> Spec {
    let annotations = [("actord.spare".to_owned(), "1".to_owned())].into();
    SpecDraft { annotations, ..draft(s, kind) }.try_into().unwrap()
}

async fn stand_by<S: Subject>(s: &S, spares: u32) {
    let told = async || get(s, "f").await.is_some_and(|view| view.status.spares == spares);
    until(&format!("{spares} stand by"), told).await;
}

pub async fn a_spare_is_beyond_what_is_asked_for_and_gets_no_request<S: Subject>(s: &mut S) {
    apply(s, "f", with_spare(s, Kind::Hello), Mode::Create).await.unwrap();
    for replicas in [1, 2, 1] {
        scale(s, "f", replicas).await;
        stand_by(s, 1).await;
        serves(s, "f", replicas).await;
        let published: BTreeSet<_> = s.routes().published(&id("f")).into_iter().collect();
        for _ in 0..5 {
            assert!(published.contains(s.routes().lease(&id("f")).await.unwrap().instance()));
        }
    }
    apply(s, "f", with_spare(s, Kind::HelloAgain), Mode::Update).await.unwrap();
    serves(s, "f", 1).await;
    stand_by(s, 1).await;
    let spec = SpecDraft { annotations: [].into(), ..draft(s, Kind::Hello) }.try_into().unwrap();
    apply(s, "f", spec, Mode::Update).await.unwrap();
    stand_by(s, 0).await;
    serves(s, "f", 1).await;
}

pub async fn nothing_stands_by_for_what_runs_nothing<S: Subject>(s: &mut S) {
    apply(s, "f", with_spare(s, Kind::Hello), Mode::Create).await.unwrap();
    stand_by(s, 1).await;
    rest(s, "f", Tier::Stopped).await;
    serves(s, "f", 0).await;
    stand_by(s, 0).await;
    drop(s.routes().lease(&id("f")).await.unwrap());
    stand_by(s, 1).await;
    scale(s, "f", 0).await;
    serves(s, "f", 0).await;
    stand_by(s, 0).await;
}

pub async fn a_spare_stands_by_after_a_restart<S: Subject>(s: &mut S) {
    apply(s, "f", with_spare(s, Kind::Hello), Mode::Create).await.unwrap();
    stand_by(s, 1).await;
    s.restart().await;
    serves(s, "f", 1).await;
    stand_by(s, 1).await;
    drop(s.routes().lease(&id("f")).await.unwrap());
}
