//! What a function that was updated may rely on when it is rolled back.

use actord::engine::{Mode, Refused};
use actord::function::{Generation, Phase, SpecDraft, Status, Tier};
use futures_util::FutureExt as _;
use jiff::Timestamp;

use crate::fixture::{
    apply, create, desired, draft, id, keep_down, rest, rollback, scale, served, serves, spec, status, update,
};
use crate::subject::{Kind, Subject};

/// Deploys one that serves and updates it, and waits until that serves.
async fn updated<S: Subject>(s: &S, name: &str) -> Status {
    served(s, name).await;
    update(s, name, Kind::HelloAgain).await.unwrap();
    serves(s, name, 1).await
}

fn kept(status: &Status) -> Vec<u64> {
    desired(status).kept().iter().map(|kept| kept.generation.0).collect()
}

pub async fn a_rollback_brings_back_what_served_before_and_a_second_one_undoes_that<S: Subject>(s: &mut S) {
    let began = Timestamp::now();
    assert_eq!(kept(&updated(s, "f").await), [2, 1]);
    for (generation, kind, left) in [(3, Kind::Hello, [3, 2]), (4, Kind::HelloAgain, [4, 3])] {
        {
            let answer = rollback(s, "f", None);
            tokio::pin!(answer);
            loop {
                let answered = (&mut answer).now_or_never();
                assert_ne!(s.routes().published(&id("f")), [], "one serves at every moment");
                if let Some(answer) = answered {
                    answer.unwrap();
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        let status = serves(s, "f", 1).await;
        assert_eq!((status.phase, status.serving), (Phase::Ready, Some(Generation(generation))));
        assert_eq!((&desired(&status).spec, kept(&status)), (&spec(s, kind).into(), left.into()));
        for kept in &desired(&status).kept() {
            let at: Timestamp = kept.accepted_at.parse().expect("RFC 3339");
            assert!(began <= at && at <= Timestamp::now(), "{at}");
        }
    }
}

pub async fn a_generation_that_is_kept_can_be_named_and_another_is_refused_with_those_that_are<S: Subject>(s: &mut S) {
    served(s, "f").await;
    assert!(matches!(rollback(s, "f", None).await, Err(Refused::NotKept { to: None, .. })));
    for round in 2..=3 {
        let env_vars = [("round".to_owned(), round.to_string())].into();
        let next = SpecDraft { env_vars, ..draft(s, Kind::Hello) };
        apply(s, "f", next.try_into().unwrap(), Mode::Update).await.unwrap();
        serves(s, "f", 1).await;
    }
    let refused = rollback(s, "f", Some(7)).await;
    let all = [3, 2, 1].map(Generation).into();
    assert_eq!(refused, Err(Refused::NotKept { id: id("f"), to: Some(Generation(7)), kept: all }));
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("generation 7") && told.contains("3, 2, 1"), "{told}");
    rollback(s, "f", Some(1)).await.unwrap();
    let status = serves(s, "f", 1).await;
    assert_eq!((&desired(&status).spec, kept(&status)), (&spec(s, Kind::Hello).into(), vec![4, 3, 2]));
}

pub async fn a_rollback_of_what_is_not_there_is_refused<S: Subject>(s: &mut S) {
    for to in [None, Some(1)] {
        assert_eq!(rollback(s, "f", to).await, Err(Refused::NotFound(id("f"))));
    }
}

pub async fn an_update_that_does_not_serve_is_rolled_back_to_what_does<S: Subject>(s: &mut S) {
    updated(s, "f").await;
    update(s, "f", Kind::EndsAtOnce).await.unwrap();
    assert_eq!(status(s, "f").await.serving, Some(Generation(2)));
    rollback(s, "f", None).await.unwrap();
    let status = serves(s, "f", 1).await;
    assert_eq!((status.phase, status.serving, &status.failure), (Phase::Ready, Some(Generation(4)), &None));
    assert_eq!((&desired(&status).spec, kept(&status)), (&spec(s, Kind::HelloAgain).into(), vec![4, 1]));
}

pub async fn a_rollback_keeps_the_number_and_what_was_stopped_by_hand<S: Subject>(s: &mut S) {
    updated(s, "f").await;
    scale(s, "f", 2).await;
    rollback(s, "f", None).await.unwrap();
    let two = serves(s, "f", 2).await;
    assert_eq!((desired(&two).replicas, two.serving), (2, Some(Generation(3))));
    keep_down(s, "f", true).await;
    rollback(s, "f", None).await.unwrap();
    let stopped = serves(s, "f", 0).await;
    assert_eq!((stopped.phase, desired(&stopped).kept_down, desired(&stopped).replicas), (Phase::Stopped, true, 2));
    assert_eq!(desired(&stopped).spec, spec(s, Kind::HelloAgain).into());
}

pub async fn a_rollback_ends_idleness<S: Subject>(s: &mut S) {
    updated(s, "f").await;
    rest(s, "f", Tier::Stopped).await;
    serves(s, "f", 0).await;
    rollback(s, "f", None).await.unwrap();
    let status = serves(s, "f", 1).await;
    assert_eq!((desired(&status).idle, status.serving), (false, Some(Generation(3))));
}

pub async fn what_is_kept_is_so_after_a_restart<S: Subject>(s: &mut S) {
    let before = updated(s, "f").await;
    s.restart().await;
    let after = serves(s, "f", 1).await;
    assert_eq!(desired(&after), desired(&before));
    rollback(s, "f", Some(1)).await.unwrap();
    assert_eq!(desired(&serves(s, "f", 1).await).spec, spec(s, Kind::Hello).into());
}

pub async fn a_deleted_function_leaves_nothing_to_roll_its_namesake_back_to<S: Subject>(s: &mut S) {
    updated(s, "f").await;
    s.engine().delete(&id("f")).await.unwrap();
    create(s, "f", Kind::Hello).await.unwrap();
    serves(s, "f", 1).await;
    assert!(matches!(rollback(s, "f", None).await, Err(Refused::NotKept { .. })));
}

pub async fn a_secret_that_only_what_is_kept_names_can_be_deleted_and_is_then_missed_by_a_rollback<S: Subject>(
    s: &mut S,
) {
    let (namespace, name) = (id("f").namespace, "token".parse::<actord::function::SecretName>().unwrap());
    s.secrets().create(&namespace, name.clone(), b"1".to_vec()).await.unwrap();
    let with_secret = SpecDraft { secrets: vec![name.clone()], ..draft(s, Kind::Hello) };
    apply(s, "f", with_secret.try_into().unwrap(), Mode::Create).await.unwrap();
    serves(s, "f", 1).await;
    update(s, "f", Kind::HelloAgain).await.unwrap();
    let before = serves(s, "f", 1).await;
    s.secrets().delete(&namespace, name.clone(), false).await.unwrap();
    assert_eq!(rollback(s, "f", None).await, Err(Refused::NoSecret(name.clone())));
    assert_eq!(desired(&status(s, "f").await), desired(&before));
    s.secrets().create(&namespace, name, b"2".to_vec()).await.unwrap();
    rollback(s, "f", None).await.unwrap();
    assert_eq!(serves(s, "f", 1).await.serving, Some(Generation(3)));
}
