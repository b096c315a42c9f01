//! What a function that serves may rely on when it is updated.

use actord::engine::{Mode, Refused};
use actord::function::{Desired, Generation, Phase, SpecDraft};
use futures_util::FutureExt as _;
use jiff::Timestamp;

use crate::fixture::{apply, create, desired, draft, get, id, scale, served, serves, spec, status, until, update};
use crate::subject::{Kind, Subject};

pub async fn an_update_of_what_is_not_there_is_refused<S: Subject>(s: &mut S) {
    assert_eq!(update(s, "f", Kind::Hello).await, Err(Refused::NotFound(id("f"))));
    assert_eq!(get(s, "f").await, None);
}

pub async fn an_update_keeps_the_old_one_until_the_new_one_serves<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let old = s.routes().published(&id("f"));
    {
        let answer = update(s, "f", Kind::HelloAgain);
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
    until("the old one has left", async || s.routes().published(&id("f")).iter().all(|it| !old.contains(it))).await;
    assert_eq!((status.serving, desired(&status).spec.image.clone()), (Some(Generation(2)), s.image(Kind::HelloAgain)));
}

pub async fn an_update_that_cannot_run_leaves_the_old_one_serving_and_says_why<S: Subject>(s: &mut S) {
    for (name, kind) in [("f", Kind::Unknown), ("g", Kind::Unrunnable), ("h", Kind::FindsNoCommand)] {
        served(s, name).await;
        let published = s.routes().published(&id(name));
        let Err(Refused::Unrunnable(why)) = update(s, name, kind).await else { panic!("{kind:?} was not refused") };
        let after = serves(s, name, 1).await;
        assert_eq!((after.serving, s.routes().published(&id(name))), (Some(Generation(1)), published));
        assert_eq!(desired(&after).serving_spec().image, s.image(Kind::Hello));
        assert_eq!(desired(&after).refused.as_ref().expect("it says why").reason, why);
    }
    s.restart().await;
    for name in ["f", "g", "h"] {
        let after = serves(s, name, 1).await;
        assert_eq!(after.serving, Some(Generation(1)));
        assert_eq!(desired(&after).serving_spec().image, s.image(Kind::Hello));
    }
}

pub async fn every_other_spec_is_another_generation_and_the_time_of_creation_stays<S: Subject>(s: &mut S) {
    let first = served(s, "f").await;
    update(s, "f", Kind::Hello).await.unwrap();
    assert_eq!(desired(&status(s, "f").await), desired(&first), "the same spec changes nothing");
    for generation in 2..=3 {
        let env_vars = [("round".to_owned(), generation.to_string())].into();
        let next = SpecDraft { env_vars, ..draft(s, Kind::Hello) };
        apply(s, "f", next.try_into().unwrap(), Mode::Update).await.unwrap();
        let status = serves(s, "f", 1).await;
        assert_eq!(desired(&status).generation, Generation(generation));
        assert_eq!(desired(&status).created_at, desired(&first).created_at);
    }
}

pub async fn what_was_updated_is_so_after_a_restart<S: Subject>(s: &mut S) {
    served(s, "f").await;
    update(s, "f", Kind::HelloAgain).await.unwrap();
    let before = serves(s, "f", 1).await;
    s.restart().await;
    let after = serves(s, "f", 1).await;
    assert_eq!(desired(&after).spec, spec(s, Kind::HelloAgain).into());
    assert_eq!((after.serving, desired(&after).generation), (before.serving, desired(&before).generation));
}

pub async fn an_update_to_what_ends_at_once_leaves_the_old_one_serving<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let published = s.routes().published(&id("f"));
    update(s, "f", Kind::EndsAtOnce).await.unwrap();
    assert_eq!(s.routes().published(&id("f")), published);
    let after = status(s, "f").await;
    assert!(after.failure.as_ref().is_some_and(|failure| failure.reason.contains("code 7")), "{after:?}");
    assert_eq!(desired(&after).spec, spec(s, Kind::EndsAtOnce).into(), "it may heal, and is kept");
}

pub async fn after_a_failed_update_another_one_serves<S: Subject>(s: &mut S) {
    create(s, "f", Kind::Hello).await.unwrap();
    update(s, "f", Kind::Unknown).await.unwrap_err();
    update(s, "f", Kind::HelloAgain).await.unwrap();
    let status = serves(s, "f", 1).await;
    assert_eq!((&status.failure, desired(&status).spec.clone()), (&None, spec(s, Kind::HelloAgain).into()));
    assert_eq!(status.serving, Some(desired(&status).generation));
}

pub async fn a_refused_update_leaves_what_was_asked_for_before_and_is_told<S: Subject>(s: &mut S) {
    let before = served(s, "f").await;
    let began = Timestamp::now();
    for generation in [2, 3] {
        let Err(Refused::Unrunnable(why)) = update(s, "f", Kind::Unknown).await else { panic!("not refused") };
        let after = status(s, "f").await;
        let refused = desired(&after).refused.clone().expect("the last refusal is told");
        assert_eq!((after.phase, &after.failure), (Phase::Ready, &None));
        assert_eq!(&Desired { refused: None, ..desired(&after).clone() }, desired(&before));
        assert_eq!((refused.generation, &refused.image), (Generation(generation), &s.image(Kind::Unknown)));
        assert_eq!(refused.reason, why);
        let at: Timestamp = refused.at.parse().expect("RFC 3339");
        assert!(began <= at && at <= Timestamp::now(), "{at}");
    }
    s.restart().await;
    let after = serves(s, "f", 1).await;
    assert_eq!(desired(&after).refused.as_ref().map(|refused| refused.generation), Some(Generation(3)));
    assert_eq!(&Desired { refused: None, ..desired(&after).clone() }, desired(&before));
    update(s, "f", Kind::HelloAgain).await.unwrap();
    let after = serves(s, "f", 1).await;
    assert_eq!((desired(&after).generation, &desired(&after).refused), (Generation(4), &None), "no number twice");
}

pub async fn what_was_scaled_stays_so_when_an_update_is_refused<S: Subject>(s: &mut S) {
    served(s, "f").await;
    scale(s, "f", 2).await;
    serves(s, "f", 2).await;
    let labels = [("com.openfaas.scale.min".to_owned(), "4".to_owned())].into();
    let wanting = SpecDraft { labels, ..draft(s, Kind::Unknown) };
    apply(s, "f", wanting.try_into().unwrap(), Mode::Update).await.unwrap_err();
    let after = serves(s, "f", 2).await;
    assert_eq!((after.phase, desired(&after).replicas), (Phase::Ready, 2));
    scale(s, "f", 1).await;
    let after = serves(s, "f", 1).await;
    assert!(desired(&after).refused.is_some(), "a scale is no other version");
}
