//! Images: when the registry is asked, and what an archive is good for.

use actord::host::{HostError, Images, PullPolicy};

use crate::fixture::LONG;
use crate::subject::{Kind, Subject};

async fn refused(images: &dyn Images, reference: &str, policy: PullPolicy) -> String {
    match images.ensure(reference, policy).await {
        Err(HostError::Image(reason)) => reason,
        other => panic!("{reference} with {policy:?}: {other:?}"),
    }
}

pub async fn an_image_is_pulled_when_it_is_absent_unless_the_policy_is_never<S: Subject>(s: &S) {
    let images = s.host().images;
    let reference = s.publish("team/pulled", Kind::Hello).await;
    let reason = refused(&*images, &reference, PullPolicy::Never).await;
    assert!(reason.contains(&reference), "{reason}");

    let image = images.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap();
    assert_eq!(image.reference, reference);
    assert!(image.digest.starts_with("sha256:"), "{image:?}");
    for policy in [PullPolicy::Never, PullPolicy::IfNotPresent, PullPolicy::Always] {
        assert_eq!(images.ensure(&reference, policy).await.unwrap(), image, "{policy:?}");
    }
}

pub async fn only_the_policy_always_follows_a_tag_that_moved<S: Subject>(s: &S) {
    let images = s.host().images;
    let reference = s.publish("team/moving", Kind::Hello).await;
    let old = images.ensure(&reference, PullPolicy::Always).await.unwrap();
    assert_eq!(s.publish("team/moving", Kind::HelloAgain).await, reference);
    assert_eq!(images.ensure(&reference, PullPolicy::IfNotPresent).await.unwrap(), old);
    let new = images.ensure(&reference, PullPolicy::Always).await.unwrap();
    assert_ne!(new.digest, old.digest);
    assert_eq!(images.ensure(&reference, PullPolicy::Never).await.unwrap(), new);
}

pub async fn an_image_that_nobody_has_is_an_image_error_that_names_it<S: Subject>(s: &S) {
    let images = s.host().images;
    let unknown = s.unknown();
    for policy in [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never] {
        for reference in [unknown.as_str(), "no reference at all"] {
            let reason = refused(&*images, reference, policy).await;
            assert!(reason.contains(reference), "{reason}");
        }
    }
}

pub async fn two_callers_at_once_get_the_same_image<S: Subject>(s: &S) {
    let images = s.host().images;
    let reference = s.publish("team/wanted", Kind::Hello).await;
    let ensure = || images.ensure(&reference, PullPolicy::IfNotPresent);
    let (one, two) = tokio::time::timeout(LONG, async { tokio::join!(ensure(), ensure()) }).await.unwrap();
    assert_eq!(one.unwrap(), two.unwrap());
}

pub async fn how_far_a_pull_is_is_told_only_while_it_goes_on_and_never_exceeds_its_total<S: Subject>(s: &S) {
    let images = s.host().images;
    let reference = s.publish("team/watched", Kind::Hello).await;
    assert_eq!(images.progress(&reference), None);
    let mut pull = images.ensure(&reference, PullPolicy::Always);
    let mut seen = Vec::new();
    let pulled = tokio::time::timeout(
        LONG,
        std::future::poll_fn(|context| {
            let polled = pull.as_mut().poll(context);
            seen.extend(images.progress(&reference));
            polled
        }),
    );
    pulled.await.unwrap().unwrap();
    drop(pull);
    for progress in seen {
        assert!(progress.total.is_none_or(|total| progress.pulled <= total), "{progress:?}");
    }
    assert_eq!(images.progress(&reference), None);
    assert_eq!(images.progress("no reference at all"), None);
}

pub async fn an_imported_image_needs_no_registry<S: Subject>(s: &S) {
    let images = s.host().images;
    let reference = "docker.io/actord/imported:1";
    let archive = s.archive(reference, Kind::Hello).await;
    refused(&*images, reference, PullPolicy::Never).await;
    assert_eq!(images.import(&archive).await.unwrap(), [reference]);
    let image = images.ensure(reference, PullPolicy::Never).await.unwrap();
    assert_eq!(image.reference, reference);
    assert_eq!(images.ensure("actord/imported:1", PullPolicy::IfNotPresent).await.unwrap(), image);
}

pub async fn an_archive_can_be_imported_again<S: Subject>(s: &S) {
    let images = s.host().images;
    let reference = "docker.io/actord/again:1";
    let archive = s.archive(reference, Kind::Hello).await;
    for _ in 0..2 {
        assert_eq!(images.import(&archive).await.unwrap(), [reference]);
        images.ensure(reference, PullPolicy::Never).await.unwrap();
    }
}

pub async fn what_is_no_archive_is_an_image_error_that_names_the_file<S: Subject>(s: &S) {
    for exists in [false, true] {
        let path = s.no_archive(exists);
        match s.host().images.import(&path).await {
            Err(HostError::Image(reason)) => assert!(reason.contains(path.to_str().unwrap()), "{reason}"),
            other => panic!("{}: {other:?}", path.display()),
        }
    }
}
