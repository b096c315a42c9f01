//! The steps that many cases take.

use std::time::Duration;

use actord::engine::{Mode, Refused, View};
use actord::function::{Desired, FunctionId, Generation, Namespace, Spec, SpecDraft, Status, Tier};
use tokio::time::{sleep, timeout};

use crate::subject::{Kind, Subject};

/// Longer than anything takes that is going to happen.
pub const LONG: Duration = Duration::from_secs(120);

pub fn id(name: &str) -> FunctionId {
    name.parse().unwrap()
}

pub fn dev() -> Namespace {
    "dev".parse().unwrap()
}

pub fn draft<S: Subject>(s: &S, kind: Kind) -> SpecDraft {
    SpecDraft { image: s.image(kind), ..SpecDraft::default() }
}

pub fn spec<S: Subject>(s: &S, kind: Kind) -> Spec {
    draft(s, kind).try_into().unwrap()
}

pub async fn create<S: Subject>(s: &S, name: &str, kind: Kind) -> Result<(), Refused> {
    apply(s, name, spec(s, kind), Mode::Create).await
}

pub async fn update<S: Subject>(s: &S, name: &str, kind: Kind) -> Result<(), Refused> {
    apply(s, name, spec(s, kind), Mode::Update).await
}

pub async fn apply<S: Subject>(s: &S, name: &str, spec: Spec, mode: Mode) -> Result<(), Refused> {
    timeout(LONG, s.engine().apply(id(name), spec, mode)).await.expect("an answer comes")
}

pub async fn rollback<S: Subject>(s: &S, name: &str, to: Option<u64>) -> Result<(), Refused> {
    timeout(LONG, s.engine().rollback(&id(name), to.map(Generation))).await.expect("an answer comes")
}

/// Deploys what serves, and waits until it does.
pub async fn served<S: Subject>(s: &S, name: &str) -> Status {
    create(s, name, Kind::Hello).await.unwrap();
    serves(s, name, 1).await
}

pub async fn delete<S: Subject>(s: &S, name: &str) {
    timeout(LONG, s.engine().delete(&id(name))).await.expect("an answer comes").unwrap();
}

pub async fn scale<S: Subject>(s: &S, name: &str, replicas: u32) {
    timeout(LONG, s.engine().scale(&id(name), replicas)).await.expect("an answer comes").unwrap();
}

pub async fn keep_down<S: Subject>(s: &S, name: &str, down: bool) {
    timeout(LONG, s.engine().keep_down(&id(name), down)).await.expect("an answer comes").unwrap();
}

/// Lets so many run, for a reason that says so.
pub async fn adjust<S: Subject>(s: &S, name: &str, wanted: u32) {
    let adjusted = s.engine().adjust(&id(name), wanted, format!("{wanted} needed")).await;
    adjusted.unwrap();
}

pub async fn rest<S: Subject>(s: &S, name: &str, tier: Tier) {
    timeout(LONG, s.engine().rest(&id(name), tier)).await.expect("an answer comes").unwrap();
}

pub async fn get<S: Subject>(s: &S, name: &str) -> Option<View> {
    s.engine().get(&id(name)).await.unwrap()
}

pub async fn status<S: Subject>(s: &S, name: &str) -> Status {
    get(s, name).await.expect("the function is there").status
}

pub async fn names<S: Subject>(s: &S, namespace: &Namespace) -> Vec<String> {
    s.engine().list(namespace).await.unwrap().iter().map(|view| view.id.name.to_string()).collect()
}

pub fn desired(status: &Status) -> &Desired {
    status.desired.as_ref().expect("what is there is desired")
}

/// Waits until the condition holds.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// Waits until exactly so many instances are ready and published. How the function stands then.
pub async fn serves<S: Subject>(s: &S, name: &str, replicas: u32) -> Status {
    let counted = async || {
        let published = s.routes().published(&id(name)).len();
        get(s, name).await.is_some_and(|view| view.status.ready == replicas) && published == replicas as usize
    };
    until(&format!("{replicas} instances of {name} serve"), counted).await;
    status(s, name).await
}
