//! How many instances there are.

use actord::engine::Refused;
use actord::function::Phase;

use crate::fixture::{desired, id, scale, served, serves, status, update};
use crate::subject::{Kind, Subject};

pub async fn as_many_instances_serve_as_are_asked_for<S: Subject>(s: &mut S) {
    let first = served(s, "f").await;
    for (replicas, phase) in [(3, Phase::Ready), (0, Phase::Stopped), (1, Phase::Ready)] {
        scale(s, "f", replicas).await;
        assert_eq!(desired(&status(s, "f").await).replicas, replicas, "as soon as it is answered");
        let status = serves(s, "f", replicas).await;
        assert_eq!((status.phase, status.serving.is_some()), (phase, replicas > 0));
        assert_eq!(desired(&status).generation, desired(&first).generation);
    }
}

pub async fn a_scale_of_what_is_not_there_is_refused<S: Subject>(s: &mut S) {
    assert_eq!(s.engine().scale(&id("f"), 2).await, Err(Refused::NotFound(id("f"))));
}

pub async fn what_was_scaled_is_so_after_a_restart<S: Subject>(s: &mut S) {
    served(s, "f").await;
    for replicas in [2, 0] {
        scale(s, "f", replicas).await;
        s.restart().await;
        assert_eq!(desired(&serves(s, "f", replicas).await).replicas, replicas);
    }
}

pub async fn an_update_keeps_the_number_that_was_asked_for<S: Subject>(s: &mut S) {
    served(s, "f").await;
    scale(s, "f", 2).await;
    update(s, "f", Kind::HelloAgain).await.unwrap();
    assert_eq!(desired(&serves(s, "f", 2).await).replicas, 2);
}
